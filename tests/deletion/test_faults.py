"""Deletion when Orthanc is down, slow, busy or sends garbage: the error says whether the resource may be gone."""

import json
from collections.abc import Mapping

import pytest
from pytest_django import Settings

from orthancproxy.audit.kinds import EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.corpus import ask
from tests.deletion.deletion_client import (
    ARCHIVE,
    DeleteProxy,
    GraphQLDeletion,
    RESTDeletion,
    Transport,
    expected_result,
    resource_at,
    resources_of,
    stored_resources,
    without,
)
from tests.proxy import DROPPED, GARBAGE, Fault, answering, impatient
from tests.test_faults import WRONG_SHAPES

pytestmark = pytest.mark.live

PLACE = (1, 1)
NAME = (resource_at(PLACE).level, resource_at(PLACE).orthanc_id)
PATH = "/{}/{}".format(*NAME)
MAY_BE_GONE = "The resource may have been deleted nevertheless."


def outcomes() -> list[tuple[str, str, dict[str, int]]]:
    """Return outcome, error code and counts of each deletion in the audit log."""
    rows = AuditEvent.objects.filter(event=EventKind.DELETION).order_by("pk")
    return [(row.outcome, row.error_code, row.counts) for row in rows]


INTENDED = ("INTENDED", "", {"studies": 1, "series": 2, "instances": 5})


def test_deletion_while_orthanc_is_down_fails_without_an_intent(
    orthanc: LocalOrthanc, settings: Settings, transport: Transport
) -> None:
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
    answer = transport(*NAME)
    assert answer.code == "ARCHIVE_UNAVAILABLE"
    assert answer.status == (200 if isinstance(transport, GraphQLDeletion) else 503)
    assert MAY_BE_GONE not in answer.message
    # without an intent: the lookup failed
    assert outcomes() == [("FAILED", "ARCHIVE_UNAVAILABLE", {})]
    assert stored_resources(orthanc) == resources_of(ARCHIVE)


@pytest.mark.parametrize("is_gone", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("fault", [DROPPED, Fault(cut=5)], ids=["no answer", "half an answer"])
def test_deletion_whose_connection_breaks_fails_and_is_not_retried(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: Transport, fault: Fault, is_gone: bool
) -> None:
    """The gateway cannot know whether Orthanc deleted the resource."""
    if is_gone and fault is DROPPED:
        proxy.on_delete = lambda: ask(orthanc, PATH, "DELETE")
    proxy.fault = fault
    left = without(PLACE, ARCHIVE) if is_gone or fault is not DROPPED else ARCHIVE

    answer = transport(*NAME)

    assert answer.code == "ARCHIVE_UNAVAILABLE"
    assert answer.status == (200 if isinstance(transport, GraphQLDeletion) else 503)
    assert answer.message == f"Orthanc cannot be reached. {MAY_BE_GONE}"
    assert proxy.deletes == [PATH]
    assert outcomes() == [INTENDED, ("FAILED", "ARCHIVE_UNAVAILABLE", {})]
    assert stored_resources(orthanc) == resources_of(left)

    proxy.fault, proxy.on_delete = Fault(), lambda: None
    again = transport(*NAME)
    assert again.code == "NOT_FOUND" if left != ARCHIVE else again == expected_result(PLACE)


def test_deletion_that_times_out_fails_and_is_not_retried(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: Transport
) -> None:
    proxy.fault = Fault(delay=60)
    with impatient(on="DELETE "):
        answer = transport(*NAME)
    assert answer.code == "ARCHIVE_UNAVAILABLE"
    assert answer.status == (200 if isinstance(transport, GraphQLDeletion) else 504)
    assert answer.message == f"Orthanc did not answer in time. {MAY_BE_GONE}"
    assert proxy.deletes == [PATH]
    assert outcomes() == [INTENDED, ("FAILED", "ARCHIVE_UNAVAILABLE", {})]


def test_deletion_while_orthanc_is_busy_fails_and_is_not_retried(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: Transport
) -> None:
    for number, status in enumerate([502, 503, 504], start=1):
        proxy.fault = answering(status)
        answer = transport(*NAME)
        assert (answer.code, answer.status) == (
            "ARCHIVE_UNAVAILABLE",
            200 if isinstance(transport, GraphQLDeletion) else 503,
        )
        assert proxy.deletes == [PATH] * number
    assert stored_resources(orthanc) == resources_of(ARCHIVE)
    proxy.fault = Fault()
    assert transport(*NAME) == expected_result(PLACE)


def test_deletion_that_orthanc_rejects_fails_and_is_not_retried(proxy: DeleteProxy, transport: Transport) -> None:
    for number, status in enumerate([400, 401, 403, 405, 409, 500], start=1):
        proxy.fault = answering(status)
        answer = transport(*NAME)
        assert (answer.code, answer.status) == ("ARCHIVE_ERROR", 200 if isinstance(transport, GraphQLDeletion) else 502)
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


def test_deletion_with_a_malformed_response_is_an_error_that_says_it_may_be_done(proxy: DeleteProxy) -> None:
    for number, (name, fault) in enumerate(SHAPES.items(), start=1):
        proxy.fault = fault
        answer = RESTDeletion()(*NAME)
        assert answer.code in ("ARCHIVE_ERROR", "ARCHIVE_UNAVAILABLE"), name
        assert name not in WRONG_SHAPES or answer.code == "ARCHIVE_ERROR", name
        assert answer.message.endswith(MAY_BE_GONE) or "status of no meaning" in name, (name, answer.message)
        assert "127.0.0.1" not in answer.message
        assert proxy.deletes == [PATH] * number, name
    assert outcomes()[0] == INTENDED
    assert [outcome for outcome, _, _ in outcomes()] == ["INTENDED", "FAILED"] * len(SHAPES)


def test_deletion_whose_lookup_fails_deletes_nothing(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: Transport
) -> None:
    assert transport("series", resource_at((1, 1)).orthanc_id).code == "NOT_FOUND"
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
    assert stored_resources(orthanc) == resources_of(ARCHIVE)


def test_deletion_succeeds_though_its_remaining_ancestor_cannot_be_read(proxy: DeleteProxy) -> None:
    """All other fields of the payload are returned."""
    proxy.on_delete = lambda: proxy.keep_failing(DROPPED)
    query = "mutation($id: ID!) { deleteStudy(orthancId: $id) { instancesCount remainingAncestor { id } } }"
    status, content = GraphQLDeletion().send(
        "POST", "/graphql/", json.dumps({"query": query, "variables": {"id": NAME[1]}}).encode()
    )
    assert status == 200
    assert content["data"]["deleteStudy"]["instancesCount"] == 5
    assert content["data"]["deleteStudy"]["remainingAncestor"] is None
    [error] = content["errors"]
    assert error["path"] == ["deleteStudy", "remainingAncestor"]
    assert error["extensions"]["code"] == "ARCHIVE_UNAVAILABLE"
    assert [outcome for outcome, _, _ in outcomes()] == ["INTENDED", "SUCCESS"]
