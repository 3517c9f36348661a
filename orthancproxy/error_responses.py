"""Errors that Django itself answers, as JSON in the REST contract's form instead of HTML pages.

A project uses them in its root URL configuration: `handler404 = "orthancproxy.error_responses.not_found"`.
"""

from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, JsonResponse

CHALLENGE = 'Bearer realm="orthanc"'  # RFC 6750 section 3: what to send to be let in


def error_response(status: int, code: str, detail: str, **more: str) -> JsonResponse:
    """Return `{"detail", "code"}` with the status, and what else is given."""
    response = JsonResponse({"detail": detail, "code": code, **more}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    return response


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Answer a request that Django refuses to read."""
    match exception:
        case RequestDataTooBig() | TooManyFieldsSent() | TooManyFilesSent():
            return error_response(413, "LIMIT_EXCEEDED", "The request is larger than the gateway accepts.")
        case DisallowedHost():
            return error_response(400, "BAD_USER_INPUT", "The gateway does not answer to the host name that was asked.")
        case _:
            return error_response(400, "BAD_USER_INPUT", "The request can't be understood.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Answer a caller who may not do this."""
    return error_response(403, "FORBIDDEN", "You may not do this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """Answer a request with a session but without a valid CSRF token."""
    return error_response(403, "FORBIDDEN", "The request lacks a valid CSRF token.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Answer for an address that leads nowhere."""
    return error_response(404, "NOT_FOUND", "There is nothing at this address.")


def server_error(request: HttpRequest) -> JsonResponse:
    """Answer when the gateway itself failed; the log has the traceback under the same request id."""
    return error_response(
        500, "INTERNAL", "The gateway failed. Its log says why.", requestId=getattr(request, "request_id", "")
    )
