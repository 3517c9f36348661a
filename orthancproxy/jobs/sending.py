"""The kind of job that sends resources to another server.

Orthanc's jobs take longer for each instance the more they have: 5 ms of 1,000, 200 ms of 73,000 (1.10.1). So many are
sent in parts, in the order of their Orthanc ids, by a job of Orthanc's for each.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from operator import attrgetter
from time import monotonic
from typing import Any

from orthancproxy.archive.destinations import begin_sending, destination_of, send_instance
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.orthanc_jobs import cancel_job
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import instances_below
from orthancproxy.conf import conf
from orthancproxy.errors import ArchiveRejected, DestinationFailed, NotFound, PermissionDenied
from orthancproxy.jobs.failures import failure_in_orthanc, failure_of
from orthancproxy.jobs.models import Job, JobPhase
from orthancproxy.jobs.rows import JobFailure, advance
from orthancproxy.jobs.work import Outcome, WorkContext

STEP_SECONDS = 0.8
MAX_REJECTED = 100
INSTANCES_PER_PART = 1000

_UID = Needs(frozenset({Level.INSTANCE.identifier}))
_ORDER = attrgetter("orthanc_id")


def begin(context: WorkContext, job: Job, token: str) -> str | None:
    """Begin to send all, or the first part that is left; return the id of Orthanc's job.

    Raises NotFound if a resource is gone, and PermissionDenied if the settings no longer have the server.
    """
    destination = destination_of(job.parameters["destination"])
    if not destination.is_allowed(conf.ORTHANC_DESTINATIONS):
        raise PermissionDenied("The settings of the gateway no longer allow to send to this server.")
    _, ids = _resources(job)
    instances = _instances(context, job)
    if len(instances) > INSTANCES_PER_PART:
        part = _part_after(job.stage.get("after", ""), instances)
        ids = [one.orthanc_id for one in part]
        if not (part and advance(job, stage=_stage(job, instances, part))):
            return None
    return begin_sending(context.client, destination, ids, token)


def progress(job: Job, orthancs: float) -> float:
    """Return the progress of the job, from that of Orthanc's job."""
    stage = job.stage
    if "until" not in stage:
        return orthancs
    part = min(INSTANCES_PER_PART, stage["total"] - stage["done"])
    return float((stage["done"] + orthancs * part) / stage["total"])


def conclude(context: WorkContext, job: Job) -> Outcome | None:
    """Begin the next part; at the end, return how many instances were sent.

    Orthanc stops at the first instance that a modality rejects. Then send each instance by itself, to tell all that it
    rejects: a modality that has an instance takes it again.
    """
    failure = failure_in_orthanc(job)
    if failure and failure.dimse_status is None:
        return _outcome(job, failure)
    try:
        if failure and not _send_each(context, job):
            return None
    except DestinationFailed as error:
        return _outcome(job, failure_of(error))
    if len(_rejected(job)) < MAX_REJECTED and _begin_next(context, job):
        return None
    return _outcome(job, _rejection(job))


def undo(context: WorkContext, job: Job) -> bool:
    """Do nothing: what has arrived elsewhere stays there."""
    return True


def _begin_next(context: WorkContext, job: Job) -> bool:
    """Begin to send the next part; return False if there is none."""
    if "until" not in job.stage:
        return False
    instances = _instances(context, job)
    part = _part_after(job.stage["until"], instances)
    if not part:
        return False
    destination = destination_of(job.parameters["destination"])
    begun = begin_sending(context.client, destination, [one.orthanc_id for one in part], job.attempt)
    stage = _stage(job, instances, part, after=job.stage["until"])
    if not advance(job, phase=JobPhase.IN_ORTHANC, orthanc_job=begun, stage=stage):
        cancel_job(context.client, begun)
    return True


def _send_each(context: WorkContext, job: Job) -> bool:
    """Send the instances of a part one by one, for a while; return whether that was all. Raises DestinationFailed."""
    instances = _instances(context, job)
    start = bisect_right(instances, job.stage.get("after", ""), key=_ORDER)
    end = bisect_right(instances, job.stage["until"], key=_ORDER) if "until" in job.stage else len(instances)
    ends = monotonic() + STEP_SECONDS
    for number, one in enumerate(instances[start:end], start):
        if len(_rejected(job)) == MAX_REJECTED:
            break
        told = _send(context, job, one)
        job.stage = {**job.stage, "after": one.orthanc_id, "rejected": [*_rejected(job), *told]}
        if monotonic() > ends:
            advance(job, stage=job.stage, progress=max(job.progress, number / len(instances)))
            return False
    return True


def _send(context: WorkContext, job: Job, instance: Resource) -> list[Mapping[str, str]]:
    """Send an instance; return what is told of it if it is rejected."""
    try:
        send_instance(context.client, job.parameters["destination"], instance.orthanc_id)
    except DestinationFailed as error:
        if error.dimse_status is None:
            raise
        uid = instance.tags[Level.INSTANCE.identifier]
        return [{"instance": instance.orthanc_id, "sopInstanceUID": uid, "dimseStatus": f"{error.dimse_status:04X}"}]
    except (ArchiveRejected, NotFound):
        if Hierarchy(context.client).by_ids(LevelPlan(level=Level.INSTANCE), [instance.orthanc_id], as_stored=True):
            raise
        # it has been deleted
    return []


def _outcome(job: Job, failure: JobFailure | None) -> Outcome:
    counts = {**job.stage.get("counts", {}), **({"instances": total} if (total := job.stage.get("total")) else {})}
    rejected = _rejected(job)
    if not rejected:
        return Outcome(counts, failure=failure)
    return Outcome({**counts, "failed": len(rejected)}, {"rejected": rejected}, failure)


def _rejected(job: Job) -> list[Mapping[str, str]]:
    rejected: list[Mapping[str, str]] = job.stage.get("rejected", [])
    return rejected


def _rejection(job: Job) -> JobFailure | None:
    """Return why a job fails of which instances were rejected; None if none was, as after a disk that was full."""
    rejected = _rejected(job)
    if not rejected:
        return None
    status, total = rejected[0]["dimseStatus"], _outcome(job, None).counts["instances"]
    others = ", and was sent no more" if len(rejected) == MAX_REJECTED < total else ""
    return JobFailure(
        DestinationFailed.code,
        f"The server rejected {len(rejected)} of {total} instances{others} (status {status}).",
        int(status, 16),
    )


def _resources(job: Job) -> tuple[Level, Sequence[str]]:
    """Return the level and the Orthanc ids of what is sent: of a patient, the studies that the caller saw."""
    level = Level(job.level)
    return (Level.STUDY, job.studies) if level is Level.PATIENT else (level, job.orthanc_ids)


def _instances(context: WorkContext, job: Job) -> Sequence[Resource]:
    """Return the instances of a job in the order of their Orthanc ids, as they were when this process listed them.

    Raises NotFound if a resource is gone.
    """
    if job.pk not in context.memory:
        context.memory[job.pk] = instances_below(context.client, *_resources(job), _UID)
    instances: Sequence[Resource] = context.memory[job.pk]
    return instances


def _part_after(after: str, instances: Sequence[Resource]) -> Sequence[Resource]:
    start = bisect_right(instances, after, key=_ORDER)
    return instances[start : start + INSTANCES_PER_PART]


def _stage(job: Job, instances: Sequence[Resource], part: Sequence[Resource], **more: str) -> Mapping[str, Any]:
    """Return what is remembered of a part: those before it are `done`, and it goes `until` its last instance."""
    done = bisect_left(instances, part[0].orthanc_id, key=_ORDER)
    return {**job.stage, "total": len(instances), "done": done, "until": part[-1].orthanc_id, **more}
