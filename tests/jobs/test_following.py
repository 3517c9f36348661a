"""Following jobs: Orthanc is restarted, processes die at each step, and no job goes on for ever."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.archive.orthanc_jobs import cancel_job, find_job, look_up_job
from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import ArchiveUnavailable, GatewayUnavailable, NotFound
from orthancproxy.jobs import sending
from orthancproxy.jobs.following import ATTEMPT_DURATION, MAX_ATTEMPTS, MISSING_DURATION, JobFollower
from orthancproxy.jobs.models import Job, JobState
from orthancproxy.jobs.rows import advance, finish
from orthancproxy.jobs.work import Outcome, WorkContext
from orthancproxy.orthanc.calls import recording
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.conftest import GraphQL
from tests.corpus import instance, load
from tests.jobs.conftest import Clock, work_context
from tests.jobs.servers import count
from tests.jobs.test_sending import CANCEL, follow, look, send
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
LARGE = Target.at(7).ids["studies"]


@pytest.fixture(scope="module")
def large(source: LocalOrthanc) -> None:
    load(source, [instance(7, 1, 1, number) for number in range(1, 2001)])


def sent_in_part(graphql: GraphQL, follower: JobFollower, remote: LocalOrthanc) -> dict[str, Any]:
    """Send a large study, and wait until a part of it has arrived."""
    job = send(graphql, "STUDY", LARGE)
    follower.step()
    wait_until(lambda: count(remote) > 50)
    follower.step()
    assert look(graphql, job)["state"] == "RUNNING"
    return job


def step_until(follower: JobFollower, condition: Callable[[], object]) -> None:
    def holds() -> object:
        with suppress(ArchiveUnavailable, GatewayUnavailable):
            follower.step()
        return condition()

    wait_until(holds)


class TestRestarts:
    def test_a_job_survives_that_orthanc_is_killed(
        self,
        large: None,
        gateway: LocalOrthanc,
        remote: LocalOrthanc,
        graphql: GraphQL,
        make_follower: Make,
        clock: Clock,
    ) -> None:
        follower = make_follower()
        job = sent_in_part(graphql, follower, remote)
        gateway.kill()
        with pytest.raises(ArchiveUnavailable):
            follower.step()
        arrived = count(remote)
        assert arrived < 2000
        gateway.start()
        # Orthanc may have saved the job before it was killed
        follower.step()
        clock.ahead += 2 * MISSING_DURATION
        ended = follow(graphql, job, follower)
        assert (ended["state"], ended["result"]) == ("SUCCESS", {"instancesCount": 2000})
        assert count(remote) == 2000
        assert AuditEvent.objects.filter(event="SENT").count() == 2

    def test_a_job_that_orthanc_loses_each_time_fails(
        self,
        large: None,
        gateway: LocalOrthanc,
        remote: LocalOrthanc,
        graphql: GraphQL,
        make_follower: Make,
        clock: Clock,
    ) -> None:
        job = send(graphql, "STUDY", LARGE)
        follower, begun = make_follower(), set()
        for _ in range(100):
            follower.step()
            row = Job.objects.get()
            if row.ended_at:
                break
            if row.orthanc_job and row.orthanc_job not in begun:
                begun.add(row.orthanc_job)
                # as if another process of Orthanc had answered
                Job.objects.update(orthanc_job=f"00000000-0000-4000-8000-{len(begun):012}")
                begun.add(Job.objects.get().orthanc_job)
            clock.ahead += 2 * MISSING_DURATION
        assert len(begun) == 2 * MAX_ATTEMPTS
        ended = look(graphql, job)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "JOB_LOST")

    def test_a_job_ends_when_its_server_is_killed(
        self, large: None, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        follower = make_follower()
        job = sent_in_part(graphql, follower, remote)
        remote.kill()
        try:
            ended = follow(graphql, job, follower)
        finally:
            remote.start()
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "DESTINATION_FAILED")

    def test_a_job_that_orthanc_has_not_told_of_for_a_day_fails(
        self, large: None, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make, clock: Clock
    ) -> None:
        send(graphql, "STUDY", LARGE)
        follower = make_follower()
        follower.step()
        gateway.kill()
        try:
            clock.ahead += timedelta(hours=23)
            with pytest.raises(ArchiveUnavailable):
                follower.step()
            assert Job.objects.get().ended_at is None
            clock.ahead += timedelta(hours=2)
            follower.step()
        finally:
            gateway.start()
        assert Job.objects.get().error["code"] == "JOB_LOST"  # type: ignore[index]

    def test_a_job_can_be_cancelled_that_orthanc_has_lost(
        self, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make, clock: Clock
    ) -> None:
        job, follower = send(graphql, modality="DEAD"), make_follower()
        follower.step()
        Job.objects.update(orthanc_job="00000000-0000-4000-8000-000000000000")
        graphql(CANCEL, id=job["id"])
        follower.step()
        clock.ahead += 2 * MISSING_DURATION
        follower.step()
        assert look(graphql, job)["state"] == "CANCELLED"

    def test_a_job_can_be_cancelled_that_orthanc_forgets_meanwhile(self, gateway: LocalOrthanc) -> None:
        unknown = "00000000-0000-4000-8000-000000000000"
        assert look_up_job(connect(), unknown) is None
        cancel_job(connect(), unknown)


class _KilledError(BaseException):
    """Ends a process at some point."""


class TestProcesses:
    def test_another_process_follows_a_job_to_its_end(
        self, large: None, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        job = sent_in_part(graphql, make_follower(), remote)
        ended = follow(graphql, job, make_follower())
        assert (ended["state"], count(remote)) == ("SUCCESS", 2000)
        assert Job.objects.get().attempts == 1

    def test_a_job_is_found_again_whose_id_was_lost(
        self,
        large: None,
        gateway: LocalOrthanc,
        remote: LocalOrthanc,
        graphql: GraphQL,
        make_follower: Make,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        job = send(graphql, "STUDY", LARGE)
        begin = sending.begin

        def begin_and_die(*arguments: Any) -> str:
            begin(*arguments)
            raise _KilledError

        with monkeypatch.context() as patch:
            patch.setattr(sending, "begin", begin_and_die)
            with pytest.raises(_KilledError):
                make_follower().step()
        row = Job.objects.get()
        assert (row.orthanc_job, row.attempts) == ("", 1)
        follower = make_follower()
        follower.step()
        row.refresh_from_db()
        has_user_data = connect().capabilities().is_since(1, 12, 9)
        if has_user_data:
            found = find_job(connect(), row.attempt)
            assert found is not None
            assert found.id == row.orthanc_job
        clock.ahead += 2 * ATTEMPT_DURATION
        ended = follow(graphql, job, follower)
        assert (ended["state"], count(remote)) == ("SUCCESS", 2000)
        # sent twice where it cannot be found
        assert Job.objects.get().attempts == (1 if has_user_data else 2)

    def test_a_job_that_another_process_begins_meanwhile_is_not_begun_twice(
        self, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        send(graphql)
        first, other = make_follower(), make_follower()
        steps = iter([other.step])

        def step_after_the_list_of_jobs(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
            found = execute(sql, *arguments)
            if "LIMIT" in sql and (step := next(steps, None)):
                step()
            return found

        with connection.execute_wrapper(step_after_the_list_of_jobs):
            first.step()
        assert next(steps, None) is None
        assert Job.objects.get().attempts == 1

    def test_a_process_that_dies_before_it_begins_a_job_leaves_it_to_another(
        self,
        gateway: LocalOrthanc,
        graphql: GraphQL,
        make_follower: Make,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        job = send(graphql)

        def die(*_: Any) -> str:
            raise _KilledError

        with monkeypatch.context() as patch:
            patch.setattr(sending, "begin", die)
            with pytest.raises(_KilledError):
                make_follower().step()
        follower = make_follower()
        follower.step()
        # somebody may still be beginning it
        assert Job.objects.get().attempts == 1
        clock.ahead += 2 * ATTEMPT_DURATION
        assert follow(graphql, job, follower)["state"] == "SUCCESS"
        assert Job.objects.get().attempts == 2

    def test_what_two_processes_begin_is_cancelled_once(
        self,
        large: None,
        gateway: LocalOrthanc,
        remote: LocalOrthanc,
        graphql: GraphQL,
        make_follower: Make,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        send(graphql, "STUDY", LARGE)
        begin, begun = sending.begin, list[str]()

        def begin_late(*arguments: Any) -> str:
            begun.append(begin(*arguments) or "")
            # another process took over, and has begun it again
            Job.objects.update(attempt="f" * 32, orthanc_job="00000000-0000-4000-8000-000000000000", version=9)
            return begun[0]

        with monkeypatch.context() as patch:
            patch.setattr(sending, "begin", begin_late)
            make_follower().step()
        assert Job.objects.get().orthanc_job == "00000000-0000-4000-8000-000000000000"
        wait_until(lambda: state_in_orthanc(begun[0]) == "Failure")
        assert count(remote) < sending.INSTANCES_PER_PART

    def test_a_change_counts_only_if_nobody_else_has_made_one(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        send(graphql)
        first, second = Job.objects.get(), Job.objects.get()
        assert advance(first, progress=0.5)
        assert not advance(second, progress=0.7)
        assert not finish(second, JobState.FAILED, timezone.now())
        assert finish(first, JobState.SUCCESS, timezone.now())
        assert not finish(first, JobState.FAILED, timezone.now())
        row = Job.objects.get()
        assert (row.state, row.progress, row.intention) == ("SUCCESS", 1.0, None)
        assert list(AuditEvent.objects.filter(event="SENT").values_list("outcome", flat=True)) == [
            "INTENDED",
            "SUCCESS",
        ]

    def test_a_process_without_the_lease_stops(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        send(graphql)
        JobFollower(work_context(), lambda: False).step()
        assert Job.objects.get().attempts == 0


class _LongWork:
    """A kind of job that concludes in three steps, and undoes in two."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.done: list[str] = []

    def begin(self, context: WorkContext, job: Job, token: str) -> str | None:
        self.done.append("begin")
        return sending.begin(context, job, token)

    def progress(self, _job: Job, orthancs: float) -> float:
        return orthancs / 2

    def conclude(self, context: WorkContext, job: Job) -> Outcome | None:
        step = job.stage.get("step", 0) + 1
        self.done.append(f"conclude {step}")
        if self.failure and step == 2:
            raise self.failure
        advance(job, stage={**job.stage, "step": step})
        return Outcome({"instances": 1}, {"studies": [LARGE]}) if step == 3 else None

    def undo(self, context: WorkContext, job: Job) -> bool:
        self.done.append("undo")
        return self.done[-2:] == ["undo", "undo"]


class TestPhases:
    def follow(self, graphql: GraphQL, work: _LongWork, clock: Clock) -> tuple[Job, list[str]]:
        send(graphql)
        follower = JobFollower(work_context(), lambda: True, clock, {"SEND": work})

        def has_ended() -> bool:
            follower.step()
            return Job.objects.get().ended_at is not None

        wait_until(has_ended)
        return Job.objects.get(), work.done

    def test_what_is_left_after_orthancs_job_is_done_in_steps(
        self, gateway: LocalOrthanc, graphql: GraphQL, clock: Clock
    ) -> None:
        job, done = self.follow(graphql, _LongWork(), clock)
        assert done == ["begin", "conclude 1", "conclude 2", "conclude 3"]
        assert (job.state, job.progress, job.shown_studies) == ("SUCCESS", 1.0, [LARGE])

    @pytest.mark.parametrize(("failure", "code"), [(NotFound("It is gone."), "NOT_FOUND")])
    def test_what_failed_is_undone_before_the_job_ends(
        self, gateway: LocalOrthanc, graphql: GraphQL, clock: Clock, failure: Exception, code: str
    ) -> None:
        job, done = self.follow(graphql, _LongWork(failure), clock)
        assert done == ["begin", "conclude 1", "conclude 2", "undo", "undo"]
        assert (job.state, job.error) == ("FAILED", {"code": code, "message": "It is gone.", "dimseStatus": None})

    def test_a_bug_stops_no_other_job(
        self, gateway: LocalOrthanc, graphql: GraphQL, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        send(graphql)
        other = send(graphql)
        work = _LongWork(ValueError("a bug"))
        first = Job.objects.order_by("pk")[0]

        class Sending(_LongWork):
            def conclude(self, context: WorkContext, job: Job) -> Outcome | None:
                return work.conclude(context, job) if job.pk == first.pk else sending.conclude(context, job)

        follower = JobFollower(work_context(), lambda: True, clock, {"SEND": Sending()})
        follow(graphql, other, follower)
        step_until(follower, lambda: work.done.count("conclude 2") > 2)
        first.refresh_from_db()
        assert (first.state, first.phase) == ("RUNNING", "CONCLUDING")
        assert caplog.text.count("a step of a job fails, and") == 1
        clock.ahead += timedelta(hours=25)
        step_until(follower, lambda: Job.objects.get(pk=first.pk).ended_at)
        first.refresh_from_db()
        assert first.state == "FAILED"

    def test_a_busy_gateway_ends_no_job(self, gateway: LocalOrthanc, graphql: GraphQL, clock: Clock) -> None:
        send(graphql)
        work = _LongWork(GatewayUnavailable("Too many requests are in progress."))
        follower = JobFollower(work_context(), lambda: True, clock, {"SEND": work})
        step_until(follower, lambda: work.done.count("conclude 2") > 2)
        assert Job.objects.get().state == "RUNNING"
        # the gateway was off for days
        clock.ahead += timedelta(days=3)
        work.failure = None
        step_until(follower, lambda: Job.objects.get().ended_at)
        assert Job.objects.get().state == "SUCCESS"

    def test_a_committed_job_is_not_ended_by_an_error(
        self, gateway: LocalOrthanc, graphql: GraphQL, clock: Clock
    ) -> None:
        send(graphql)
        work = _LongWork()
        follower = JobFollower(work_context(), lambda: True, clock, {"SEND": work})
        step_until(follower, lambda: "conclude 1" in work.done)
        row = Job.objects.get()
        assert advance(row, stage={**row.stage, "committed": True})
        work.failure = NotFound("It is gone.")
        step_until(follower, lambda: work.done.count("conclude 2") > 2)
        assert Job.objects.get().state == "RUNNING"
        clock.ahead += timedelta(hours=25)
        follower.step()
        assert (Job.objects.get().state, "undo" in work.done) == ("FAILED", False)

    @pytest.mark.parametrize(("is_committed", "state"), [(False, "CANCELLED"), (True, "SUCCESS")])
    def test_a_job_that_concludes_can_be_cancelled_until_it_is_committed(
        self, gateway: LocalOrthanc, graphql: GraphQL, clock: Clock, is_committed: bool, state: str
    ) -> None:
        work = _LongWork()
        job = send(graphql)
        follower = JobFollower(work_context(), lambda: True, clock, {"SEND": work})
        step_until(follower, lambda: "conclude 1" in work.done)
        row = Job.objects.get()
        assert advance(row, stage={**row.stage, "committed": is_committed})
        graphql(CANCEL, id=job["id"])
        assert follow(graphql, job, follower)["state"] == state
        assert ("undo" in work.done) == (not is_committed)


class TestCosts:
    def test_without_jobs_that_go_on_orthanc_is_not_called(
        self, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        follower = make_follower()
        follow(graphql, send(graphql), follower)
        assert not follower.is_needed()
        with recording() as calls:
            follower.step()
        assert calls.count == 0

    def test_what_is_asked_of_the_database_does_not_grow_with_jobs_that_have_ended(
        self, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        now = timezone.now()
        Job.objects.bulk_create(
            Job(kind="SEND", state="SUCCESS", ended_at=now, level="Study", orthanc_ids=[], studies=[])
            for _ in range(5000)
        )
        follower = make_follower()
        with CaptureQueriesContext(connection) as queries:
            assert not follower.is_needed()
            follower.step()
        assert len(queries) <= 3
        for query in queries:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plan = " ".join(row[3] for row in cursor.fetchall())
            assert "SEARCH" in plan
            assert "jobs_by_end" in plan

    def test_jobs_are_kept_for_days(
        self, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make, clock: Clock, settings: Settings
    ) -> None:
        settings.ORTHANC_JOB_DAYS = 2
        follower = make_follower()
        follow(graphql, send(graphql), follower)
        clock.ahead = timedelta(days=1, hours=23)
        assert follower.is_needed()
        follower.step()
        assert Job.objects.exists()
        clock.ahead = timedelta(days=2, hours=2)
        follower.step()
        assert not Job.objects.exists()
        assert AuditEvent.objects.filter(event="SENT").count() == 2


def state_in_orthanc(job_id: str) -> str:
    found = look_up_job(connect(), job_id)
    assert found is not None
    return str(found.state)
