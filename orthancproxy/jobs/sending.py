"""The kind of job that sends resources to another server."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from time import monotonic

from orthancproxy.archive.destinations import begin_sending, destination_of, send_instance
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.conf import conf
from orthancproxy.errors import ArchiveRejected, DestinationFailed, NotFound, PermissionDenied
from orthancproxy.jobs.failures import failed_in_orthanc, failure_of
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.rows import JobFailure, advance
from orthancproxy.jobs.work import Outcome, WorkContext

ORTHANCS_SHARE = 1.0
STEP_SECONDS = 0.8
MAX_REJECTED = 100

_INSTANCES = LevelPlan(level=Level.INSTANCE, needs=Needs(frozenset({Level.INSTANCE.identifier})))
_SERIES = LevelPlan(level=Level.SERIES, related={"instances": _INSTANCES})
_PLANS = {plan.level: plan for plan in (_INSTANCES, _SERIES, LevelPlan(level=Level.STUDY, related={"series": _SERIES}))}


def begin(context: WorkContext, job: Job, token: str) -> str:
    """Begin to send; return the id of Orthanc's job.

    Raises NotFound if a resource is gone, and PermissionDenied
    if the settings no longer have the server.
    """
    destination = destination_of(job.parameters["destination"])
    if not destination.is_allowed(conf.ORTHANC_DESTINATIONS):
        raise PermissionDenied("The settings of the gateway no longer allow to send to this server.")
    level, ids = _resources(job)
    found = Hierarchy(context.client).by_ids(LevelPlan(level=level), ids, as_stored=True)
    if len(found) != len(ids):
        raise NotFound("What was to be sent has been deleted.")
    return begin_sending(context.client, destination, ids, token)


def conclude(context: WorkContext, job: Job) -> Outcome | None:
    """Return how many instances were sent.

    Orthanc stops at the first instance that a modality rejects. Then send each instance by itself, to tell all that it
    rejects: a modality that has an instance takes it again.
    """
    failed = failed_in_orthanc(job)
    if failed is None:
        return Outcome(job.stage["counts"])
    status = failed.failure and failed.failure.dimse_status
    return failed if status is None else _send_each(context, job)


def undo(context: WorkContext, job: Job) -> bool:
    """Do nothing: what has arrived elsewhere stays there."""
    return True


def _send_each(context: WorkContext, job: Job) -> Outcome | None:
    instances = context.memory.get(job.pk) or _instances(context, job)
    context.memory[job.pk] = instances
    rejected: list[Mapping[str, str]] = job.stage.get("rejected", [])
    until = monotonic() + STEP_SECONDS
    for number, one in enumerate(instances):
        if one.orthanc_id <= job.stage.get("after", ""):
            continue
        if len(rejected) == MAX_REJECTED:
            break
        try:
            send_instance(context.client, job.parameters["destination"], one.orthanc_id)
        except DestinationFailed as error:
            if error.dimse_status is None:
                return _outcome(job, instances, rejected, failure_of(error))
            told = {"instance": one.orthanc_id, "sopInstanceUID": one.tags[Level.INSTANCE.identifier]}
            rejected = [*rejected, {**told, "dimseStatus": f"{error.dimse_status:04X}"}]
        except (ArchiveRejected, NotFound):
            if Hierarchy(context.client).by_ids(LevelPlan(level=Level.INSTANCE), [one.orthanc_id], as_stored=True):
                raise
            # it has been deleted
        if monotonic() > until:
            stage = {**job.stage, "rejected": rejected, "after": one.orthanc_id}
            advance(job, stage=stage, progress=max(job.progress, number / len(instances)))
            return None
    return _outcome(job, instances, rejected, _rejection(rejected, len(instances)))


def _outcome(
    job: Job, instances: Sequence[Resource], rejected: Sequence[Mapping[str, str]], failure: JobFailure | None
) -> Outcome:
    counts = {"instances": len(instances), **({"failed": len(rejected)} if rejected else {})}
    return Outcome(counts, {"rejected": list(rejected)} if rejected else {}, failure)


def _rejection(rejected: Sequence[Mapping[str, str]], total: int) -> JobFailure | None:
    """Return why a job fails of which these instances were rejected; None if none was, such as after a full disk."""
    if not rejected:
        return None
    status = rejected[0]["dimseStatus"]
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


def _instances(context: WorkContext, job: Job) -> list[Resource]:
    """Return the instances of a job in the order of their Orthanc ids."""
    level, ids = _resources(job)
    found: Iterable[Resource] = Hierarchy(context.client).by_ids(_PLANS[level], ids, as_stored=True)
    if level is Level.STUDY:
        found = [series for study in found for series in study.related["series"]]
    if level is not Level.INSTANCE:
        found = [instance for series in found for instance in series.related["instances"]]
    return sorted(found, key=attrgetter("orthanc_id"))
