"""Concurrent deletions through a gateway with several processes: each deleted resource is in exactly one result."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain

import pytest

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.deletion.deletion_client import (
    TRANSPORTS,
    DeletionResult,
    Place,
    expected_result,
    over_http,
    refill,
    resource_at,
    resources_of,
    stored_resources,
    without,
)

pytestmark = pytest.mark.live

ROUNDS = 12
# a neighbour of the same patient, and another patient
NEIGHBOURS: frozenset[Place] = frozenset({(1, 9, 1, 1), (2, 1, 1, 1)})
SERIES: frozenset[Place] = frozenset({(1, 1, 1, number) for number in (1, 2, 3, 4)})

Delete = Callable[[Place], DeletionResult]


@pytest.fixture(scope="module")
def gateway(module_orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with serving(module_orthanc.base_url, folder, workers=2) as running:
        yield running


def deletion_over(name: str, gateway: LocalGateway) -> Delete:
    """Return a function that deletes over one of the transports."""
    transport = TRANSPORTS[name](over_http(gateway.port))
    return lambda place: transport(resource_at(place).level, resource_at(place).orthanc_id)


def delete_concurrently(deletions: Sequence[tuple[Delete, Place]]) -> list[DeletionResult]:
    """Delete in threads that start at the same time."""
    barrier = threading.Barrier(len(deletions))

    def run(deletion: tuple[Delete, Place]) -> DeletionResult:
        delete, place = deletion
        barrier.wait(30)
        return delete(place)

    with ThreadPoolExecutor(len(deletions)) as pool:
        return list(pool.map(run, deletions))


def assert_consistent(
    orthanc: LocalOrthanc, before: frozenset[Place], places: Sequence[Place], answers: Sequence[DeletionResult]
) -> None:
    """Assert that Orthanc lost exactly the requested resources, and that no two results name the same one."""
    left = before
    for place, answer in zip(places, answers, strict=True):
        left = without(place, left)
        if answer.code:
            assert (answer.code, answer.deleted) == ("NOT_FOUND", ())
            assert answer.status in (200, 404)
        else:
            assert answer.deleted[0] == resource_at(place)
            assert answer.remaining is None or answer.remaining in resources_of(before)
    assert stored_resources(orthanc) == resources_of(left)
    named = list(chain.from_iterable(answer.deleted for answer in answers))
    assert len(named) == len(set(named))
    assert set(named) <= resources_of(before) - resources_of(left)
    # a requested resource is in no result if it was deleted together with its ancestor
    tops = {resource_at(place) for place in places} & set(named)
    assert tops


TRANSPORT_PAIRS = [("GraphQL", "GraphQL"), ("GraphQL", "REST"), ("REST", "REST")]


@pytest.mark.parametrize("names", TRANSPORT_PAIRS, ids="+".join)
@pytest.mark.parametrize("neighbours", [NEIGHBOURS, frozenset({(2, 1, 1, 1)})], ids=["patient stays", "patient goes"])
def test_one_of_two_deletions_of_the_last_instances_of_a_series_deletes_its_ancestors(
    module_orthanc: LocalOrthanc, gateway: LocalGateway, names: Sequence[str], neighbours: frozenset[Place]
) -> None:
    """Both succeed; the one that reaches Orthanc last deletes the ancestors too."""
    places: list[Place] = [(1, 1, 1, 1), (1, 1, 1, 2)]
    before = neighbours | frozenset(places)
    deletes = [deletion_over(name, gateway) for name in names]
    for _ in range(ROUNDS):
        refill(module_orthanc, before)

        answers = delete_concurrently(list(zip(deletes, places, strict=True)))

        in_order = sorted(zip(answers, places, strict=True), key=lambda pair: len(pair[0].deleted))
        [(first, its_place), (last, last_place)] = in_order
        assert first.deleted == expected_result(its_place, before).deleted
        # the other deletion may have removed the ancestor before GraphQL reads it
        assert first.remaining in (expected_result(its_place, before).remaining, None)
        assert last == expected_result(last_place, without(its_place, before))
        assert_consistent(module_orthanc, before, places, answers)


def test_deletions_of_all_instances_of_a_series_and_of_other_series_all_succeed(
    module_orthanc: LocalOrthanc, gateway: LocalGateway
) -> None:
    places: list[Place] = [*sorted(SERIES), (1, 9, 1, 1), (3, 1, 1, 1)]
    deletes = [deletion_over(name, gateway) for name in ("GraphQL", "REST") * 3]
    before = SERIES | NEIGHBOURS | {(3, 1, 1, 1)}
    for _ in range(ROUNDS):
        refill(module_orthanc, before)

        answers = delete_concurrently(list(zip(deletes, places, strict=True)))

        assert {answer.code for answer in answers} == {""}
        named = [name for answer in answers for name in answer.deleted]
        assert sorted(named) == sorted(resources_of(before) - resources_of({(2, 1, 1, 1)}))
        assert sum(answer.instances for answer in answers) == len(places)
        assert_consistent(module_orthanc, before, places, answers)


@pytest.mark.parametrize("names", [("GraphQL", "REST"), ("REST", "GraphQL")], ids="+".join)
@pytest.mark.parametrize("above", [(1,), (1, 1), (1, 1, 1)], ids=["patient", "study", "series"])
def test_deletion_of_an_ancestor_succeeds_next_to_one_of_its_instance(
    module_orthanc: LocalOrthanc, gateway: LocalGateway, names: Sequence[str], above: Place
) -> None:
    places: list[Place] = [above, (1, 1, 1, 2)]
    before = SERIES | NEIGHBOURS
    deletes = [deletion_over(name, gateway) for name in names]
    for _ in range(ROUNDS):
        refill(module_orthanc, before)

        answers = delete_concurrently(list(zip(deletes, places, strict=True)))

        whole, part = answers
        assert whole.deleted == expected_result(above, before).deleted
        assert whole.remaining == expected_result(above, before).remaining
        # the count includes the instance unless its own deletion came first
        assert expected_result(above, before).instances - whole.instances in (0, 1)
        assert part.code in ("", "NOT_FOUND")
        assert part.deleted in ((), (resource_at((1, 1, 1, 2)),))
        assert_consistent(module_orthanc, before, places, answers)


def test_one_of_the_deletions_of_a_patient_its_only_study_and_its_only_series_succeeds(
    module_orthanc: LocalOrthanc, gateway: LocalGateway
) -> None:
    """Its result names its resource and the ancestors; the descendants are gone."""
    places: list[Place] = [(1,), (1, 1), (1, 1, 1)]
    before = SERIES | {(2, 1, 1, 1)}
    deletes = [deletion_over(name, gateway) for name in ("REST", "GraphQL", "REST")]
    for _ in range(ROUNDS):
        refill(module_orthanc, before)

        answers = delete_concurrently(list(zip(deletes, places, strict=True)))

        [(done, place)] = [pair for pair in zip(answers, places, strict=True) if not pair[0].code]
        assert done == expected_result(place, before)
        assert_consistent(module_orthanc, before, places, answers)


@pytest.mark.parametrize("place", [(1, 1, 1, 1), (1, 1, 1), (1, 1), (1,)], ids=str)
def test_one_of_four_deletions_of_the_same_resource_succeeds(
    module_orthanc: LocalOrthanc, gateway: LocalGateway, place: Place
) -> None:
    places = [place] * 4
    before = SERIES | NEIGHBOURS
    deletes = [deletion_over(name, gateway) for name in ("GraphQL", "REST") * 2]
    for _ in range(ROUNDS // 2):
        refill(module_orthanc, before)

        answers = delete_concurrently(list(zip(deletes, places, strict=True)))

        assert [answer for answer in answers if not answer.code] == [expected_result(place, before)]
        assert_consistent(module_orthanc, before, places, answers)


def test_each_deletion_has_an_intent_and_an_outcome_in_the_audit_log(
    module_orthanc: LocalOrthanc, gateway: LocalGateway
) -> None:
    """Several processes write to one SQLite file at the same time."""
    places: list[Place] = [*sorted(SERIES), (1, 1), (1, 1)]
    deletes = [deletion_over(name, gateway) for name in ("GraphQL", "REST") * 3]
    rows_before = audited_outcomes(gateway)
    codes: Counter[str] = Counter()
    for _ in range(ROUNDS):
        refill(module_orthanc, SERIES | NEIGHBOURS)
        codes.update(answer.code for answer in delete_concurrently(list(zip(deletes, places, strict=True))))

    rows = audited_outcomes(gateway) - rows_before

    assert set(codes) <= {"", "NOT_FOUND"}
    assert rows["SUCCESS", "", True] == codes[""]
    # not found by the lookup, or not found by the deletion
    assert rows["FAILED", "NOT_FOUND", False] + rows["FAILED", "NOT_FOUND", True] == codes["NOT_FOUND"]
    assert rows["INTENDED", "", False] == codes[""] + rows["FAILED", "NOT_FOUND", True]
    assert rows.total() == codes.total() + rows["INTENDED", "", False]


def audited_outcomes(gateway: LocalGateway) -> Counter[tuple[str, str, bool]]:
    """Count the deletions in the audit log by outcome, error code, and whether they have an intent."""
    [database] = (gateway.log.parent / "data").glob("*.sqlite3")
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT outcome, error_code, intention_id FROM orthancproxy_auditevent WHERE event = 'DELETION'"
        )
        return Counter((outcome, code, intention is not None) for outcome, code, intention in rows)
