"""Corrections of many instances: what a step costs does not grow with their number, and is shown as progress."""

import json
from collections import Counter
from typing import Any

import pytest

from orthancproxy.archive import storage
from orthancproxy.jobs.models import Job, JobPhase
from orthancproxy.jobs.moves import ReplacementProgress
from orthancproxy.orthanc.calls import recording
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.conftest import GraphQL
from tests.corpus import ask, instance, load
from tests.jobs.conftest import Clock
from tests.jobs.correcting import CANCEL, correct
from tests.jobs.servers import clear
from tests.jobs.test_correcting import slow_follower
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

STUDY = Target.at(1).ids["studies"]
INSTANCES = 12


@pytest.fixture
def study(gateway: LocalOrthanc) -> str:
    """A study of one series."""
    clear(gateway)
    load(gateway, [instance(1, 1, 1, number, PixelData=bytes([number, 0]) * 64) for number in range(1, INSTANCES + 1)])
    return STUDY


def test_a_step_of_one_instance_looks_at_that_one(
    study: str, superuser: GraphQL, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = Counter[str]()
    target_of = ReplacementProgress.target_of

    def counted(progress: ReplacementProgress, moved: Any, uid: str) -> str:
        derived[uid] += 1
        return target_of(progress, moved, uid)

    monkeypatch.setattr(ReplacementProgress, "target_of", counted)
    correct(superuser, "modifyStudy", study, {"StudyDescription": "x"})
    follower, shares = slow_follower(clock), [0.0]
    while Job.objects.get().ended_at is None:
        follower.step()
        shares.append(Job.objects.get().progress)
    # copied, expected as a whole, compared, deleted
    assert derived == dict.fromkeys(derived, 4)
    assert len(derived) == INSTANCES
    assert shares == sorted(shares)
    # three phases
    assert len(set(shares)) >= 3 * INSTANCES


@pytest.mark.parametrize("values", [{"StudyDescription": "x"}, {"PatientID": "Q1"}], ids=["new", "kept"])
def test_copies_are_listed_once_and_deleted_in_parts(
    values: dict[str, str],
    gateway: LocalOrthanc,
    study: str,
    superuser: GraphQL,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "INSTANCES_PER_DELETION", 4)
    job = correct(superuser, "modifyStudy", study, values, keepUids="PatientID" in values)["job"]
    follower = slow_follower(clock)

    def stored() -> int:
        return len(json.loads(ask(gateway, "/instances")))

    wait_until(lambda: bool(follower.step()) and stored() == 2 * INSTANCES)
    superuser(CANCEL, id=job["id"])
    left, steps = [], 0
    with recording() as log:
        while Job.objects.get().ended_at is None:
            follower.step()
            steps += 1
            if Job.objects.get().phase == JobPhase.UNDOING:
                left.append(stored())
    assert left[:3] == [INSTANCES + 8, INSTANCES + 4, INSTANCES]
    calls = Counter(one.template for one in log.calls)
    assert calls["/tools/bulk-delete"] == 3
    # of the copies when the first and when the last are deleted, and of the originals
    lists = calls["/tools/find"] + calls["/tools/bulk-content"]
    assert lists <= 10
