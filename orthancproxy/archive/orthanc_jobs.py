"""The jobs of Orthanc, which are private to each of its processes: looked up, found by a token, cancelled."""

from orthancproxy.errors import NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import JOB_DECODER, JOBS_DECODER, JSON_DECODER, OrthancJob
from orthancproxy.orthanc.status import dimse_status

CANCELED = 37  # ErrorCode_CanceledJob


def look_up_job(client: OrthancClient, job_id: str) -> OrthancJob | None:
    """Return a job; None if Orthanc does not know it, or no longer. Raises ArchiveError."""
    try:
        found: OrthancJob = client.call(endpoints.JOB, decoder=JOB_DECODER, job=job_id)
    except NotFound:
        return None
    return found


def find_job(client: OrthancClient, token: str) -> OrthancJob | None:
    """Return the job that was begun with a token; None without one, and before 1.12.9. Raises ArchiveError."""
    if not client.capabilities().is_since(1, 12, 9):
        return None
    jobs = client.call(endpoints.JOBS, query="expand", decoder=JOBS_DECODER)
    return next((one for one in jobs if one.user_data == token), None)


def cancel_job(client: OrthancClient, job_id: str) -> None:
    """Cancel a job, unless it has ended. Raises ArchiveError."""
    try:
        client.call(endpoints.CANCEL_JOB, body={}, decoder=JSON_DECODER, job=job_id)
    except NotFound:
        return


def error_code_of(job: OrthancJob) -> int:
    """Return Orthanc's code of the error that ended a job; that of its cause if a plugin ran it."""
    return job.content.function_error_code or job.error_code


def is_retrieval(job: OrthancJob) -> bool:
    """Return whether a job retrieves from a modality."""
    return job.type in ("DicomMoveScu", "DicomGetScu")


def dimse_status_of(job: OrthancJob) -> int | None:
    """Return the DIMSE status with which a server rejected an instance, or to send some, if Orthanc tells.

    It has a field of its own since 1.12.10; before, the text about a retrieval has it.
    """
    payload = job.error_payload
    if payload is None or payload.type != "Dimse" or not isinstance(payload.content, dict):
        return dimse_status(job.error_details)
    status = payload.content.get("DimseErrorStatus")
    return status if isinstance(status, int) else None
