"""The kind of job that sends resources to another server."""

from orthancproxy.archive.destinations import begin_sending, destination_of
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.conf import conf
from orthancproxy.errors import NotFound, PermissionDenied
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.work import Outcome, WorkContext

ORTHANCS_SHARE = 1.0


def begin(context: WorkContext, job: Job, token: str) -> str:
    """Begin to send; return the id of Orthanc's job.

    Of a patient, the studies are sent that the caller saw. Raises NotFound if a resource is gone, and PermissionDenied
    if the settings no longer have the server.
    """
    destination = destination_of(job.parameters["destination"])
    if not destination.is_allowed(conf.ORTHANC_DESTINATIONS):
        raise PermissionDenied("The settings of the gateway no longer allow to send to this server.")
    level = Level(job.level)
    is_patient = level is Level.PATIENT
    level, ids = (Level.STUDY, job.studies) if is_patient else (level, job.orthanc_ids)
    found = Hierarchy(context.client).by_ids(LevelPlan(level=level), ids, as_stored=True)
    if len(found) != len(ids):
        raise NotFound("What was to be sent has been deleted.")
    return begin_sending(context.client, destination, ids, token)


def conclude(context: WorkContext, job: Job) -> Outcome:
    """Return how many instances were sent."""
    return Outcome({"instances": job.stage["content"]["InstancesCount"]})


def undo(context: WorkContext, job: Job) -> bool:
    """Do nothing: what has arrived elsewhere stays there."""
    return True
