"""Follows jobs: begins them in Orthanc, looks after them there, and writes how they end.

Orthanc's jobs live in the memory of one process, which saves them every 10 seconds (1.10.1 to 1.13.0): after a crash it
resumes a job, or does not know it. What Orthanc does not know is undone and begun again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from django.utils import timezone

from orthancproxy.archive.orthanc_jobs import (
    CANCELED,
    cancel_job,
    error_code_of,
    find_job,
    look_up_job,
)
from orthancproxy.archive.trash import are_in_trash
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.errors import ArchiveUnavailable, GatewayError, GatewayUnavailable, InsufficientStorage, NotFound
from orthancproxy.jobs.failures import counts_of, failure_of, orthancs_failure
from orthancproxy.jobs.models import Job, JobPhase, JobState
from orthancproxy.jobs.rows import JobFailure, advance, finish, trim, unfinished
from orthancproxy.jobs.work import Outcome, Work, WorkContext
from orthancproxy.jobs.works import WORKS
from orthancproxy.orthanc.responses import OrthancJob

logger = logging.getLogger(__name__)

# Orthanc runs two at once by default (ConcurrentJobs), and forgets all but the last ten that ended (JobsHistorySize)
MAX_BEGUN = 8
MAX_BEGUN_BY_CALLER = 4
PENDING_PER_STEP = 1000
MAX_ATTEMPTS = 3
# within which another process may still be beginning it
ATTEMPT_DURATION = timedelta(seconds=15)
# one Orthanc of several behind a load balancer does not know the jobs of the others
MISSING_DURATION = timedelta(seconds=5)
MAX_UNSEEN = timedelta(days=1)
FIRST_TRIM, TRIM_INTERVAL = timedelta(minutes=1), timedelta(hours=1)
# what passes by itself, and is the same for all jobs
BUSY = (ArchiveUnavailable, GatewayUnavailable, InsufficientStorage)
LOST = JobFailure("JOB_LOST", "Orthanc has lost the job. It may have been carried out in part: try again.")

_STATES = {"Running": JobState.RUNNING, "Paused": JobState.RUNNING}


class JobFollower:
    """Follows the jobs of an Orthanc, in steps of one thread. `holds` tells whether this process still may."""

    def __init__(
        self,
        context: WorkContext,
        holds: Callable[[], bool],
        now: Callable[[], datetime] = timezone.now,
        works: Mapping[str, Work] = WORKS,
    ) -> None:
        self._context = context
        self._client = context.client
        self._holds = holds
        self._now = now
        self._works = works
        self._trim_at = now() + FIRST_TRIM
        self._logged: set[int] = set()

    def is_needed(self) -> bool:
        """Whether there is something to do. It takes one query, of an index that only has jobs that go on."""
        return self._now() >= self._trim_at or unfinished().exists()

    def step(self) -> bool:
        """Look at each job that goes on once, and begin others. Without such jobs, Orthanc is not called.

        Returns whether there is more to do than to wait for Orthanc's jobs. Raises ArchiveError, and what the database
        raises.
        """
        self._trim()
        begun = list(unfinished().exclude(attempt=""))
        for ended in self._context.memory.keys() - {job.pk for job in begun}:
            del self._context.memory[ended]
        self._give_up(begun)
        has_more = False
        for job in begun:
            if not self._holds():
                return False
            if job.ended_at is None:
                has_more |= self._try(self._follow, job)
        for job in self._next(begun):
            if not self._holds():
                return False
            has_more |= self._try(self._begin, job)
        return has_more

    def _try(self, step: Callable[[Job], None], job: Job) -> bool:
        """Do a step of a job, and return whether it can go on at once.

        A failure of our own stops neither the others nor, until it is given up, this one.
        """
        try:
            step(job)
        except (*BUSY, *DATABASE_ERRORS):
            raise
        except Exception:
            if job.missing_since is None:
                advance(job, missing_since=self._now())
            if job.pk not in self._logged:
                self._logged.add(job.pk)
                logger.exception("a step of a job fails, and is repeated", extra={"job": job.pk})
            return False
        return job.ended_at is None and job.phase != JobPhase.IN_ORTHANC

    def _trim(self) -> None:
        if self._now() >= self._trim_at:
            trim(self._now() - timedelta(days=conf.ORTHANC_JOB_DAYS))
            self._trim_at = self._now() + TRIM_INTERVAL

    def _give_up(self, begun: list[Job]) -> None:
        """End the jobs that Orthanc has not told of, or of which a step has failed, for a day."""
        for job in begun:
            in_orthanc = job.phase == JobPhase.IN_ORTHANC
            since = job.seen_at or job.attempted_at or job.created_at if in_orthanc else job.missing_since
            if since is None or self._now() - since <= MAX_UNSEEN:
                continue
            if job.phase == JobPhase.CONCLUDING:
                # it is undone, unless it is committed
                self._end(job, JobState.FAILED, failure=LOST)
            else:
                finish(job, JobState.FAILED, self._now(), failure=LOST)

    def _next(self, begun: list[Job]) -> list[Job]:
        """Return the jobs to begin: the oldest, but not too many of one caller."""
        going_on = [job for job in begun if job.ended_at is None and job.attempt]
        of_caller = Counter((job.created_by, job.is_identity) for job in going_on)
        pending = unfinished().filter(attempt="").values_list("pk", "created_by", "is_identity", "cancelled_at")
        chosen: list[int] = []
        count = len(going_on)
        for key, name, is_identity, cancelled_at in pending[:PENDING_PER_STEP]:
            owner = (name, is_identity)
            if cancelled_at is not None:
                chosen.append(key)
            elif count < MAX_BEGUN and of_caller[owner] < MAX_BEGUN_BY_CALLER:
                chosen.append(key)
                of_caller[owner] += 1
                count += 1
        # another process may have begun some of them meanwhile
        return list(unfinished().filter(pk__in=chosen, attempt="")) if chosen else []

    def _begin(self, job: Job) -> None:
        if job.cancelled_at is not None:
            self._end(job, JobState.CANCELLED)
            return
        if are_in_trash(self._client, job.studies):
            self._end(job, JobState.FAILED, failure=JobFailure(NotFound.code, "What it is about has been deleted."))
            return
        token = uuid4().hex
        if not advance(job, attempt=token, attempts=job.attempts + 1, attempted_at=self._now()):
            return
        try:
            begun = self._works[job.kind].begin(self._context, job, token)
        except BUSY:
            # Orthanc may have begun it
            raise
        except GatewayError as error:
            self._end(job, JobState.FAILED, failure=failure_of(error))
            return
        if begun is None:
            advance(job, phase=JobPhase.CONCLUDING, state=JobState.RUNNING, seen_at=self._now())
        elif not advance(job, orthanc_job=begun, seen_at=self._now()):
            self._leave(job, begun)

    def _leave(self, job: Job, begun: str) -> None:
        """Cancel Orthanc's job if somebody else has changed the row meanwhile, but for asking to cancel it."""
        token = job.attempt
        job.refresh_from_db()
        is_same = job.orthanc_job == begun
        if not is_same and not (job.attempt == token and advance(job, orthanc_job=begun, seen_at=self._now())):
            cancel_job(self._client, begun)

    def _follow(self, job: Job) -> None:
        match job.phase:
            case JobPhase.CONCLUDING:
                self._conclude(job)
            case JobPhase.UNDOING:
                self._undo(job)
            case _:
                self._look(job)

    def _look(self, job: Job) -> None:
        """Look after Orthanc's job."""
        known = job.orthanc_job
        found = look_up_job(self._client, known) if known else find_job(self._client, job.attempt)
        if found is not None:
            self._note(job, found)
            return
        since = job.missing_since or (None if job.orthanc_job else job.attempted_at)
        wait = MISSING_DURATION if job.orthanc_job else ATTEMPT_DURATION
        if since is None:
            advance(job, missing_since=self._now())
        elif self._now() - since > wait:
            self._try_again(job)

    def _try_again(self, job: Job) -> None:
        if job.cancelled_at is not None and not _is_committed(job):
            self._end(job, JobState.CANCELLED)
        elif job.attempts >= MAX_ATTEMPTS:
            self._end(job, JobState.FAILED, failure=LOST)
        elif advance(job, phase=JobPhase.UNDOING, stage={**job.stage, "ending": None}):
            logger.warning("Orthanc has lost a job, which is begun again", extra={"job": job.pk})
            self._undo(job)

    def _note(self, job: Job, found: OrthancJob) -> None:
        """Note what Orthanc tells of a job, if that is new."""
        progress = self._works[job.kind].progress
        match found.state:
            case "Failure" if error_code_of(found) == CANCELED:
                self._end(job, JobState.CANCELLED, counts_of(found))
                return
            case "Success" | "Failure":
                # Orthanc forgets it
                failure = orthancs_failure(found) if found.state == "Failure" else None
                stage = {**job.stage, "counts": counts_of(found), "failure": msgspec.to_builtins(failure)}
                done = job.progress if failure else progress(job, 1.0)
                known = {"state": JobState.RUNNING, "progress": done, "missing_since": None, "seen_at": self._now()}
                if advance(job, phase=JobPhase.CONCLUDING, stage=stage, **known):
                    self._conclude(job)
                return
        self._see(
            job,
            state=_STATES.get(found.state, JobState.PENDING),
            progress=progress(job, min(max(found.progress, 0), 100) / 100),
            orthanc_job=found.id,
            missing_since=None,
        )
        if job.cancelled_at is not None and not _is_committed(job):
            cancel_job(self._client, found.id)

    def _see(self, job: Job, **known: Any) -> None:
        """Write what is known of a job, and at times that it goes on."""
        now = self._now()
        is_new = any(getattr(job, name) != value for name, value in known.items())
        if is_new or job.seen_at is None or now - job.seen_at > timedelta(minutes=1):
            advance(job, **known, seen_at=now)

    def _conclude(self, job: Job) -> None:
        """Do a part of what is left after Orthanc's job."""
        if job.cancelled_at is not None and not _is_committed(job):
            self._end(job, JobState.CANCELLED)
            return
        try:
            outcome = self._works[job.kind].conclude(self._context, job)
        except BUSY:
            raise
        except GatewayError as error:
            if _is_committed(job):
                # it can only go on
                raise
            outcome = Outcome(failure=failure_of(error))
        if outcome is None:
            self._see(job, missing_since=None)
        elif outcome.failure:
            self._end(job, JobState.FAILED, outcome.counts, outcome.failure, outcome.result)
        else:
            finish(job, JobState.SUCCESS, self._now(), counts=outcome.counts, result=outcome.result)

    def _end(
        self,
        job: Job,
        state: JobState,
        counts: Mapping[str, int] = {},
        failure: JobFailure | None = None,
        result: Mapping[str, Any] = {},
    ) -> None:
        """End a job that did not succeed, after what it has left is removed."""
        if not job.attempt or _is_committed(job):
            finish(job, state, self._now(), counts=counts, result=result, failure=failure)
            return
        told = {"counts": dict(counts), "result": dict(result)}
        ending = {"state": state, "failure": msgspec.to_builtins(failure), **told}
        if advance(job, phase=JobPhase.UNDOING, stage={**job.stage, "ending": ending}):
            self._undo(job)

    def _undo(self, job: Job) -> None:
        """Remove a part of what an attempt has left; then end the job, or let it begin again."""
        if not _is_committed(job) and not self._works[job.kind].undo(self._context, job):
            self._see(job)
            return
        ending = job.stage["ending"]
        if ending is not None:
            failure = ending["failure"] and JobFailure(**ending["failure"])
            told = {"counts": ending["counts"], "result": ending["result"]}
            finish(job, JobState(ending["state"]), self._now(), failure=failure, **told)
            return
        stage = {name: value for name, value in job.stage.items() if name not in {"counts", "failure", "ending"}}
        begun = {"attempt": "", "orthanc_job": "", "missing_since": None, "progress": 0.0}
        advance(job, state=JobState.PENDING, phase=JobPhase.IN_ORTHANC, stage=stage, **begun)


def _is_committed(job: Job) -> bool:
    """Whether a job can only be carried on, not undone."""
    return bool(job.stage.get("committed"))
