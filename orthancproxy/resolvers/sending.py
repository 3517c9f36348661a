"""Sending resources to other servers: DICOM modalities, Orthanc peers and DICOMweb servers."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from orthancproxy.archive.destinations import Destination, DestinationKind, answers, destinations
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.audit.kinds import Authentication
from orthancproxy.audit.reads import subject_of
from orthancproxy.conf import conf
from orthancproxy.database import storable
from orthancproxy.errors import InvalidRequest, LimitExceeded, NotFound
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.rows import unfinished
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.jobs import own_jobs
from orthancproxy.resolvers.operations import READ_DESTINATIONS, SEND

MAX_RESOURCES = 1000
MAX_UNFINISHED_JOBS = 100
MAX_KEY_CHARACTERS = 128

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
    with audited_write(context, SEND[request.level], ids[0] if ids else "") as event:
        _check(request, ids)
        if made := _made_before(context, request, ids):
            event.outcome = None
            return made
        destination = _destination(context, request.kind, request.destination)
        if unfinished().filter(own_jobs(context.caller)).count() >= MAX_UNFINISHED_JOBS:
            raise LimitExceeded(f"At most {MAX_UNFINISHED_JOBS} of your jobs can go on at once: wait for their end.")
        found = look_up(context, _plan(request.level), ids)
        if len(found) != len(ids):
            raise NotFound(f"There is no such {request.level.value.lower()}.")
        studies = {study.orthanc_id: study for resource in found for study in _studies_of(resource)}
        event.subjects = [subject_of(study) for study in studies.values()]
        event.counts = {request.level.path: len(ids)}
        event.details = {"destination": destination.key}
        try:
            return _create(context, request, ids, destination, list(studies), event)
        except IntegrityError:
            # the same request at the same time
            made = _made_before(context, request, ids)
            if made is None:
                raise
            return made


def _create(
    context: RequestContext,
    request: SendRequest,
    ids: list[str],
    destination: Destination,
    studies: list[str],
    event: PendingEvent,
) -> Job:
    caller = context.caller
    # before it can be followed
    context.background  # noqa: B018
    with transaction.atomic(durable=True):
        return Job.objects.create(
            kind=JobKind.SEND,
            created_by=caller.username,
            is_identity=caller.authentication == Authentication.OPENID_CONNECT,
            client_mutation_id=request.client_mutation_id,
            level=request.level.value,
            orthanc_ids=ids,
            parameters={"destination": destination.key},
            studies=studies,
            intention=event.hand_over(),
        )


def _check(request: SendRequest, ids: Sequence[str]) -> None:
    if not ids:
        raise InvalidRequest("Name at least one resource.")
    if len(ids) > MAX_RESOURCES:
        raise LimitExceeded(f"At most {MAX_RESOURCES} resources can be named: send their study instead.")
    key = request.client_mutation_id
    if key is not None and (not 0 < len(key) <= MAX_KEY_CHARACTERS or storable(key) != key):
        raise InvalidRequest(f"clientMutationId must have 1 to {MAX_KEY_CHARACTERS} characters.")


def _made_before(context: RequestContext, request: SendRequest, ids: list[str]) -> Job | None:
    """Return the job of the same request. Raises InvalidRequest if it was another request."""
    if request.client_mutation_id is None:
        return None
    job = Job.objects.filter(own_jobs(context.caller), client_mutation_id=request.client_mutation_id).first()
    if job is None:
        return None
    wanted = Destination(request.kind, request.destination).key
    if (job.kind, job.level, job.orthanc_ids, job.parameters["destination"]) != (
        JobKind.SEND,
        request.level.value,
        ids,
        wanted,
    ):
        raise InvalidRequest("Another request had this clientMutationId: use a new one.")
    return job


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
