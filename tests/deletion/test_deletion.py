"""What deleting says is what Orthanc has afterwards, and nothing else is touched."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any
from urllib.parse import quote

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL as Client
from tests.corpus import ask
from tests.deletion.deleting import (
    ARCHIVE,
    ITS_TWIN,
    MUTATION,
    REST,
    TWIN,
    Answer,
    DeleteProxy,
    GraphQL,
    Place,
    expected,
    level_of,
    one,
    refill,
    resources,
    stored,
    without,
)

pytestmark = pytest.mark.live

# with how many levels go: the resource's own, and those above it
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
    (TWIN, 1): 2,
    (ITS_TWIN, 1, 1): 3,
    (TWIN,): 1,
    (ITS_TWIN, 1, 1, 1): 1,
}
ONLY_CHILDREN: Sequence[Place] = ((2,), (2, 1), (2, 1, 1), (2, 1, 1, 1))
UNKNOWN = "01234567-89abcdef-01234567-89abcdef-01234567"
MALFORMED = ("x", "1", UNKNOWN.upper(), f"{UNKNOWN}-01234567", f"{UNKNOWN} ", UNKNOWN.replace("-", ""), "..", "*")

each_place = pytest.mark.parametrize("place", PLACES, ids=str)


def state(orthanc: LocalOrthanc) -> Any:
    """What moves when anything is deleted or stored."""
    changes = json.loads(ask(orthanc, "/changes?limit=1000"))
    return stored(orthanc), json.loads(ask(orthanc, "/statistics")), changes["Last"], len(changes["Changes"])


@each_place
def test_what_goes_is_foretold_and_told(orthanc: LocalOrthanc, transport: GraphQL | REST, place: Place) -> None:
    before, moved = stored(orthanc), state(orthanc)

    foretold = GraphQL()(*_named(place), dryRun=True)
    assert state(orthanc) == moved
    answer = transport(*_named(place))

    gone = before - stored(orthanc)
    assert foretold == answer == expected(place)
    assert len(answer.deleted) == PLACES[place]
    assert stored(orthanc) == resources(without(place, ARCHIVE))
    # and so by what Orthanc had and has
    levels_below = {level.path for level in level_of(place).below}
    assert {other for other in gone if other.level not in levels_below} == set(answer.deleted)
    assert sum(other.level == "instances" for other in gone) == answer.instances
    assert answer.remaining is None or answer.remaining in stored(orthanc)


@pytest.mark.parametrize("variables", [{}, {"dryRun": None}, {"dryRun": False}], ids=str)
def test_without_a_dry_run_it_goes(orthanc: LocalOrthanc, variables: dict[str, Any]) -> None:
    assert GraphQL()(*_named((1, 1)), **variables) == expected((1, 1))
    assert stored(orthanc) == resources(without((1, 1), ARCHIVE))


def test_no_call_of_a_dry_run_can_delete(proxy: DeleteProxy) -> None:
    for place in PLACES:
        GraphQL()(*_named(place), dryRun=True)
    assert proxy.requests
    assert {request.method for request in proxy.requests} == {"GET", "POST"}
    assert {request.path for request in proxy.requests if request.method == "POST"} <= {
        "/tools/find",
        "/tools/bulk-content",
        "/tools/count-resources",
    }


def test_one_after_the_other_until_nothing_is_left(orthanc: LocalOrthanc, transport: GraphQL | REST) -> None:
    left = ARCHIVE
    for place in sorted(ARCHIVE):
        assert transport(*_named(place)) == expected(place, left)
        left = without(place, left)
        assert stored(orthanc) == resources(left)
    assert stored(orthanc) == frozenset()


class TestRemainingAncestor:
    QUERY = """
    mutation($id: ID!, $dryRun: Boolean = false) {
      deleteInstance(orthancId: $id, dryRun: $dryRun) { ...Told }
    }
    fragment Told on DeletePayload { left: remainingAncestor { ...Up ...Down } instancesCount }
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

    def test_is_a_series(self, orthanc: LocalOrthanc, graphql: Client) -> None:
        uid = "1.2.826.0.1.3680043.8.498.1.1.1"
        assert graphql(self.QUERY, id=_named((1, 1, 1, 2))[1])["deleteInstance"] == {
            "instancesCount": 1,
            "left": {
                "__typename": "Series",
                "instancesCount": 2,
                "study": {"studyInstanceUID": uid, "patient": {"patientId": "P001", "instancesCount": 6}},
                "instances": [{"instanceNumber": 1}, {"instanceNumber": 3}],
            },
        }

    def test_is_a_study(self, orthanc: LocalOrthanc, graphql: Client) -> None:
        assert graphql(self.QUERY, id=_named((4, 1, 1, 1))[1])["deleteInstance"]["left"] == {
            "__typename": "Study",
            "seriesCount": 1,
            "patient": {"patientId": "P004", "instancesCount": 1},
            "series": [{"seriesNumber": 2, "instances": [{"instanceNumber": 1}]}],
        }

    def test_is_a_patient(self, orthanc: LocalOrthanc, graphql: Client) -> None:
        assert graphql(self.QUERY, id=_named((3, 2, 1, 1))[1])["deleteInstance"]["left"] == {
            "__typename": "Patient",
            "patientId": "P003",
            "instancesCount": 2,
            "studies": [
                {"instancesCount": 2, "series": [{"instances": [{"instanceNumber": 1}, {"instanceNumber": 2}]}]}
            ],
        }

    def test_is_none(self, orthanc: LocalOrthanc, graphql: Client) -> None:
        assert graphql(self.QUERY, id=_named((2, 1, 1, 1))[1])["deleteInstance"]["left"] is None

    def test_is_as_it_is_now_in_a_dry_run(self, orthanc: LocalOrthanc, graphql: Client) -> None:
        left = graphql(self.QUERY, id=_named((1, 1, 1, 2))[1], dryRun=True)["deleteInstance"]["left"]
        assert left["instancesCount"] == 3
        assert left["study"]["patient"] == {"patientId": "P001", "instancesCount": 7}

    def test_of_several_deletions_in_one_request_is_as_each_left_it(
        self, orthanc: LocalOrthanc, graphql: Client
    ) -> None:
        places = [(1, 1, 2, 1), (1, 1, 2, 2), (1, 1), (1, 2, 1)]
        fields = " ".join(
            f'a{number}: delete{level_of(place).value}(orthancId: "{one(place).orthanc_id}")'
            " { deleted { level } remainingAncestor { __typename ... on Series { instancesCount }"
            " ... on Study { instancesCount } ... on Patient { instancesCount } } }"
            for number, place in enumerate(places)
        )
        told = graphql(f"mutation {{ {fields} }}").values()
        assert [[each["level"] for each in one_told["deleted"]] for one_told in told] == [
            ["INSTANCE"],
            ["INSTANCE", "SERIES"],
            ["STUDY"],
            ["SERIES", "STUDY", "PATIENT"],
        ]
        assert [one_told["remainingAncestor"] for one_told in told] == [
            {"__typename": "Series", "instancesCount": 1},
            {"__typename": "Study", "instancesCount": 3},
            {"__typename": "Patient", "instancesCount": 2},
            None,
        ]

    def test_needs_no_call_where_it_is_not_selected(self, proxy: DeleteProxy, graphql: Client) -> None:
        graphql(f'mutation {{ deleteInstance(orthancId: "{_named((1, 1, 1, 1))[1]}") {{ dryRun }} }}')
        assert proxy.requests[-1].method == "DELETE"


class TestNotFound:
    def test_is_an_unknown_id(self, orthanc: LocalOrthanc, transport: GraphQL | REST) -> None:
        before = state(orthanc)
        for level in Level:
            assert transport(level.path, UNKNOWN) == _not_found(transport, level)
        assert state(orthanc) == before

    def test_is_an_id_of_another_level(self, orthanc: LocalOrthanc, transport: GraphQL | REST) -> None:
        before = state(orthanc)
        for level in Level:
            for place in ONLY_CHILDREN:
                if level_of(place) is not level:
                    assert transport(level.path, one(place).orthanc_id) == _not_found(transport, level)
        assert state(orthanc) == before

    @pytest.mark.parametrize("place", ONLY_CHILDREN, ids=str)
    def test_is_what_was_deleted(self, orthanc: LocalOrthanc, transport: GraphQL | REST, place: Place) -> None:
        transport(*_named(place))
        before = state(orthanc)
        for gone in ONLY_CHILDREN:
            assert transport(*_named(gone)) == _not_found(transport, level_of(gone))
        assert state(orthanc) == before

    def test_is_what_somebody_else_deletes_after_it_was_looked_up(
        self, proxy: DeleteProxy, orthanc: LocalOrthanc, transport: GraphQL | REST
    ) -> None:
        for place in [*ONLY_CHILDREN, (1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)]:
            refill(orthanc)
            proxy.requests.clear()
            path = "/{}/{}".format(*_named(place))
            proxy.on_delete = partial(ask, orthanc, path, "DELETE")
            assert transport(*_named(place)) == _not_found(transport, level_of(place))
            assert proxy.deletes == [path]
            assert stored(orthanc) == resources(without(place, ARCHIVE))

    def test_is_said_of_a_dry_run(self, orthanc: LocalOrthanc) -> None:
        assert GraphQL()("series", UNKNOWN, dryRun=True) == _not_found(GraphQL(), Level.SERIES)
        assert GraphQL()("series", _named((1, 1))[1], dryRun=True) == _not_found(GraphQL(), Level.SERIES)


def test_parents_go_that_somebody_else_empties_meanwhile(
    proxy: DeleteProxy, orthanc: LocalOrthanc, transport: GraphQL | REST
) -> None:
    """What Orthanc says counts, not what was looked up."""
    proxy.on_delete = lambda: ask(orthanc, "/{}/{}".format(*_named((3, 1))), "DELETE")
    answer = transport(*_named((3, 2, 1, 1)))
    assert answer == expected((3, 2, 1, 1), without((3, 1), ARCHIVE))
    assert answer.deleted[-1] == one((3,))


def test_what_is_no_id_is_refused(proxy: DeleteProxy, orthanc: LocalOrthanc) -> None:
    for level, malformed in zip(cycle(Level), MALFORMED, strict=False):
        for dry_run in (False, True):
            answer = GraphQL()(level.path, malformed, dryRun=dry_run)
            assert (answer.status, answer.code) == (200, "BAD_USER_INPUT"), malformed
        answer = REST()(level.path, quote(malformed))
        assert (answer.status, answer.code) == (400, "BAD_USER_INPUT"), malformed
    assert proxy.deletes == []
    assert stored(orthanc) == resources(ARCHIVE)


def test_other_methods_delete_nothing(proxy: DeleteProxy, orthanc: LocalOrthanc) -> None:
    before = stored(orthanc)
    rest, graphql = REST(), GraphQL()
    for method in ("GET", "POST", "PUT", "PATCH"):
        status, _ = rest.send(method, "/api/orthanc/{}/{}/".format(*_named((1,))))
        assert status == 405
    status, _ = graphql.send("GET", f'/graphql/?query={MUTATION % "Patient"}&variables={{"id":"{_named((1,))[1]}"}}')
    assert status >= 400
    assert proxy.deletes == []
    assert stored(orthanc) == before


def _named(place: Place) -> tuple[str, str]:
    return one(place).level, one(place).orthanc_id


def _not_found(transport: GraphQL | REST, level: Level) -> Answer:
    status = 200 if isinstance(transport, GraphQL) else 404
    return Answer(status=status, code="NOT_FOUND", message=f"There is no such {level.value.lower()}.")
