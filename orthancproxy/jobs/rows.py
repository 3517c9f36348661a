"""Writes the table of jobs. Each change counts only if nobody else has made one since the row was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from orthancproxy.audit import events
from orthancproxy.audit.events import Author, Subject
from orthancproxy.audit.kinds import CANCELLED, AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.database import storable
from orthancproxy.jobs.models import Job, JobState

ROWS_PER_TRIM = 1000


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed: a code for programs, a sentence for people, and a DIMSE status if there is one."""

    code: str
    message: str
    dimse_status: int | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Return what the table has of it."""
        status = None if self.dimse_status is None else f"{self.dimse_status:04X}"
        return {"code": self.code, "message": self.message, "dimseStatus": status}


def made_study(patient_id: str, study_instance_uid: str, source_uid: str | None = None) -> dict[str, str]:
    """Return an entry of `job.stage["made"]`: a study that a job made, and the StudyInstanceUID that it had before.

    The outcome in the audit log names them. An anonymization has none: not all who read that log may reidentify.
    """
    made = {"studyInstanceUID": study_instance_uid, "patientId": storable(patient_id)}
    return made if source_uid is None else {"from": source_uid, **made}


def unfinished() -> QuerySet[Job]:
    """Return the jobs that have not ended, the oldest first."""
    return Job.objects.filter(ended_at__isnull=True).order_by("pk")


def advance(job: Job, **changes: Any) -> bool:
    """Change an unfinished job; return False, and change nothing, if somebody else has changed it."""
    version = job.version + 1
    if not _as_read(job).update(version=version, **changes):
        return False
    for name, value in {"version": version, **changes}.items():
        setattr(job, name, value)
    return True


def is_unchanged(job: Job) -> bool:
    """Whether nobody else has changed an unfinished job since it was read."""
    return _as_read(job).exists()


def _as_read(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, version=job.version, ended_at__isnull=True)


def finish(
    job: Job,
    state: JobState,
    now: datetime,
    *,
    counts: Mapping[str, int] = {},
    result: Mapping[str, Any] = {},
    failure: JobFailure | None = None,
) -> bool:
    """End a job, and write the outcome to the audit log, both or none. Returns and raises like `advance`."""
    intention = job.intention
    with transaction.atomic():
        is_changed = advance(
            job,
            state=state,
            ended_at=now,
            progress=1.0 if state is JobState.SUCCESS else job.progress,
            counts=dict(counts),
            result=dict(result),
            error=failure.as_json() if failure else None,
            # the log can be archived before the job is deleted
            intention=None,
        )
        if is_changed and intention is not None:
            code = CANCELLED if state is JobState.CANCELLED else failure.code if failure else ""
            _write_outcome(intention, now, counts, code, job.stage.get("made", []))
    return is_changed


def trim(before: datetime) -> None:
    """Delete jobs that ended before a time, ROWS_PER_TRIM at most."""
    old = Job.objects.filter(ended_at__lt=before).order_by("ended_at").values_list("pk", flat=True)
    if found := list(old[:ROWS_PER_TRIM]):
        Job.objects.filter(pk__in=found).delete()


def _write_outcome(
    begun: AuditEvent, now: datetime, counts: Mapping[str, int], code: str, made: Sequence[Mapping[str, str]]
) -> None:
    author = Author(begun.username, Authentication(begun.authentication), begun.address, begun.request_id)
    known = [Subject(one.patient_id, one.study_instance_uid) for one in begun.subjects.order_by("pk")]
    events.write(
        author,
        EventKind[begun.event],
        begun.operation,
        AuditOutcome.FAILED if code else AuditOutcome.SUCCESS,
        error_code=code,
        duration=max(now - begun.at, timedelta()).total_seconds(),
        target=begun.target,
        subjects=dict.fromkeys([*known, *(Subject(one["patientId"], one["studyInstanceUID"]) for one in made)]),
        counts={**begun.counts, **counts},
        details={**(begun.details or {}), "made": made} if made else begun.details,
        intention=begun,
        durable=False,
    )
