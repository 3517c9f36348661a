"""Errors that Django itself answers, as JSON in the REST contract's form instead of HTML pages.

A project uses them in its root URL configuration: `handler404 = "orthancproxy.http.error_responses.not_found"`.
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
    GatewayError,
    GatewayUnavailable,
    InvalidRequest,
    LimitExceeded,
    NotAuthenticated,
    NotFound,
    NotRenderable,
    PermissionDenied,
)

CHALLENGE = 'Bearer realm="orthanc"'  # RFC 6750 section 3: what to send to be let in
RETRY_AFTER = 5
"""Seconds that a caller should wait when something is not there: Orthanc starts in one to four."""
STATUSES: Mapping[type[GatewayError], int] = {
    NotAuthenticated: 401,
    PermissionDenied: 403,
    NotFound: 404,
    InvalidRequest: 400,
    NotRenderable: 415,
    LimitExceeded: 413,
    GatewayUnavailable: 503,
    ArchiveError: 502,
    ArchiveUnavailable: 503,
    ArchiveTimeout: 504,
}
"""HTTP statuses of the gateway's errors. One that is not here has the status of its nearest base class."""


def error_response(status: int, code: str, detail: str, **more: str) -> JsonResponse:
    """Return `{"detail", "code"}` with the status, and what else is given."""
    response = JsonResponse({"detail": detail, "code": code, **more}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    return response


def refuse(request: HttpRequest, status: int, code: str, detail: str, **more: str) -> HttpResponse:
    """Answer in the form that errors have at the address: a view may bring a function of its own, `refusal`.

    What else is given is for the REST contract's form.
    """
    view = request.resolver_match.func if request.resolver_match else None
    refusal: Callable[..., HttpResponse] | None = getattr(view, "refusal", None)
    return refusal(request, status, code, detail) if refusal else error_response(status, code, detail, **more)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django refuses to read."""
    match exception:
        case RequestDataTooBig() | TooManyFieldsSent() | TooManyFilesSent():
            return refuse(request, 413, "LIMIT_EXCEEDED", "The request is larger than the gateway accepts.")
        case GatewayUnavailable():
            response = refuse(request, 503, exception.code, exception.message)
            response["Retry-After"] = str(RETRY_AFTER)
            return response
        case DisallowedHost():
            return refuse(
                request, 400, "BAD_USER_INPUT", "The gateway does not answer to the host name that was asked."
            )
        case _:
            return refuse(request, 400, "BAD_USER_INPUT", "The request can't be understood.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a caller who may not do this."""
    return refuse(request, 403, "FORBIDDEN", "You may not do this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """Answer a request with a session but without a valid CSRF token."""
    return error_response(403, "FORBIDDEN", "The request lacks a valid CSRF token.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Answer for an address that leads nowhere."""
    return error_response(404, "NOT_FOUND", "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer when the gateway itself failed; the log has the traceback under the same request id."""
    # Django calls it while it handles the exception
    if isinstance(outage := as_gateway_error(sys.exception()), GatewayUnavailable):
        response = refuse(request, 503, outage.code, outage.message)
        response["Retry-After"] = str(RETRY_AFTER)
        return response
    request_id = getattr(request, "request_id", "")
    return refuse(request, 500, "INTERNAL", "The gateway failed. Its log says why.", requestId=request_id)
