"""The result of a deletion matches what Orthanc has afterwards, and nothing else changes."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any
from urllib.parse import quote

import pytest

from orthancproxy.archive import storage
from orthancproxy.archive.levels import Level
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.corpus import ask
from tests.deletion.deletion_client import (
    ARCHIVE,
    FIRST_TWIN,
    MUTATION,
    SECOND_TWIN,
    DeleteProxy,
    DeletionResult,
    GraphQLDeletion,
    Place,
    RESTDeletion,
    Transport,
    expected_result,
    level_of,
    refill,
    resource_at,
    resources_of,
    stored_resources,
    without,
)

pytestmark = pytest.mark.live

# with the number of levels that are deleted: that of the resource, and those of its ancestors
PLACES: Mapping[Place, int] = {
    (1, 1, 1, 2): 1,
    (1, 1, 2): 1,
    (1, 2): 1,
    (1,): 1,
    # only children
    (1, 2, 1): 2,
    (2, 1, 1, 1): 4,
    (2, 1, 1): 3,
    (2, 1): 2,
    (2,): 1,
    (3, 2, 1, 1): 3,
    (3, 1, 1, 1): 1,
    (4, 1, 1, 1): 2,
    # one StudyInstanceUID under two patients
    (FIRST_TWIN, 1): 2,
    (SECOND_TWIN, 1, 1): 3,
    (FIRST_TWIN,): 1,
    (SECOND_TWIN, 1, 1, 1): 1,
}
ONLY_CHILDREN: Sequence[Place] = ((2,), (2, 1), (2, 1, 1), (2, 1, 1, 1))
UNKNOWN = "01234567-89abcdef-01234567-89abcdef-01234567"
MALFORMED = ("x", "1", UNKNOWN.upper(), f"{UNKNOWN}-01234567", f"{UNKNOWN} ", UNKNOWN.replace("-", ""), "..", "*")

each_place = pytest.mark.parametrize("place", PLACES, ids=str)


def state(orthanc: LocalOrthanc) -> Any:
    """Return values that differ after anything was deleted or stored."""
    changes = json.loads(ask(orthanc, "/changes?limit=1000"))
    return stored_resources(orthanc), json.loads(ask(orthanc, "/statistics")), changes["Last"], len(changes["Changes"])


@each_place
def test_dry_run_and_deletion_return_what_is_deleted(orthanc: LocalOrthanc, transport: Transport, place: Place) -> None:
    before, moved = stored_resources(orthanc), state(orthanc)

    preview = GraphQLDeletion()(*_level_and_id(place), dryRun=True)
    assert state(orthanc) == moved
    answer = transport(*_level_and_id(place))

    gone = before - stored_resources(orthanc)
    assert preview == answer == expected_result(place)
    assert len(answer.deleted) == PLACES[place]
    assert stored_resources(orthanc) == resources_of(without(place, ARCHIVE))
    # cross-check with what Orthanc had before and has now
    levels_below = {level.path for level in level_of(place).below}
    assert {other for other in gone if other.level not in levels_below} == set(answer.deleted)
    assert sum(other.level == "instances" for other in gone) == answer.instances
    assert answer.remaining is None or answer.remaining in stored_resources(orthanc)


@pytest.mark.parametrize("variables", [{}, {"dryRun": None}, {"dryRun": False}], ids=str)
def test_resource_is_deleted_unless_dry_run_is_true(orthanc: LocalOrthanc, variables: dict[str, Any]) -> None:
    assert GraphQLDeletion()(*_level_and_id((1, 1)), **variables) == expected_result((1, 1))
    assert stored_resources(orthanc) == resources_of(without((1, 1), ARCHIVE))


def test_dry_run_makes_no_call_that_can_delete(proxy: DeleteProxy) -> None:
    for place in PLACES:
        GraphQLDeletion()(*_level_and_id(place), dryRun=True)
    assert proxy.requests
    assert {request.method for request in proxy.requests} == {"GET", "POST"}
    assert {request.path for request in proxy.requests if request.method == "POST"} <= {
        "/tools/find",
        "/tools/bulk-content",
        "/tools/count-resources",
    }


def test_deletion_of_each_instance_in_turn_empties_the_archive(orthanc: LocalOrthanc, transport: Transport) -> None:
    left = ARCHIVE
    for place in sorted(ARCHIVE):
        assert transport(*_level_and_id(place)) == expected_result(place, left)
        left = without(place, left)
        assert stored_resources(orthanc) == resources_of(left)
    assert stored_resources(orthanc) == frozenset()


@pytest.mark.parametrize("place", [(1,), (1, 1), (1, 1, 1)], ids=str)
def test_many_instances_are_deleted_in_parts(
    proxy: DeleteProxy, orthanc: LocalOrthanc, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    monkeypatch.setattr(storage, "INSTANCES_PER_DELETION", 2)
    expected = expected_result(place)
    assert GraphQLDeletion()(*_level_and_id(place)) == expected
    assert stored_resources(orthanc) == resources_of(without(place, ARCHIVE))
    bodies = [json.loads(one.body) for one in proxy.requests if one.path == "/tools/bulk-delete"]
    parts = [len(body["Resources"]) for body in bodies]
    assert (max(parts), sum(parts)) == (min(2, sum(parts)), expected.instances - 2)


class TestRemainingAncestor:
    QUERY = """
    mutation($id: ID!, $dryRun: Boolean = false) {
      deleteInstance(orthancId: $id, dryRun: $dryRun) { ...Result }
    }
    fragment Result on DeletePayload { left: remainingAncestor { ...Up ...Down } instancesCount }
    fragment Up on Node {
      ... on Series { instancesCount study { studyInstanceUID patient { ...Whose } } }
      ... on Study { seriesCount patient { ...Whose } }
      ... on Patient { ...Whose }
    }
    fragment Down on Node {
      __typename
      ... on Series { instances { instanceNumber } }
      ... on Study { series { seriesNumber instances { instanceNumber } } }
      ... on Patient { studies { instancesCount series { instances { instanceNumber } } } }
    }
    fragment Whose on Patient { patientId instancesCount }
    """

    def test_remaining_ancestor_is_a_series(self, orthanc: LocalOrthanc, graphql: GraphQL) -> None:
        uid = "1.2.826.0.1.3680043.8.498.1.1.1"
        assert graphql(self.QUERY, id=_level_and_id((1, 1, 1, 2))[1])["deleteInstance"] == {
            "instancesCount": 1,
            "left": {
                "__typename": "Series",
                "instancesCount": 2,
                "study": {"studyInstanceUID": uid, "patient": {"patientId": "P001", "instancesCount": 6}},
                "instances": [{"instanceNumber": 1}, {"instanceNumber": 3}],
            },
        }

    def test_remaining_ancestor_is_a_study(self, orthanc: LocalOrthanc, graphql: GraphQL) -> None:
        assert graphql(self.QUERY, id=_level_and_id((4, 1, 1, 1))[1])["deleteInstance"]["left"] == {
            "__typename": "Study",
            "seriesCount": 1,
            "patient": {"patientId": "P004", "instancesCount": 1},
            "series": [{"seriesNumber": 2, "instances": [{"instanceNumber": 1}]}],
        }

    def test_remaining_ancestor_is_a_patient(self, orthanc: LocalOrthanc, graphql: GraphQL) -> None:
        assert graphql(self.QUERY, id=_level_and_id((3, 2, 1, 1))[1])["deleteInstance"]["left"] == {
            "__typename": "Patient",
            "patientId": "P003",
            "instancesCount": 2,
            "studies": [
                {"instancesCount": 2, "series": [{"instances": [{"instanceNumber": 1}, {"instanceNumber": 2}]}]}
            ],
        }

    def test_remaining_ancestor_of_the_last_instance_of_a_patient_is_null(
        self, orthanc: LocalOrthanc, graphql: GraphQL
    ) -> None:
        assert graphql(self.QUERY, id=_level_and_id((2, 1, 1, 1))[1])["deleteInstance"]["left"] is None

    def test_remaining_ancestor_in_a_dry_run_has_its_current_counts(
        self, orthanc: LocalOrthanc, graphql: GraphQL
    ) -> None:
        left = graphql(self.QUERY, id=_level_and_id((1, 1, 1, 2))[1], dryRun=True)["deleteInstance"]["left"]
        assert left["instancesCount"] == 3
        assert left["study"]["patient"] == {"patientId": "P001", "instancesCount": 7}

    def test_remaining_ancestor_of_each_deletion_in_a_request_is_as_that_deletion_left_it(
        self, orthanc: LocalOrthanc, graphql: GraphQL
    ) -> None:
        places = [(1, 1, 2, 1), (1, 1, 2, 2), (1, 1), (1, 2, 1)]
        fields = " ".join(
            f'a{number}: delete{level_of(place).value}(orthancId: "{resource_at(place).orthanc_id}")'
            " { deleted { level } remainingAncestor { __typename ... on Series { instancesCount }"
            " ... on Study { instancesCount } ... on Patient { instancesCount } } }"
            for number, place in enumerate(places)
        )
        payloads = graphql(f"mutation {{ {fields} }}").values()
        assert [[each["level"] for each in payload["deleted"]] for payload in payloads] == [
            ["INSTANCE"],
            ["INSTANCE", "SERIES"],
            ["STUDY"],
            ["SERIES", "STUDY", "PATIENT"],
        ]
        assert [payload["remainingAncestor"] for payload in payloads] == [
            {"__typename": "Series", "instancesCount": 1},
            {"__typename": "Study", "instancesCount": 3},
            {"__typename": "Patient", "instancesCount": 2},
            None,
        ]

    def test_remaining_ancestor_needs_no_call_if_not_selected(self, proxy: DeleteProxy, graphql: GraphQL) -> None:
        graphql(f'mutation {{ deleteInstance(orthancId: "{_level_and_id((1, 1, 1, 1))[1]}") {{ dryRun }} }}')
        assert proxy.requests[-1].method == "DELETE"


class TestNotFound:
    def test_unknown_id_is_not_found(self, orthanc: LocalOrthanc, transport: Transport) -> None:
        before = state(orthanc)
        for level in Level:
            assert transport(level.path, UNKNOWN) == _not_found(transport, level)
        assert state(orthanc) == before

    def test_id_of_another_level_is_not_found(self, orthanc: LocalOrthanc, transport: Transport) -> None:
        before = state(orthanc)
        for level in Level:
            for place in ONLY_CHILDREN:
                if level_of(place) is not level:
                    assert transport(level.path, resource_at(place).orthanc_id) == _not_found(transport, level)
        assert state(orthanc) == before

    @pytest.mark.parametrize("place", ONLY_CHILDREN, ids=str)
    def test_deleted_resource_is_not_found(self, orthanc: LocalOrthanc, transport: Transport, place: Place) -> None:
        transport(*_level_and_id(place))
        before = state(orthanc)
        for gone in ONLY_CHILDREN:
            assert transport(*_level_and_id(gone)) == _not_found(transport, level_of(gone))
        assert state(orthanc) == before

    def test_resource_that_another_client_deletes_after_the_lookup_is_not_found(
        self, proxy: DeleteProxy, orthanc: LocalOrthanc, transport: Transport
    ) -> None:
        for place in [*ONLY_CHILDREN, (1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)]:
            refill(orthanc)
            proxy.requests.clear()
            path = "/{}/{}".format(*_level_and_id(place))
            proxy.on_delete = partial(ask, orthanc, path, "DELETE")
            assert transport(*_level_and_id(place)) == _not_found(transport, level_of(place))
            assert proxy.deletes == [path]
            assert stored_resources(orthanc) == resources_of(without(place, ARCHIVE))

    def test_dry_run_of_an_unknown_id_is_not_found(self, orthanc: LocalOrthanc) -> None:
        assert GraphQLDeletion()("series", UNKNOWN, dryRun=True) == _not_found(GraphQLDeletion(), Level.SERIES)
        assert GraphQLDeletion()("series", _level_and_id((1, 1))[1], dryRun=True) == _not_found(
            GraphQLDeletion(), Level.SERIES
        )


def test_ancestor_that_another_client_empties_after_the_lookup_is_deleted_too(
    proxy: DeleteProxy, orthanc: LocalOrthanc, transport: Transport
) -> None:
    """The result follows the response of Orthanc, not the lookup before it."""
    proxy.on_delete = lambda: ask(orthanc, "/{}/{}".format(*_level_and_id((3, 1))), "DELETE")
    answer = transport(*_level_and_id((3, 2, 1, 1)))
    assert answer == expected_result((3, 2, 1, 1), without((3, 1), ARCHIVE))
    assert answer.deleted[-1] == resource_at((3,))


def test_malformed_id_is_rejected(proxy: DeleteProxy, orthanc: LocalOrthanc) -> None:
    for level, malformed in zip(cycle(Level), MALFORMED, strict=False):
        for dry_run in (False, True):
            answer = GraphQLDeletion()(level.path, malformed, dryRun=dry_run)
            assert (answer.status, answer.code) == (200, "BAD_USER_INPUT"), malformed
        answer = RESTDeletion()(level.path, quote(malformed))
        assert (answer.status, answer.code) == (400, "BAD_USER_INPUT"), malformed
    assert proxy.deletes == []
    assert stored_resources(orthanc) == resources_of(ARCHIVE)


def test_methods_other_than_delete_do_not_delete(proxy: DeleteProxy, orthanc: LocalOrthanc) -> None:
    before = stored_resources(orthanc)
    rest, graphql = RESTDeletion(), GraphQLDeletion()
    for method in ("GET", "POST", "PUT", "PATCH"):
        status, _ = rest.send(method, "/api/orthanc/{}/{}/".format(*_level_and_id((1,))))
        assert status == 405
    status, _ = graphql.send(
        "GET", f'/graphql/?query={MUTATION % "Patient"}&variables={{"id":"{_level_and_id((1,))[1]}"}}'
    )
    assert status >= 400
    assert proxy.deletes == []
    assert stored_resources(orthanc) == before


def _level_and_id(place: Place) -> tuple[str, str]:
    return resource_at(place).level, resource_at(place).orthanc_id


def _not_found(transport: Transport, level: Level) -> DeletionResult:
    status = 200 if isinstance(transport, GraphQLDeletion) else 404
    return DeletionResult(status=status, code="NOT_FOUND", message=f"There is no such {level.value.lower()}.")
