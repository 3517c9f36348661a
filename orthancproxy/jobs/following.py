"""Follows jobs: begins them in Orthanc, looks after them there, and writes how they end.

Orthanc's jobs live in the memory of one process, which saves them every 10 seconds (1.10.1 to 1.13.0): after a crash it
resumes a job, or does not know it. What Orthanc does not know is begun again, for sending twice changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from orthancproxy.archive.orthanc_jobs import (
    CANCELED,
    NETWORK_PROTOCOL,
    cancel_job,
    dimse_status_of,
    error_code_of,
    find_job,
    look_up_job,
)
from orthancproxy.conf import conf
from orthancproxy.errors import ArchiveUnavailable, GatewayError
from orthancproxy.jobs import sending
from orthancproxy.jobs.models import Job, JobKind, JobState
from orthancproxy.jobs.rows import JobFailure, advance, finish, trim, unfinished
from orthancproxy.orthanc.client import OrthancClient
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
LOST = JobFailure("JOB_LOST", "Orthanc has lost the job. It may have been carried out in part: try again.")

_BEGIN: Mapping[str, Callable[[OrthancClient, Job, str], str]] = {JobKind.SEND: sending.begin}
_STATES = {"Running": JobState.RUNNING, "Paused": JobState.RUNNING}


class JobFollower:
    """Follows the jobs of an Orthanc, in steps of one thread. `holds` tells whether this process still may."""

    def __init__(
        self, client: OrthancClient, holds: Callable[[], bool], now: Callable[[], datetime] = timezone.now
    ) -> None:
        self._client = client
        self._holds = holds
        self._now = now
        self._trim_at = now() + FIRST_TRIM

    def is_needed(self) -> bool:
        """Whether there is something to do. It takes one query, of an index that only has jobs that go on."""
        return self._now() >= self._trim_at or unfinished().exists()

    def step(self) -> None:
        """Look at each job that goes on once, and begin others. Without such jobs, Orthanc is not called.

        Raises ArchiveError, and what the database raises.
        """
        self._trim()
        begun = list(unfinished().exclude(attempt=""))
        self._give_up(begun)
        for job in begun:
            if not self._holds():
                return
            if job.ended_at is None:
                self._follow(job)
        for job in self._next(begun):
            if not self._holds():
                return
            self._begin(job)

    def _trim(self) -> None:
        if self._now() >= self._trim_at:
            trim(self._now() - timedelta(days=conf.ORTHANC_JOB_DAYS))
            self._trim_at = self._now() + TRIM_INTERVAL

    def _give_up(self, begun: list[Job]) -> None:
        """End the jobs that Orthanc has not told of for a day."""
        for job in begun:
            last = job.seen_at or job.attempted_at or job.created_at
            if self._now() - last > MAX_UNSEEN:
                self._finish(job, JobState.FAILED, failure=LOST)

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
        return list(unfinished().filter(pk__in=chosen)) if chosen else []

    def _begin(self, job: Job) -> None:
        if job.cancelled_at is not None:
            self._finish(job, JobState.CANCELLED)
            return
        token = uuid4().hex
        if not advance(job, attempt=token, attempts=job.attempts + 1, attempted_at=self._now()):
            return
        try:
            begun = _BEGIN[job.kind](self._client, job, token)
        except ArchiveUnavailable:
            # Orthanc may have begun it
            raise
        except GatewayError as error:
            self._finish(job, JobState.FAILED, failure=JobFailure(error.code, error.message))
            return
        if not advance(job, orthanc_job=begun, seen_at=self._now()):
            self._leave(job, begun)

    def _leave(self, job: Job, begun: str) -> None:
        """Cancel Orthanc's job if somebody else has changed the row meanwhile, but for asking to cancel it."""
        token = job.attempt
        job.refresh_from_db()
        is_same = job.orthanc_job == begun
        if not is_same and not (job.attempt == token and advance(job, orthanc_job=begun, seen_at=self._now())):
            cancel_job(self._client, begun)

    def _follow(self, job: Job) -> None:
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
        if job.cancelled_at is not None:
            self._finish(job, JobState.CANCELLED)
        elif job.attempts >= MAX_ATTEMPTS:
            self._finish(job, JobState.FAILED, failure=LOST)
        else:
            logger.warning("Orthanc has lost a job, which is begun again", extra={"job": job.pk})
            advance(job, state=JobState.PENDING, attempt="", orthanc_job="", missing_since=None, progress=0.0)

    def _note(self, job: Job, found: OrthancJob) -> None:
        """Note what Orthanc tells of a job, if that is new."""
        match found.state:
            case "Success":
                self._finish(job, JobState.SUCCESS, found)
                return
            case "Failure" if error_code_of(found) == CANCELED:
                self._finish(job, JobState.CANCELLED, found)
                return
            case "Failure":
                self._finish(job, JobState.FAILED, found, _failure_of(found))
                return
        now = self._now()
        known: dict[str, Any] = {
            "state": _STATES.get(found.state, JobState.PENDING),
            "progress": min(max(found.progress, 0), 100) / 100,
            "orthanc_job": found.id,
            "missing_since": None,
        }
        is_new = any(getattr(job, name) != value for name, value in known.items())
        if is_new or job.seen_at is None or now - job.seen_at > timedelta(minutes=1):
            advance(job, **known, seen_at=now)
        if job.cancelled_at is not None:
            cancel_job(self._client, found.id)

    def _finish(
        self, job: Job, state: JobState, found: OrthancJob | None = None, failure: JobFailure | None = None
    ) -> None:
        counts = {"instances": found.content.instances_count} if found else {}
        if found and found.content.failed_instances_count:
            counts["failed"] = found.content.failed_instances_count
        finish(job, state, self._now(), counts=counts, failure=failure)


def _failure_of(found: OrthancJob) -> JobFailure:
    """Return why Orthanc's job failed, without the addresses that Orthanc tells."""
    status = dimse_status_of(found)
    if status is not None:
        return JobFailure("DESTINATION_FAILED", f"The server rejected an instance (status {status:04X}).", status)
    if error_code_of(found) == NETWORK_PROTOCOL:
        return JobFailure("DESTINATION_FAILED", "The server cannot be reached, or did not take an instance.")
    if found.content.failed_instances_count:
        return JobFailure("NOT_FOUND", "Instances were deleted before they were sent.")
    return JobFailure("ARCHIVE_ERROR", f"Orthanc failed: {found.error_description or 'unknown error'}.")
