"""The kind of job that retrieves studies from another server."""

from orthancproxy.archive.destinations import destination_of
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import identifier_filter
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Study
from orthancproxy.archive.sources import RetrieveMethod, begin_retrieving
from orthancproxy.conf import conf
from orthancproxy.errors import PermissionDenied, SourceFailed
from orthancproxy.jobs.failures import failure_in_orthanc
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.rows import advance, made_study
from orthancproxy.jobs.work import Outcome, WorkContext


def begin(context: WorkContext, job: Job, token: str) -> str:
    """Begin to retrieve; return the id of Orthanc's job.

    Raises PermissionDenied if the settings no longer have the server, and like `begin_retrieving`.
    """
    source, method = job.parameters["source"], job.parameters["method"]
    if not destination_of(source).is_allowed(conf.ORTHANC_SOURCES):
        raise PermissionDenied("The settings of the gateway no longer allow to retrieve from this server.")
    uids = job.parameters["studyInstanceUIDs"]
    return begin_retrieving(context.client, source, uids, RetrieveMethod[method] if method else None, token)


def progress(job: Job, orthancs: float) -> float:
    """Return the progress of the job, from that of Orthanc's job."""
    return orthancs


def conclude(context: WorkContext, job: Job) -> Outcome | None:
    """Return the studies that have arrived. Raises SourceFailed if one of them is not here.

    A server may say that it has sent everything, and have sent nothing.
    """
    if failure := failure_in_orthanc(job):
        return Outcome(job.stage["counts"], failure=failure)
    uids = job.parameters["studyInstanceUIDs"]
    needs = Study.study_instance_uid.needs | Study.instances_count.needs | Needs(frozenset({"PatientID"}))
    plan = LevelPlan(level=Level.STUDY, filter=identifier_filter("StudyInstanceUID", uids), needs=needs)
    found = Hierarchy(context.client).matching(plan)
    # other patients may have studies of the same UID, but the server may write its PatientIDs in another way, too
    expected = [study for study in found if study.orthanc_id in job.studies]
    matched = {study.tags["StudyInstanceUID"] for study in expected}
    arrived = expected + [study for study in found if study.tags["StudyInstanceUID"] not in matched]
    if {study.tags["StudyInstanceUID"] for study in arrived} != set(uids):
        raise SourceFailed("The server said that it has sent everything, but has not.")
    made = [made_study(study.tags.get("PatientID", ""), study.tags["StudyInstanceUID"]) for study in arrived]
    if not advance(job, stage={**job.stage, "made": made}):
        return None
    instances = sum(study.instances_count for study in arrived if isinstance(study, Study))
    return Outcome({"instances": instances}, {"studies": [study.orthanc_id for study in arrived]})


def undo(context: WorkContext, job: Job) -> bool:
    """Do nothing: what has arrived stays, since it may have been here before."""
    return True
