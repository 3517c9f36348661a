"""Django's own error responses, as JSON in the form of the REST contract instead of HTML pages.

A project names them in its root URL configuration: `handler500 = "orthancproxy.http.error_responses.server_error"`.
"""

import sys
from collections.abc import Callable, Mapping

from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse, JsonResponse

from orthancproxy.database import as_gateway_error
from orthancproxy.errors import (
    ArchiveError,
    ArchiveTimeout,
    ArchiveUnavailable,
    ClientDisconnected,
    CSRFFailed,
    CursorExpired,
    DestinationFailed,
    GatewayError,
    GatewayUnavailable,
    InsufficientStorage,
    InvalidRequest,
    LimitExceeded,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    NotRenderable,
    NotTranscodable,
    PermissionDenied,
    RangeNotSatisfiable,
    SourceFailed,
)
from orthancproxy.logs import log_archive_failure
from orthancproxy.request_record import note_errors

CHALLENGE = 'Bearer realm="orthanc"'  # RFC 6750, section 3
NOTHING_HERE = "There is nothing at this URL."
RETRY_AFTER = 5
"""Seconds after which a caller should try again: Orthanc starts in one to four."""
STATUSES: Mapping[type[GatewayError], int] = {
    NotAuthenticated: 401,
    PermissionDenied: 403,
    NotFound: 404,
    InvalidRequest: 400,
    NotRenderable: 415,
    NotAcceptable: 406,
    NotTranscodable: 415,
    RangeNotSatisfiable: 416,
    CursorExpired: 410,
    LimitExceeded: 413,
    ClientDisconnected: 499,  # nginx's, for its log
    GatewayUnavailable: 503,
    InsufficientStorage: 507,
    SourceFailed: 502,
    DestinationFailed: 502,
    ArchiveError: 502,
    ArchiveUnavailable: 503,
    ArchiveTimeout: 504,
}
"""HTTP statuses of the gateway's errors. One that is not here has the status of its nearest base class."""


def error_response(status: int, code: str, detail: str, **more: str) -> JsonResponse:
    """Return a response with `{"detail", "code"}` and the other members given."""
    note_errors([code])
    response = JsonResponse({"detail": detail, "code": code, **more}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    return response


def error_response_for(request: HttpRequest, status: int, code: str, detail: str, **more: str) -> HttpResponse:
    """Return an error in the form of the requested view: by its `render_error`, or else as the REST API has it.

    Only the latter has the other members.
    """
    view = request.resolver_match.func if request.resolver_match else None
    render: Callable[..., HttpResponse] | None = getattr(view, "render_error", None)
    return render(request, status, code, detail) if render else error_response(status, code, detail, **more)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that is rejected before its view is called."""
    match exception:
        case RequestDataTooBig() | TooManyFieldsSent() | TooManyFilesSent():
            return error_response_for(request, 413, "LIMIT_EXCEEDED", "The request is larger than the gateway accepts.")
        case GatewayUnavailable():
            response = error_response_for(request, 503, exception.code, exception.message)
            response["Retry-After"] = str(RETRY_AFTER)
            return response
        case GatewayError():
            log_archive_failure(exception, exception.code)
            return error_response_for(request, STATUSES[type(exception)], exception.code, exception.message)
        case DisallowedHost():
            return error_response_for(
                request, 400, "BAD_USER_INPUT", "The gateway does not accept requests for this host name."
            )
        case _:
            return error_response_for(request, 400, "BAD_USER_INPUT", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a caller without permission."""
    return error_response_for(request, 403, "FORBIDDEN", "You do not have permission to do this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """Answer a request that has a session, but no valid CSRF token."""
    return error_response(403, CSRFFailed.code, CSRFFailed().message)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a request that caused an unexpected error; the log has the traceback under the same request id."""
    # Django calls this while it handles the exception
    if isinstance(outage := as_gateway_error(sys.exception()), GatewayUnavailable):
        response = error_response_for(request, 503, outage.code, outage.message)
        response["Retry-After"] = str(RETRY_AFTER)
        return response
    request_id = getattr(request, "request_id", "")
    return error_response_for(
        request, 500, "INTERNAL", "The gateway failed. Its log has the details.", requestId=request_id
    )
