"""Corrections whose process is killed at each point: no image is lost, none is left over, and the job tells the truth.

Between two changes, of the archive or of the job's row, a death makes no difference: so it is before each of them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import ArchiveUnavailable
from orthancproxy.jobs.correcting import plan_correction
from orthancproxy.jobs.following import ATTEMPT_DURATION, JobFollower
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.replacing import Replacing
from orthancproxy.jobs.work import Work, WorkContext
from orthancproxy.jobs.works import WORKS
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.endpoints import Endpoint
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.conftest import GraphQL
from tests.corpus import instance, load
from tests.jobs.conftest import Clock
from tests.jobs.correcting import CANCEL, JOB, Archive, audited, correct
from tests.jobs.servers import clear
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

ONE = Target.at(1)
STUDY = ONE.ids["studies"]
# each instance is a step of its own
SMALL_STEPS: Mapping[str, Work] = {JobKind.MODIFY: Replacing(plan_correction, max_seconds=0)}
CHANGING = ("POST", "PUT", "DELETE")
READING = ("/tools/find", "/tools/bulk-content", "/tools/count-resources")


def is_change(endpoint: Endpoint) -> bool:
    """Whether a call changes the archive."""
    return endpoint.method in CHANGING and endpoint.template not in READING


class _KilledError(BaseException):
    """Ends a process at some point."""


class Death:
    """Kills a process before its change of this number, whether of the archive or of a job."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self) -> None:
        if self.left == 0:
            raise _KilledError
        self.left -= 1

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Wait for the changes within the block."""

        def of_database(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            if sql.startswith('UPDATE "orthancproxy_job"'):
                self()
            return execute(sql, *rest)

        def of_archive(client: OrthancClient, held: Any, kind: Any, endpoint: Any, *rest: Any, **more: Any) -> Any:
            if is_change(endpoint):
                self()
            return send(client, held, kind, endpoint, *rest, **more)

        send = OrthancClient._send
        with pytest.MonkeyPatch.context() as patch, connection.execute_wrapper(of_database):
            patch.setattr(OrthancClient, "_send", of_archive)
            yield


def files(*, of_series: bool) -> list[bytes]:
    """A study of two instances, of one series or of two, and another study of the patient."""
    places = [(1, 1, 1), (1, 2, 1) if of_series else (1, 1, 2), (2, 1, 1)]
    return [instance(1, *place, PixelData=bytes([*place, 0]) * 32) for place in places]


def new_follower(clock: Clock, works: Mapping[str, Work] = WORKS) -> JobFollower:
    return JobFollower(WorkContext(connect(), lambda _changes: None), lambda: True, clock, works=works)


def step_to_the_end(follower: JobFollower) -> Job:
    def has_ended() -> bool:
        follower.step()
        return Job.objects.get().ended_at is not None

    wait_until(has_ended)
    return Job.objects.get()


def dies(death: Death, clock: Clock) -> bool:
    """Carry the job out in a process that dies; return whether it did before the end."""
    follower = new_follower(clock, SMALL_STEPS)
    try:
        with death.waits():
            step_to_the_end(follower)
    except _KilledError:
        return True
    return False


class Walk:
    """A correction that is begun anew for each death."""

    def __init__(self, gateway: LocalOrthanc, graphql: GraphQL, *, keep_uids: bool) -> None:
        self._gateway, self._graphql, self._keep_uids = gateway, graphql, keep_uids
        self.before = Archive.of(gateway)
        self.job: dict[str, Any] = {}
        self._known_events = 0

    def begin(self) -> None:
        clear(self._gateway)
        load(self._gateway, files(of_series=self._keep_uids))
        Job.objects.all().delete()
        self._known_events = AuditEvent.objects.filter(event="MODIFIED").count()
        self.before = Archive.of(self._gateway)
        values = {"PatientID": "Q1", "StudyDescription": "뇌"} if not self._keep_uids else {"StudyDescription": "뇌"}
        self.job = correct(self._graphql, "modifyStudy", STUDY, values, keepUids=self._keep_uids)["job"]

    def assert_corrected(self) -> None:
        """The study is corrected as a whole, the other one untouched, and one outcome written."""
        found = self._graphql(JOB, id=self.job["id"])["job"]
        assert (found["state"], found["error"], found["result"]["instancesCount"]) == ("SUCCESS", None, 2)
        [made] = found["result"]["studies"]
        after = Archive.of(self._gateway)
        assert after.pixels == self.before.pixels
        patient_id = "P001" if self._keep_uids else "Q1"
        assert after.studies() == {(patient_id, made["studyInstanceUID"]): 2, ("P001", Target.at(1, 2).study_uid): 1}
        assert (made["studyInstanceUID"] == ONE.study_uid) == self._keep_uids
        assert after.values("StudyDescription", made["studyInstanceUID"]) == {"뇌"}
        self.assert_audited("SUCCESS")
        _, subjects, ways = audited()
        assert (patient_id, made["studyInstanceUID"]) in subjects
        assert (ways[0][0], ways[-1][1:]) == (ONE.study_uid, (made["studyInstanceUID"], patient_id))

    def assert_untouched(self) -> None:
        found = self._graphql(JOB, id=self.job["id"])["job"]
        assert (found["state"], found["result"]["studies"]) == ("CANCELLED", [])
        assert Archive.of(self._gateway).files == self.before.files
        self.assert_audited("FAILED")
        assert audited()[2] == []

    def assert_audited(self, outcome: str) -> None:
        events = AuditEvent.objects.filter(event="MODIFIED").order_by("pk")
        assert [one.outcome for one in events[self._known_events :]] == ["INTENDED", outcome]


# the calls to Orthanc are those of the other one
@pytest.mark.parametrize("keep_uids", [False, pytest.param(True, marks=pytest.mark.once)])
def test_a_killed_process_loses_nothing_and_another_one_goes_on(
    keep_uids: bool, gateway: LocalOrthanc, superuser: GraphQL, clock: Clock
) -> None:
    walk = Walk(gateway, superuser, keep_uids=keep_uids)
    deaths = 0
    while True:
        walk.begin()
        is_dead = dies(Death(deaths), clock)
        if not is_dead:
            break
        # never less than all images
        assert set(Archive.of(gateway).pixels) == set(walk.before.pixels)
        clock.ahead += 2 * ATTEMPT_DURATION
        step_to_the_end(new_follower(clock))
        walk.assert_corrected()
        deaths += 1
    walk.assert_corrected()
    assert deaths > 20


@pytest.mark.parametrize("keep_uids", [False, True])
def test_what_is_cancelled_after_a_death_is_undone_or_done(
    keep_uids: bool, gateway: LocalOrthanc, superuser: GraphQL, clock: Clock
) -> None:
    walk = Walk(gateway, superuser, keep_uids=keep_uids)
    deaths, states = 0, []
    while True:
        walk.begin()
        if not dies(Death(deaths), clock):
            break
        superuser(CANCEL, id=walk.job["id"])
        # who undoes it dies as well
        dies(Death(deaths % 3), clock)
        clock.ahead += 2 * ATTEMPT_DURATION
        states.append(step_to_the_end(new_follower(clock)).state)
        if states[-1] == "CANCELLED":
            walk.assert_untouched()
        else:
            walk.assert_corrected()
        deaths += 3
    assert states == sorted(states)
    assert set(states) == {"CANCELLED", "SUCCESS"}


def repeat(step: Callable[[], object]) -> None:
    """Do some steps, of which not all need Orthanc."""
    for _ in range(10):
        step()


@pytest.mark.parametrize("steps", [3, 6, 9])
def test_a_killed_orthanc_loses_nothing(steps: int, gateway: LocalOrthanc, superuser: GraphQL, clock: Clock) -> None:
    walk = Walk(gateway, superuser, keep_uids=False)
    walk.begin()
    follower = new_follower(clock, SMALL_STEPS)
    for _ in range(steps):
        follower.step()
    assert Job.objects.get().ended_at is None
    gateway.kill()
    with pytest.raises(ArchiveUnavailable):
        repeat(follower.step)
    gateway.start()
    step_to_the_end(new_follower(clock))
    walk.assert_corrected()
