"""Beginning jobs: once for each `clientMutationId`, and not too many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orthancproxy.archive.levels import Level
from orthancproxy.audit.kinds import Authentication
from orthancproxy.database import exclusive_transaction, storable
from orthancproxy.errors import InvalidRequest, LimitExceeded
from orthancproxy.jobs.exclusion import check_is_alone
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.rows import unfinished
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent
from orthancproxy.resolvers.jobs import own_jobs

MAX_UNFINISHED_JOBS = 100
MAX_KEY_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a job is to do, in which a request is the same as another."""

    kind: JobKind
    level: Level
    orthanc_ids: Sequence[str]
    parameters: Mapping[str, Any]
    client_mutation_id: str | None = None

    def check(self) -> None:
        """Raise InvalidRequest if the id that the client gave the mutation cannot be kept."""
        key = self.client_mutation_id
        if key is not None and (not 0 < len(key) <= MAX_KEY_CHARACTERS or storable(key) != key):
            raise InvalidRequest(f"clientMutationId must have 1 to {MAX_KEY_CHARACTERS} characters.")


def made_before(context: RequestContext, request: JobRequest) -> Job | None:
    """Return the job of the same request. Raises InvalidRequest if it was another request."""
    if request.client_mutation_id is None:
        return None
    job = Job.objects.filter(own_jobs(context.caller), client_mutation_id=request.client_mutation_id).first()
    if job is None:
        return None
    known = JobRequest(JobKind(job.kind), Level(job.level), job.orthanc_ids, job.parameters, job.client_mutation_id)
    if known != request:
        raise InvalidRequest("Another request had this clientMutationId: use a new one.")
    return job


def check_count(context: RequestContext) -> None:
    """Raise LimitExceeded if too many jobs of the caller go on."""
    if unfinished().filter(own_jobs(context.caller)).count() >= MAX_UNFINISHED_JOBS:
        raise LimitExceeded(f"At most {MAX_UNFINISHED_JOBS} of your jobs can go on at once: wait for their end.")


def begin_job(context: RequestContext, event: PendingEvent, request: JobRequest, studies: Sequence[str]) -> Job:
    """Make a job about these studies, and write the intention of its audit event with it; both, or none.

    Returns the earlier job of the same request. Raises LimitExceeded, and InvalidRequest like `made_before` and
    `check_is_alone`.
    """
    caller = context.caller
    # before it can be followed
    background = context.background
    with exclusive_transaction("begin a job"):
        if earlier := made_before(context, request):
            # the same request at the same time
            event.outcome = None
            return earlier
        check_count(context)
        check_is_alone(request.kind, studies)
        made = Job.objects.create(
            kind=request.kind,
            created_by=caller.username,
            is_identity=caller.authentication == Authentication.OPENID_CONNECT,
            client_mutation_id=request.client_mutation_id,
            level=request.level.value,
            orthanc_ids=list(request.orthanc_ids),
            parameters=dict(request.parameters),
            studies=list(studies),
            intention=event.hand_over(),
        )
    background.follower.hurry()
    return made
