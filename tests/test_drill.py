"""A short drill: two hosts lose nothing when a worker is killed and a disk fills up; the drill sees what is lost."""

from pathlib import Path

import pytest

from benchmarks.drill.__main__ import drill
from benchmarks.drill.deployment import deployed
from benchmarks.drill.faults import FAULTS
from benchmarks.drill.load import Success
from benchmarks.drill.report import Struck, compare
from orthancproxy.sandbox.orthanc import Installation

SHORT = ("kill -9 of a worker", "SIGTERM of a worker", "SIGTERM of a host", "disk of a host full")


@pytest.mark.live
@pytest.mark.once
@pytest.mark.long
def test_two_hosts_lose_double_and_misreport_nothing(tmp_path: Path) -> None:
    with deployed(tmp_path, Installation.find(), index_in_postgresql=False) as deployment:
        faults = [fault for fault in FAULTS if fault.name in SHORT]
        report = drill(deployment, faults, settle_seconds=3, seed=1)
    assert list(report.failures()) == [], "\n".join(report.lines())
    assert len(report.notes.acknowledged) > 20
    assert {one.kind for one in report.notes.successes} == {"upload", "delete", "query", "picture"}


def test_what_is_missing_is_lost_and_what_is_too_much_is_doubled() -> None:
    expected = {"p": {"a": 3, "b": 2}, "q": {"c": 1}}
    assert compare(expected, expected) == ([], [])
    lost, doubled = compare(expected, {"p": {"a": 2, "b": 4, "d": 1}})
    assert [line.split()[0] for line in sorted(lost)] == ["a", "c"]
    assert [line.split()[0] for line in sorted(doubled)] == ["b", "d"]


def test_an_outage_counts_from_the_end_of_the_fault() -> None:
    fault = Struck("a fault", began=100.0, over=105.0, next=120.0)
    answers = [Success("query", at - 0.1, at) for at in (99.0, 101.0, 107.5, 108.0, 119.5)]
    assert fault.outage(answers) == (11.5, "query")
    # what ends with the next fault counts, too
    assert fault.outage(answers[:-1]) == (12.0, "query")
    # none at all until the next fault
    assert fault.outage(answers[:1]) == (15.0, "query")
