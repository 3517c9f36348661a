"""Sending resources to other servers: DICOM modalities, Orthanc peers and DICOMweb servers."""

from collections.abc import Sequence
from dataclasses import dataclass

from orthancproxy.archive.destinations import Destination, DestinationKind, answers, destinations
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.audit.reads import subject_of
from orthancproxy.conf import conf
from orthancproxy.errors import InvalidRequest, LimitExceeded, NotFound
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.job_requests import JobRequest, begin_job, made_before
from orthancproxy.resolvers.operations import READ_DESTINATIONS, SEND

MAX_RESOURCES = 1000

_STUDIES, _PARENT = "studies", "parent"


@dataclass(frozen=True, slots=True)
class SendRequest:
    """What to send, and where. A request with the same `client_mutation_id` is carried out once."""

    level: Level
    orthanc_ids: Sequence[str]
    kind: DestinationKind
    destination: str
    client_mutation_id: str | None = None


def get_destinations(context: RequestContext) -> list[Destination]:
    """Return the servers to which the caller may send."""
    with audited_read(context, READ_DESTINATIONS):
        return destinations(context.client, conf.ORTHANC_DESTINATIONS)


def echo(context: RequestContext, kind: DestinationKind, name: str) -> tuple[Destination, bool]:
    """Return a server, and whether it answers Orthanc. Raises NotFound."""
    with audited_read(context, READ_DESTINATIONS):
        destination = _destination(context, kind, name)
        return destination, answers(context.client, destination)


def send(context: RequestContext, request: SendRequest) -> Job:
    """Begin to send resources that the caller may see; of a patient, the visible studies. Return the job.

    Raises NotFound if the server or one of the resources is unknown or hidden, InvalidRequest, and LimitExceeded.
    """
    ids = list(dict.fromkeys(request.orthanc_ids))
    wanted = {"destination": Destination(request.kind, request.destination).key}
    asked = JobRequest(JobKind.SEND, request.level, ids, wanted, request.client_mutation_id)
    with audited_write(context, SEND[request.level], ids[0] if ids else "") as event:
        if not ids:
            raise InvalidRequest("Name at least one resource.")
        if len(ids) > MAX_RESOURCES:
            raise LimitExceeded(f"At most {MAX_RESOURCES} resources can be named: send their study instead.")
        asked.check()
        if made := made_before(context, asked):
            event.outcome = None
            return made
        destination = _destination(context, request.kind, request.destination)
        found = look_up(context, _plan(request.level), ids)
        if len(found) != len(ids):
            raise NotFound(f"There is no such {request.level.value.lower()}.")
        studies = {study.orthanc_id: study for resource in found for study in _studies_of(resource)}
        event.subjects = [subject_of(study) for study in studies.values()]
        event.counts = {request.level.path: len(ids)}
        event.details = {"destination": destination.key}
        return begin_job(context, event, asked, list(studies))


def _destination(context: RequestContext, kind: DestinationKind, name: str) -> Destination:
    for one in destinations(context.client, conf.ORTHANC_DESTINATIONS):
        if (one.kind, one.name) == (kind, name):
            return one
    raise NotFound("There is no such server to send to.")


def _plan(level: Level) -> LevelPlan:
    """Return the plan of resources with their studies."""
    if level is Level.PATIENT:
        return LevelPlan(level=level, related={_STUDIES: LevelPlan(level=Level.STUDY)})
    plan = LevelPlan(level=Level.STUDY)
    for below in Level.STUDY.below[: level.depth - Level.STUDY.depth]:
        plan = LevelPlan(level=below, related={_PARENT: plan})
    return plan


def _studies_of(resource: Resource) -> Sequence[Resource]:
    if resource.level is Level.PATIENT:
        return list(resource.related[_STUDIES])
    while resource.level is not Level.STUDY:
        resource = resource.related[_PARENT]
    return [resource]
