"""Orthanc is down, slow, answers nonsense, or hangs up in the middle: it is said what may have happened."""

import json
from collections.abc import Mapping

import pytest
from pytest_django import Settings

from orthancproxy.audit.kinds import EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.corpus import ask
from tests.deletion.deleting import (
    ARCHIVE,
    REST,
    DeleteProxy,
    GraphQL,
    expected,
    one,
    resources,
    stored,
    without,
)
from tests.proxy import DROPPED, GARBAGE, Fault, answering
from tests.test_faults import WRONG_SHAPES

pytestmark = pytest.mark.live

PLACE = (1, 1)
NAME = (one(PLACE).level, one(PLACE).orthanc_id)
PATH = "/{}/{}".format(*NAME)
MAY_BE_GONE = "The resource may have been deleted nevertheless."


def outcomes() -> list[tuple[str, str, dict[str, int]]]:
    """What the audit says of deletions: the outcome, the code, the counts."""
    rows = AuditEvent.objects.filter(event=EventKind.DELETION).order_by("pk")
    return [(row.outcome, row.error_code, row.counts) for row in rows]


INTENDED = ("INTENDED", "", {"studies": 1, "series": 2, "instances": 5})


def test_orthanc_is_down(orthanc: LocalOrthanc, settings: Settings, transport: GraphQL | REST) -> None:
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
    answer = transport(*NAME)
    assert answer.code == "ARCHIVE_UNAVAILABLE"
    assert answer.status == (200 if isinstance(transport, GraphQL) else 503)
    assert MAY_BE_GONE not in answer.message
    # nothing was intended: it was not even found
    assert outcomes() == [("FAILED", "ARCHIVE_UNAVAILABLE", {})]
    assert stored(orthanc) == resources(ARCHIVE)


@pytest.mark.parametrize("is_gone", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("fault", [DROPPED, Fault(cut=5)], ids=["no answer", "half an answer"])
def test_the_connection_is_cut(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: GraphQL | REST, fault: Fault, is_gone: bool
) -> None:
    """Who can tell whether Orthanc deleted it: it is not tried again."""
    if is_gone and fault is DROPPED:
        proxy.on_delete = lambda: ask(orthanc, PATH, "DELETE")
    proxy.fault = fault
    left = without(PLACE, ARCHIVE) if is_gone or fault is not DROPPED else ARCHIVE

    answer = transport(*NAME)

    assert answer.code == "ARCHIVE_UNAVAILABLE"
    assert answer.status == (200 if isinstance(transport, GraphQL) else 503)
    assert answer.message == f"Orthanc cannot be reached. {MAY_BE_GONE}"
    assert proxy.deletes == [PATH]
    assert outcomes() == [INTENDED, ("FAILED", "ARCHIVE_UNAVAILABLE", {})]
    assert stored(orthanc) == resources(left)

    proxy.fault, proxy.on_delete = Fault(), lambda: None
    again = transport(*NAME)
    assert again.code == "NOT_FOUND" if left != ARCHIVE else again == expected(PLACE)


def test_orthanc_is_slow(
    orthanc: LocalOrthanc, proxy: DeleteProxy, settings: Settings, transport: GraphQL | REST
) -> None:
    settings.ORTHANC_READ_TIMEOUT = 0.5
    proxy.fault = Fault(delay=60)
    answer = transport(*NAME)
    assert answer.code == "ARCHIVE_UNAVAILABLE"
    assert answer.status == (200 if isinstance(transport, GraphQL) else 504)
    assert answer.message == f"Orthanc did not answer in time. {MAY_BE_GONE}"
    assert proxy.deletes == [PATH]
    assert outcomes() == [INTENDED, ("FAILED", "ARCHIVE_UNAVAILABLE", {})]


def test_orthanc_is_busy(orthanc: LocalOrthanc, proxy: DeleteProxy, transport: GraphQL | REST) -> None:
    for number, status in enumerate([502, 503, 504], start=1):
        proxy.fault = answering(status)
        answer = transport(*NAME)
        assert (answer.code, answer.status) == ("ARCHIVE_UNAVAILABLE", 200 if isinstance(transport, GraphQL) else 503)
        assert proxy.deletes == [PATH] * number
    assert stored(orthanc) == resources(ARCHIVE)
    proxy.fault = Fault()
    assert transport(*NAME) == expected(PLACE)


def test_orthanc_refuses(proxy: DeleteProxy, transport: GraphQL | REST) -> None:
    for number, status in enumerate([400, 401, 403, 405, 409, 500], start=1):
        proxy.fault = answering(status)
        answer = transport(*NAME)
        assert (answer.code, answer.status) == ("ARCHIVE_ERROR", 200 if isinstance(transport, GraphQL) else 502)
        assert MAY_BE_GONE not in answer.message
        assert proxy.deletes == [PATH] * number
        assert outcomes()[-2:] == [INTENDED, ("FAILED", "ARCHIVE_ERROR", {})]


SHAPES: Mapping[str, Fault] = {
    **GARBAGE,
    **{shape: answering(200, shape.encode()) for shape in WRONG_SHAPES},
    **{
        shape: answering(200, f'{{"RemainingAncestor": {shape}}}'.encode())
        for shape in ("5", "[]", "{}", '{"ID": 5, "Type": "Study"}', '{"ID": "x", "Type": "Instance"}', '{"ID": "x"}')
    },
}


def test_orthanc_answers_garbage(proxy: DeleteProxy) -> None:
    for number, (name, fault) in enumerate(SHAPES.items(), start=1):
        proxy.fault = fault
        answer = REST()(*NAME)
        assert answer.code in ("ARCHIVE_ERROR", "ARCHIVE_UNAVAILABLE"), name
        assert name not in WRONG_SHAPES or answer.code == "ARCHIVE_ERROR", name
        assert answer.message.endswith(MAY_BE_GONE) or "status of no meaning" in name, (name, answer.message)
        assert "127.0.0.1" not in answer.message
        assert proxy.deletes == [PATH] * number, name
    assert outcomes()[0] == INTENDED
    assert [outcome for outcome, _, _ in outcomes()] == ["INTENDED", "FAILED"] * len(SHAPES)


def test_the_look_up_fails(orthanc: LocalOrthanc, proxy: DeleteProxy, transport: GraphQL | REST) -> None:
    assert transport("series", one((1, 1)).orthanc_id).code == "NOT_FOUND"
    for fault, code in [
        (DROPPED, "ARCHIVE_UNAVAILABLE"),
        (answering(503), "ARCHIVE_UNAVAILABLE"),
        (answering(500), "ARCHIVE_ERROR"),
        (answering(200, b"{}"), "ARCHIVE_ERROR"),
    ]:
        proxy.keep_failing(fault)
        answer = transport(*NAME)
        assert answer.code == code
        assert MAY_BE_GONE not in answer.message
        assert outcomes()[-1] == ("FAILED", code, {})
    assert proxy.deletes == []
    assert stored(orthanc) == resources(ARCHIVE)


def test_what_is_left_can_not_be_looked_up_after_it(proxy: DeleteProxy) -> None:
    """It went, and all of that is told, but for the one field."""
    proxy.on_delete = lambda: proxy.keep_failing(DROPPED)
    query = "mutation($id: ID!) { deleteStudy(orthancId: $id) { instancesCount remainingAncestor { id } } }"
    status, content = GraphQL().send(
        "POST", "/graphql/", json.dumps({"query": query, "variables": {"id": NAME[1]}}).encode()
    )
    assert status == 200
    assert content["data"]["deleteStudy"]["instancesCount"] == 5
    assert content["data"]["deleteStudy"]["remainingAncestor"] is None
    [error] = content["errors"]
    assert error["path"] == ["deleteStudy", "remainingAncestor"]
    assert error["extensions"]["code"] == "ARCHIVE_UNAVAILABLE"
    assert [outcome for outcome, _, _ in outcomes()] == ["INTENDED", "SUCCESS"]
