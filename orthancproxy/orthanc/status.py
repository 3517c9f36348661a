"""What the HTTP status of Orthanc's responses means: the error to raise, and whether to try again."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
import requests

from orthancproxy.errors import (
    ArchiveProtocolError,
    ArchiveRejected,
    ArchiveUnavailable,
    DestinationFailed,
    GatewayError,
    NotFound,
    NotRenderable,
    NotTranscodable,
    SourceFailed,
)
from orthancproxy.orthanc.endpoints import (
    CANCEL_JOB,
    INSTANCE_FILE,
    LEVEL_ARCHIVE,
    MODALITY_QUERY,
    MODALITY_STORE,
    Endpoint,
)

BUSY = frozenset({502, 503, 504})
TRANSIENT = frozenset({502, 503})
STORAGE_FULL = 507
# FileStorageCannotWrite, also when two files stored at once create the same folder (1.10.1)
CANNOT_WRITE = 2001
# when a deletion removes the folder of a file that is being stored (1.10.1: 1 of 12,355 files stored by 12 clients)
_CANNOT_ACCESS = "Error while accessing the filesystem"
# ParameterOutOfRange
OUT_OF_RANGE = 3
NOT_IMPLEMENTED = 2
NETWORK_PROTOCOL = 9
UNREACHABLE_DESTINATION = "The server cannot be reached, or did not take an instance."
# their errors, without a DIMSE status and with one
_OTHER_SERVERS: Mapping[Endpoint, tuple[type[SourceFailed | DestinationFailed], str, str]] = {
    MODALITY_QUERY: (
        SourceFailed,
        "The server cannot be reached, or does not let Orthanc search.",
        "The server rejected the query",
    ),
    MODALITY_STORE: (DestinationFailed, UNREACHABLE_DESTINATION, "The server rejected an instance"),
}
_DIMSE_STATUS = re.compile(r"DIMSE status 0x([0-9A-Fa-f]{4})", re.ASCII)


def error_of(endpoint: Endpoint, response: requests.Response) -> GatewayError | None:
    """Return the error to raise for a response, which is closed then; None for a success."""
    status = response.status_code
    if 200 <= status < 300:
        return None
    try:
        details = _details(response)
    finally:
        response.close()
    if special := _special_error(endpoint, response, details):
        return special
    if status == 404 or _is_forgotten(endpoint, response) or _is_being_deleted(endpoint, response):
        return NotFound("Orthanc has no such resource.")
    if status == 415:
        return NotRenderable("Orthanc cannot render this instance.")
    if status in BUSY:
        return ArchiveUnavailable("Orthanc is busy or restarting.")
    if status == STORAGE_FULL:
        return ArchiveUnavailable("Orthanc's storage is full.")
    if _is_of_storage(details):
        return ArchiveUnavailable("Orthanc cannot write to its storage.")
    if status in (401, 403):
        return ArchiveRejected("Orthanc rejects the gateway's credentials.")
    if 300 <= status < 400:
        return ArchiveProtocolError()
    # Orthanc's own message contains neither addresses nor patient data
    message = details.get("Message")
    reason = message if isinstance(message, str) and message else f"HTTP status {status}"
    return ArchiveRejected(f"Orthanc rejected the request: {reason}.")


def _special_error(endpoint: Endpoint, response: requests.Response, details: Mapping[str, Any]) -> GatewayError | None:
    """Return the error of an endpoint that has one of its own."""
    if endpoint in _OTHER_SERVERS and details.get("OrthancStatus") == NETWORK_PROTOCOL:
        return _other_server_failed(endpoint, details)
    if _cannot_transcode(endpoint, response):
        return NotTranscodable("Orthanc cannot convert this file to the transfer syntax.")
    return None


def dimse_status(text: object) -> int | None:
    """Return the DIMSE status that Orthanc's description of an error names, None without one."""
    found = _DIMSE_STATUS.search(text) if isinstance(text, str) else None
    return int(found[1], 16) if found else None


def _other_server_failed(endpoint: Endpoint, details: Mapping[str, Any]) -> GatewayError:
    failure, unreachable, rejected = _OTHER_SERVERS[endpoint]
    status = dimse_status(details.get("Details"))
    if status is None:
        return failure(unreachable)
    return failure(f"{rejected} (status {status:04X}).", status)


def is_transient(endpoint: Endpoint, response: requests.Response) -> bool:
    """Return whether an immediate retry is likely to succeed, and harmless."""
    # the call was not carried out
    if _is_being_deleted(endpoint, response):
        return True
    if not endpoint.repeatable or response.status_code in TRANSIENT:
        return endpoint.repeatable
    return response.status_code == 500 and _is_of_storage(_details(response))


def _is_of_storage(details: Mapping[str, Any]) -> bool:
    """Return whether Orthanc could not write a file."""
    cannot_access = str(details.get("Details", "")).startswith(_CANNOT_ACCESS)
    return cannot_access or details.get("OrthancStatus") == CANNOT_WRITE


def _is_forgotten(endpoint: Endpoint, response: requests.Response) -> bool:
    """Return whether Orthanc has forgotten the job to cancel: it answers 400 without content (1.10.1, 1.13.0)."""
    return endpoint == CANCEL_JOB and response.status_code == 400 and not response.content


def _is_being_deleted(endpoint: Endpoint, response: requests.Response) -> bool:
    """Return whether Orthanc rejected an id because its resource is being deleted (1.13.0: 16 of 4,088 reads)."""
    if response.status_code != 400 or "{id}" not in endpoint.template:
        return False
    return not _cannot_transcode(endpoint, response) and _details(response).get("OrthancStatus") == OUT_OF_RANGE


def _cannot_transcode(endpoint: Endpoint, response: requests.Response) -> bool:
    """Return whether Orthanc does not know a transfer syntax (400), or cannot convert a file to it (500)."""
    if endpoint not in (INSTANCE_FILE, LEVEL_ARCHIVE) or response.status_code not in (400, 500):
        return False
    details = _details(response)
    is_unknown = str(details.get("Details", "")).startswith("Unknown transfer syntax")
    return is_unknown or details.get("OrthancStatus") == NOT_IMPLEMENTED


def _details(response: requests.Response) -> Mapping[str, Any]:
    """Return Orthanc's description of an error (`Message`, `OrthancStatus`), empty if there is none."""
    try:
        answer = orjson.loads(response.content)
    except (orjson.JSONDecodeError, requests.RequestException):
        answer = None
    return answer if isinstance(answer, dict) else {}
