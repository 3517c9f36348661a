"""Deletions at once, through a gateway of several processes: what went is named by exactly one of them."""

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
from tests.deletion.deleting import (
    TRANSPORTS,
    Answer,
    Place,
    expected,
    one,
    over_http,
    refill,
    resources,
    stored,
    without,
)

pytestmark = pytest.mark.live

ROUNDS = 12
# a neighbour of the same patient, and another patient
NEIGHBOURS: frozenset[Place] = frozenset({(1, 9, 1, 1), (2, 1, 1, 1)})
SERIES: frozenset[Place] = frozenset({(1, 1, 1, number) for number in (1, 2, 3, 4)})

Delete = Callable[[Place], Answer]


@pytest.fixture(scope="module")
def gateway(dwindling_orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with serving(dwindling_orthanc.base_url, folder, workers=2) as running:
        yield running


def over(name: str, gateway: LocalGateway) -> Delete:
    """Delete by one of the transports."""
    transport = TRANSPORTS[name](over_http(gateway.port))
    return lambda place: transport(one(place).level, one(place).orthanc_id)


def at_once(deletions: Sequence[tuple[Delete, Place]]) -> list[Answer]:
    """Delete in threads that begin together."""
    barrier = threading.Barrier(len(deletions))

    def run(deletion: tuple[Delete, Place]) -> Answer:
        delete, place = deletion
        barrier.wait(30)
        return delete(place)

    with ThreadPoolExecutor(len(deletions)) as pool:
        return list(pool.map(run, deletions))


def check(orthanc: LocalOrthanc, before: frozenset[Place], places: Sequence[Place], answers: Sequence[Answer]) -> None:
    """All that was named went and nothing else did; what went was named by exactly one."""
    left = before
    for place, answer in zip(places, answers, strict=True):
        left = without(place, left)
        if answer.code:
            assert (answer.code, answer.deleted) == ("NOT_FOUND", ())
            assert answer.status in (200, 404)
        else:
            assert answer.deleted[0] == one(place)
            assert answer.remaining is None or answer.remaining in resources(before)
    assert stored(orthanc) == resources(left)
    named = list(chain.from_iterable(answer.deleted for answer in answers))
    assert len(named) == len(set(named))
    assert set(named) <= resources(before) - resources(left)
    # instances and series can go unnamed with what is above them, but only with it
    tops = {one(place) for place in places} & set(named)
    assert tops


TWO = [("GraphQL", "GraphQL"), ("GraphQL", "REST"), ("REST", "REST")]


@pytest.mark.parametrize("names", TWO, ids="+".join)
@pytest.mark.parametrize("neighbours", [NEIGHBOURS, frozenset({(2, 1, 1, 1)})], ids=["patient stays", "patient goes"])
def test_the_last_two_instances_of_a_series(
    dwindling_orthanc: LocalOrthanc, gateway: LocalGateway, names: Sequence[str], neighbours: frozenset[Place]
) -> None:
    """Both succeed, and one of them, that which came last to Orthanc, took the parents along."""
    places: list[Place] = [(1, 1, 1, 1), (1, 1, 1, 2)]
    before = neighbours | frozenset(places)
    deletes = [over(name, gateway) for name in names]
    for _ in range(ROUNDS):
        refill(dwindling_orthanc, before)

        answers = at_once(list(zip(deletes, places, strict=True)))

        in_order = sorted(zip(answers, places, strict=True), key=lambda told: len(told[0].deleted))
        [(first, its_place), (last, last_place)] = in_order
        assert first.deleted == expected(its_place, before).deleted
        # another may have emptied it by the time that GraphQL looks it up
        assert first.remaining in (expected(its_place, before).remaining, None)
        assert last == expected(last_place, without(its_place, before))
        check(dwindling_orthanc, before, places, answers)


def test_all_instances_of_a_series_and_a_neighbour(dwindling_orthanc: LocalOrthanc, gateway: LocalGateway) -> None:
    places: list[Place] = [*sorted(SERIES), (1, 9, 1, 1), (3, 1, 1, 1)]
    deletes = [over(name, gateway) for name in ("GraphQL", "REST") * 3]
    before = SERIES | NEIGHBOURS | {(3, 1, 1, 1)}
    for _ in range(ROUNDS):
        refill(dwindling_orthanc, before)

        answers = at_once(list(zip(deletes, places, strict=True)))

        assert {answer.code for answer in answers} == {""}
        named = [name for answer in answers for name in answer.deleted]
        assert sorted(named) == sorted(resources(before) - resources({(2, 1, 1, 1)}))
        assert sum(answer.instances for answer in answers) == len(places)
        check(dwindling_orthanc, before, places, answers)


@pytest.mark.parametrize("names", [("GraphQL", "REST"), ("REST", "GraphQL")], ids="+".join)
@pytest.mark.parametrize("above", [(1,), (1, 1), (1, 1, 1)], ids=["patient", "study", "series"])
def test_an_instance_and_what_is_above_it(
    dwindling_orthanc: LocalOrthanc, gateway: LocalGateway, names: Sequence[str], above: Place
) -> None:
    places: list[Place] = [above, (1, 1, 1, 2)]
    before = SERIES | NEIGHBOURS
    deletes = [over(name, gateway) for name in names]
    for _ in range(ROUNDS):
        refill(dwindling_orthanc, before)

        answers = at_once(list(zip(deletes, places, strict=True)))

        whole, part = answers
        assert whole.deleted == expected(above, before).deleted
        assert whole.remaining == expected(above, before).remaining
        # whether it counts the instance that went just before, who can tell
        assert expected(above, before).instances - whole.instances in (0, 1)
        assert part.code in ("", "NOT_FOUND")
        assert part.deleted in ((), (one((1, 1, 1, 2)),))
        check(dwindling_orthanc, before, places, answers)


def test_a_patient_its_only_study_and_that_ones_only_series(
    dwindling_orthanc: LocalOrthanc, gateway: LocalGateway
) -> None:
    """One names itself and those above it; those below it can't be deleted after it."""
    places: list[Place] = [(1,), (1, 1), (1, 1, 1)]
    before = SERIES | {(2, 1, 1, 1)}
    deletes = [over(name, gateway) for name in ("REST", "GraphQL", "REST")]
    for _ in range(ROUNDS):
        refill(dwindling_orthanc, before)

        answers = at_once(list(zip(deletes, places, strict=True)))

        [(done, place)] = [told for told in zip(answers, places, strict=True) if not told[0].code]
        assert done == expected(place, before)
        check(dwindling_orthanc, before, places, answers)


@pytest.mark.parametrize("place", [(1, 1, 1, 1), (1, 1, 1), (1, 1), (1,)], ids=str)
def test_the_same_resource_goes_once(dwindling_orthanc: LocalOrthanc, gateway: LocalGateway, place: Place) -> None:
    places = [place] * 4
    before = SERIES | NEIGHBOURS
    deletes = [over(name, gateway) for name in ("GraphQL", "REST") * 2]
    for _ in range(ROUNDS // 2):
        refill(dwindling_orthanc, before)

        answers = at_once(list(zip(deletes, places, strict=True)))

        assert [answer for answer in answers if not answer.code] == [expected(place, before)]
        check(dwindling_orthanc, before, places, answers)


def test_each_is_in_the_audit_after_its_intention(dwindling_orthanc: LocalOrthanc, gateway: LocalGateway) -> None:
    """Though several processes write to one SQLite file at once."""
    places: list[Place] = [*sorted(SERIES), (1, 1), (1, 1)]
    deletes = [over(name, gateway) for name in ("GraphQL", "REST") * 3]
    rows_before = audited(gateway)
    codes: Counter[str] = Counter()
    for _ in range(ROUNDS):
        refill(dwindling_orthanc, SERIES | NEIGHBOURS)
        codes.update(answer.code for answer in at_once(list(zip(deletes, places, strict=True))))

    rows = audited(gateway) - rows_before

    assert set(codes) <= {"", "NOT_FOUND"}
    assert rows["SUCCESS", "", True] == codes[""]
    # looked up in vain, or gone when it was to be deleted
    assert rows["FAILED", "NOT_FOUND", False] + rows["FAILED", "NOT_FOUND", True] == codes["NOT_FOUND"]
    assert rows["INTENDED", "", False] == codes[""] + rows["FAILED", "NOT_FOUND", True]
    assert rows.total() == codes.total() + rows["INTENDED", "", False]


def audited(gateway: LocalGateway) -> Counter[tuple[str, str, bool]]:
    """How many deletions its audit has with which outcome and code, after an intention or without one."""
    [database] = (gateway.log.parent / "data").glob("*.sqlite3")
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT outcome, error_code, intention_id FROM orthancproxy_auditevent WHERE event = 'DELETION'"
        )
        return Counter((outcome, code, intention is not None) for outcome, code, intention in rows)
