"""The next page begins after the last node that was shown, whatever was stored or deleted in between."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from strawberry.relay import to_base64

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, instance, load
from tests.orthancs import StartOrthanc

pytestmark = pytest.mark.live

LISTS = {
    "patients": ("PATIENT_ID", "PATIENT_NAME", "BIRTH_DATE"),
    "studies": ("STUDY_DATE", "STUDY_TIME", "PATIENT_NAME", "DESCRIPTION", "ACCESSION_NUMBER"),
    "seriesList": ("SERIES_NUMBER", "MODALITY"),
    "instances": ("INSTANCE_NUMBER", "SLICE_LOCATION"),
}
BAD_POSITIONS = ["", "1", "[]", "[1]", "{}", '[1, 2, "x"]', "[" * 9999]


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture(params=["with the index", "without it"])
def changing(
    orthanc: LocalOrthanc, use_orthanc: UseOrthanc, use_index: Callable[[], None], request: pytest.FixtureRequest
) -> LocalOrthanc:
    for patient in json.loads(ask(orthanc, "/patients")):
        ask(orthanc, f"/patients/{patient}", "DELETE")
    # each second patient, so that others come in between; some without what they are sorted by
    load(orthanc, (_file(number, step=2) for number in range(1, 7)))
    use_orthanc(orthanc)
    if request.param == "with the index":
        use_index()
    return orthanc


def _file(number: int, step: int = 1) -> bytes:
    tags: dict[str, Any] = {"StudyTime": f"10{number % 2}"}
    if number == 3:
        tags = {"PatientName": None, "StudyDate": None, "StudyTime": "", "SliceLocation": "?"}
    return instance(number * step, 1, number % 3 + 1, number, **tags)


def pages(graphql: GraphQL, name: str, order: str, between: Callable[[], None]) -> list[str]:
    """The Orthanc ids on all pages of two, with something done after the first."""
    found: list[str] = []
    after = None
    while True:
        page = graphql(
            f"""query($after: String) {{ {name}(first: 2, after: $after, {order}) {{
                edges {{ cursor node {{ orthancId }} }} pageInfo {{ hasNextPage endCursor hasPreviousPage }} }} }}""",
            after=after,
        )[name]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        found += [edge["node"]["orthancId"] for edge in page["edges"]]
        if after is None:
            between()
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_pages_neither_repeat_nor_skip_a_node(changing: LocalOrthanc, graphql: GraphQL, direction: str) -> None:
    for name, fields in LISTS.items():
        for field in fields:
            order = f"orderBy: [{{field: {field}, direction: {direction}}}]"
            before = pages(graphql, name, order, lambda: None)

            def change(first: str = before[0], name: str = name) -> None:
                load(changing, [_file(15), _file(1)])
                ask(changing, f"/{name.removesuffix('List')}/{first}", "DELETE")

            found = pages(graphql, name, order, change)
            assert len(found) == len(set(found)), (name, field)
            assert [one for one in found if one in before] == before, (name, field)
            load(changing, (_file(number, step=2) for number in range(1, 7)))


def test_cursors_of_offsets_and_of_other_orders_are_offsets(changing: LocalOrthanc, graphql: GraphQL) -> None:
    def nodes(**arguments: Any) -> Any:
        given = ", ".join(f"{name}: {value}" for name, value in arguments.items())
        return graphql(f"{{ studies({given}) {{ nodes {{ orthancId }} pageInfo {{ startCursor }} }} }}")["studies"]

    every = nodes(first=9)
    assert nodes(first=9, after=json.dumps(to_base64("offset", 1)))["nodes"] == every["nodes"][2:]
    by_name = "[{field: PATIENT_NAME}]"
    start = json.dumps(every["pageInfo"]["startCursor"])
    assert nodes(first=9, after=start, orderBy=by_name)["nodes"] == nodes(first=9, orderBy=by_name)["nodes"][1:]


def test_malformed_positions_are_rejected(changing: LocalOrthanc, graphql: GraphQL) -> None:
    [cursor] = [edge["cursor"] for edge in graphql("{ studies(first: 1) { edges { cursor } } }")["studies"]["edges"]]
    offset, digest, day, time, uid, orthanc_id = json.loads(base64.b64decode(cursor).decode().partition(":")[2])
    assert offset == 0
    forged = [
        [-1, digest, day, time, uid, orthanc_id],
        [2**31, digest, day, time, uid, orthanc_id],
        [True, digest, day, time, uid, orthanc_id],
        [0, digest, 1, time, uid, orthanc_id],
        [0, digest, day, [time], uid, orthanc_id],
        [0, digest, day, uid, orthanc_id],
        [0, digest, day, time, uid, "../x"],
    ]
    for text in [*BAD_POSITIONS, *map(json.dumps, forged)]:
        error = graphql.error(f'{{ studies(after: "{to_base64("position", text)}") {{ nodes {{ orthancId }} }} }}')
        assert error["extensions"]["code"] == "BAD_USER_INPUT", text
    for value in ("\0", "\ud800", "9" * 5000):
        after = to_base64("position", json.dumps([0, digest, value, time, uid, orthanc_id]))
        assert "nodes" in graphql(f'{{ studies(after: "{after}") {{ nodes {{ orthancId }} }} }}')["studies"]
