"""Jobs: which of them a caller sees, and cancelling them."""

from collections.abc import Callable

from django.db.models import Q, QuerySet
from django.utils import timezone

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.audit.kinds import Authentication
from orthancproxy.errors import GatewayUnavailable, NotFound
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.rows import advance
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.operations import CANCEL_JOB, READ_JOBS

# of others, the newest, that are compared with the scope of a caller who manages jobs
MAX_COMPARED_JOBS = 1000
MAX_ID_DIGITS = 18
MAX_TRIES = 10


def own_jobs(caller: Caller) -> Q:
    """Return the condition for the jobs of a caller. Anonymous callers are one."""
    return Q(created_by=caller.username, is_identity=caller.authentication == Authentication.OPENID_CONNECT)


def get_jobs(context: RequestContext) -> QuerySet[Job]:
    """Return the jobs that the caller may see, the newest first."""
    with audited_read(context, READ_JOBS):
        context.background  # noqa: B018 - it follows jobs of before a restart
        return _visible(context, Job.objects.all()).order_by("-pk")


def get_job(context: RequestContext, job_id: str) -> Job | None:
    """Return a job, None if there is none, or it is hidden from the caller."""
    with audited_read(context, READ_JOBS):
        return find_visible(context, job_id)


def cancel(context: RequestContext, job_id: str) -> Job:
    """Ask to cancel a job, and return it; one that has ended stays as it is. Raises NotFound."""
    with audited_write(context, CANCEL_JOB) as event:
        job = find_visible(context, job_id)
        if job is None:
            raise NotFound("There is no such job.")
        event.details = {"cancelled": str(job.pk)}
        for _ in range(MAX_TRIES):
            if job.ended_at or job.cancelled_at or advance(job, cancelled_at=timezone.now()):
                return job
            job.refresh_from_db()
        raise GatewayUnavailable("The job changes all the time: try again.")


def find_visible(context: RequestContext, job_id: str) -> Job | None:
    """Return a job that the caller may see, for an operation that authorizes and audits itself."""
    if not (job_id.isascii() and job_id.isdigit() and len(job_id) <= MAX_ID_DIGITS):
        return None
    return _visible(context, Job.objects.filter(pk=job_id)).first()


def _visible(context: RequestContext, jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Return the caller's own jobs; with `manage_jobs`, also those of which all studies are in the caller's scope."""
    caller = context.caller
    own = own_jobs(caller)
    if Action.MANAGE_JOBS not in caller.actions:
        return jobs.filter(own)
    if not caller.scope.is_restricted:
        return jobs
    newest = jobs.exclude(own).order_by("-pk").only("studies", "result")[:MAX_COMPARED_JOBS]
    others = {job.pk: job.shown_studies for job in newest}
    studies = sorted({study for of_job in others.values() for study in of_job})
    found = look_up(context, LevelPlan(level=Level.STUDY), studies) if studies else []
    seen = {study.orthanc_id for study in found}
    return jobs.filter(own | Q(pk__in=[key for key, of_job in others.items() if of_job and seen.issuperset(of_job)]))


def follow_job(context: RequestContext, job_id: str, check: Callable[[], object]) -> Job:
    """Authorize and audit a caller who follows a job, once; return it.

    `check` raises an error for what cannot be followed. Raises NotFound.
    """
    with audited_read(context, READ_JOBS):
        check()
        job = find_visible(context, job_id)
        if job is None:
            raise NotFound("There is no such job.")
        return job
