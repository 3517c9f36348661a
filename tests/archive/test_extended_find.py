"""Filters by tags outside the index read files in several calls, and find what one call would."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from orthancproxy.archive.extended_find import ExtendedFind
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import Filter, LabelMatch, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.errors import LimitExceeded
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import Endpoint
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask, instance, load

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

ENDING_IN_Z = Filter(tags=(("PatientComments", "*?z"),))
NUMBER = Needs(frozenset({"InstanceNumber"}))


class RecordingClient(OrthancClient):
    """Remembers the bodies of its calls, and calls `after_part` after the first of those that find a part."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        super().__init__(ConnectionOptions(orthanc.base_url))
        self.bodies: list[Mapping[str, Any]] = []
        self.after_part: Callable[[list[Any]], None] | None = None

    def call(self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, **others: Any) -> Any:
        answer = super().call(endpoint, body=body, **others)
        self.bodies.append(body or {})
        if self.after_part and body and "Since" in body:
            self.after_part(answer)
            self.after_part = None
        return answer

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The position and the maximum length of each part."""
        return [(body["Since"], body["Limit"]) for body in self.bodies if "Since" in body]


@pytest.fixture
def orthanc(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """An archive of ten instances, of which those of odd numbers match."""
    orthanc = start_orthanc()
    comments = {number: "xz" if number % 2 else "z" for number in range(1, 11)}
    load(orthanc, [instance(number=number, PatientComments=comment) for number, comment in comments.items()])
    return orthanc


def numbers(found: Iterable[Resource]) -> list[int]:
    """The instance numbers, sorted."""
    return sorted(int(one.tags["InstanceNumber"]) for one in found)


def test_files_are_read_in_parts(orthanc: LocalOrthanc) -> None:
    client = RecordingClient(orthanc)

    found = ExtendedFind(client, ObjectBudget(), 4).matching(Level.INSTANCE, ENDING_IN_Z, NUMBER)

    assert numbers(found) == [1, 3, 5, 7, 9]
    assert client.parts == [(0, 4), (4, 4), (8, 4)]
    # Orthanc would list and read everything for each part
    assert all("0010,4000" not in body.get("Query", ()) for body in client.bodies)


def test_nothing_is_left_out_if_others_are_deleted_meanwhile(orthanc: LocalOrthanc) -> None:
    client = RecordingClient(orthanc)
    deleted: list[str] = []

    def delete_two(part: list[Any]) -> None:
        for one in part[:2]:
            ask(orthanc, f"/instances/{one.id}", "DELETE")
            deleted.append(one.id)

    every = Filter(tags=(("PatientComments", "*z"),))
    client.after_part = delete_two
    found = ExtendedFind(client, ObjectBudget(), 4).matching(Level.INSTANCE, every, NUMBER)

    # what was read before it was deleted is found as well
    assert len(deleted) == 2
    assert numbers(found) == list(range(1, 11))


def test_the_index_preselects(orthanc: LocalOrthanc) -> None:
    load(orthanc, [instance(2, number=number, PatientComments="xz") for number in range(1, 4)])
    client = RecordingClient(orthanc)
    wanted = replace(ENDING_IN_Z, tags=(*ENDING_IN_Z.tags, ("PatientName", "kim002*")))

    found = ExtendedFind(client, ObjectBudget(), 4).matching(Level.INSTANCE, wanted, NUMBER)

    assert numbers(found) == [1, 2, 3]
    assert client.parts == [(0, 4)]


def test_the_budget_is_for_what_matches(orthanc: LocalOrthanc) -> None:
    client = RecordingClient(orthanc)

    def children(maximum: int) -> list[Resource]:
        find = ExtendedFind(client, ObjectBudget(maximum), 4)
        return find.children(Level.INSTANCE, [], ENDING_IN_Z, NUMBER, None)

    assert numbers(children(5)) == [1, 3, 5, 7, 9]
    with pytest.raises(LimitExceeded):
        children(4)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (LabelMatch(any=frozenset({"a", "b"})), [1, 3]),
        (LabelMatch(any=frozenset({"a", "b"}), none=frozenset({"b"})), [1]),
    ],
)
def test_labels_are_matched_as_well(orthanc: LocalOrthanc, labels: LabelMatch, expected: list[int]) -> None:
    client = RecordingClient(orthanc)
    find = ExtendedFind(client, ObjectBudget(), 4)
    for one in find.matching(Level.INSTANCE, Filter(), NUMBER):
        if label := {1: "a", 2: "a", 3: "b"}.get(int(one.tags["InstanceNumber"])):
            ask(orthanc, f"/instances/{one.orthanc_id}/labels/{label}", "PUT")

    assert numbers(find.matching(Level.INSTANCE, replace(ENDING_IN_Z, labels=labels), NUMBER)) == expected
