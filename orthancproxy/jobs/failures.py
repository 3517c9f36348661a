"""Why jobs fail, without the addresses that Orthanc tells."""

from collections.abc import Mapping

from orthancproxy.archive.orthanc_jobs import dimse_status_of, error_code_of, is_retrieval
from orthancproxy.errors import DestinationFailed, GatewayError, OtherServerError, SourceFailed
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.rows import JobFailure
from orthancproxy.orthanc.responses import OrthancJob
from orthancproxy.orthanc.status import NETWORK_PROTOCOL, UNREACHABLE_DESTINATION


def failure_of(error: GatewayError) -> JobFailure:
    """Return the failure of a job that an error ended."""
    return JobFailure(error.code, error.message, error.dimse_status if isinstance(error, OtherServerError) else None)


def orthancs_failure(found: OrthancJob) -> JobFailure:
    """Return why Orthanc's job failed."""
    status = dimse_status_of(found)
    if is_retrieval(found) and error_code_of(found) == NETWORK_PROTOCOL:
        if status is None:
            return JobFailure(SourceFailed.code, "The server cannot be reached, or ended the connection.")
        return JobFailure(SourceFailed.code, f"The server did not send everything (status {status:04X}).", status)
    if status is not None:
        return JobFailure(DestinationFailed.code, f"The server rejected an instance (status {status:04X}).", status)
    if error_code_of(found) == NETWORK_PROTOCOL:
        return JobFailure(DestinationFailed.code, UNREACHABLE_DESTINATION)
    if found.content.failed_instances_count:
        return JobFailure("NOT_FOUND", "Instances were deleted before they were sent.")
    return JobFailure("ARCHIVE_ERROR", f"Orthanc failed: {found.error_description or 'unknown error'}.")


def failure_in_orthanc(job: Job) -> JobFailure | None:
    """Return why the job in Orthanc has failed; None if it has not."""
    failure = job.stage.get("failure")
    return JobFailure(**failure) if failure else None


def counts_of(found: OrthancJob) -> Mapping[str, int]:
    """Return the numbers of instances, and of those that failed, as far as Orthanc tells them."""
    content = found.content
    counts = {"instances": content.instances_count, "failed": content.failed_instances_count or None}
    return {name: count for name, count in counts.items() if count is not None}
