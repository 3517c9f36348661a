"""What each response of Orthanc means: which error, and whether to try again."""

import json
from typing import Any

import pytest
import requests

from orthancproxy.errors import (
    ArchiveProtocolError,
    ArchiveRejected,
    ArchiveUnavailable,
    GatewayError,
    NotFound,
    NotRenderable,
)
from orthancproxy.orthanc.endpoints import CANCEL_JOB, DELETE, FIND, MODALITY_STORE, RESOURCE, STORE, Endpoint
from orthancproxy.orthanc.status import error_of, is_transient

BEING_DELETED: dict[str, Any] = {"OrthancStatus": 3, "Message": "Parameter out of range"}
CANNOT_WRITE: dict[str, Any] = {"OrthancStatus": 2001, "Message": "Cannot write to storage"}
FOLDER_DELETED: dict[str, Any] = {
    "OrthancStatus": -1,
    "Message": "Internal error",
    "Details": "Error while accessing the filesystem: /var/lib/orthanc/db-v6/87/36",
}


def response(status: int, details: object = None) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = b"" if details is None else json.dumps(details).encode()
    return answer


@pytest.mark.parametrize(
    ("status", "details", "kind", "message"),
    [
        (302, None, ArchiveProtocolError, "Unexpected response from Orthanc."),
        (400, None, ArchiveRejected, "Orthanc rejected the request: HTTP status 400."),
        (400, {"Message": "Bad request"}, ArchiveRejected, "Orthanc rejected the request: Bad request."),
        (400, {"Message": ""}, ArchiveRejected, "Orthanc rejected the request: HTTP status 400."),
        (400, {"Message": ["no text"]}, ArchiveRejected, "Orthanc rejected the request: HTTP status 400."),
        (400, ["no object"], ArchiveRejected, "Orthanc rejected the request: HTTP status 400."),
        (401, {"Message": "secret"}, ArchiveRejected, "Orthanc rejects the gateway's credentials."),
        (403, None, ArchiveRejected, "Orthanc rejects the gateway's credentials."),
        (404, None, NotFound, "Orthanc has no such resource."),
        (415, None, NotRenderable, "Orthanc cannot render this instance."),
        (500, None, ArchiveRejected, "Orthanc rejected the request: HTTP status 500."),
        (500, CANNOT_WRITE, ArchiveUnavailable, "Orthanc cannot write to its storage."),
        (500, FOLDER_DELETED, ArchiveUnavailable, "Orthanc cannot write to its storage."),
        (502, None, ArchiveUnavailable, "Orthanc is busy or restarting."),
        (503, None, ArchiveUnavailable, "Orthanc is busy or restarting."),
        (504, None, ArchiveUnavailable, "Orthanc is busy or restarting."),
        (507, None, ArchiveUnavailable, "Orthanc's storage is full."),
    ],
)
def test_a_failure_is_a_gateway_error(status: int, details: object, kind: type[GatewayError], message: str) -> None:
    error = error_of(RESOURCE, response(status, details))
    assert (type(error), str(error)) == (kind, message)


@pytest.mark.parametrize(
    ("endpoint", "details", "is_not_found"),
    [
        (CANCEL_JOB, None, True),
        (CANCEL_JOB, {"Message": "Bad request"}, False),
        (MODALITY_STORE, None, False),
        (STORE, None, False),
    ],
)
def test_a_job_that_orthanc_has_forgotten_is_not_found(
    endpoint: Endpoint, details: object, *, is_not_found: bool
) -> None:
    assert isinstance(error_of(endpoint, response(400, details)), NotFound) is is_not_found


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_no_error(status: int) -> None:
    assert error_of(RESOURCE, response(status)) is None


@pytest.mark.parametrize(
    ("endpoint", "status", "details", "is_not_found"),
    [
        (RESOURCE, 400, BEING_DELETED, True),
        (DELETE, 400, BEING_DELETED, True),
        # a wrong parameter of a find
        (FIND, 400, BEING_DELETED, False),
        (RESOURCE, 500, BEING_DELETED, False),
        (RESOURCE, 400, {"OrthancStatus": 8}, False),
    ],
)
def test_a_resource_that_is_being_deleted_is_asked_for_again_and_then_not_found(
    endpoint: Endpoint, status: int, details: object, *, is_not_found: bool
) -> None:
    answer = response(status, details)
    assert is_transient(endpoint, answer) is is_not_found
    assert isinstance(error_of(endpoint, answer), NotFound) is is_not_found


@pytest.mark.parametrize(
    ("endpoint", "status", "details", "is_repeated"),
    [
        (RESOURCE, 502, None, True),
        (RESOURCE, 503, None, True),
        (STORE, 503, None, True),
        (DELETE, 502, None, False),
        (DELETE, 503, None, False),
        # the other server has waited for Orthanc already
        (RESOURCE, 504, None, False),
        (STORE, 500, CANNOT_WRITE, True),
        (DELETE, 500, CANNOT_WRITE, False),
        (STORE, 400, CANNOT_WRITE, False),
        (RESOURCE, 500, None, False),
        (RESOURCE, 404, None, False),
        (RESOURCE, 507, None, False),
        (RESOURCE, 200, None, False),
    ],
)
def test_only_what_is_likely_to_succeed_and_harmless_is_repeated(
    endpoint: Endpoint, status: int, details: object, *, is_repeated: bool
) -> None:
    assert is_transient(endpoint, response(status, details)) is is_repeated
