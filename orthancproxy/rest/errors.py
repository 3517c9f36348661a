"""Error responses of the REST API: `{"detail", "code"}` with a status."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from django.http.response import HttpResponseBase
from rest_framework import exceptions

from orthancproxy import errors
from orthancproxy.database import as_gateway_error
from orthancproxy.http.error_responses import (
    NOTHING_HERE,
    RETRY_AFTER,
    STATUSES,
    bad_request,
    error_response,
    permission_denied,
    server_error,
)
from orthancproxy.logs import log_archive_failure

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The HTTP status and the code of an error."""

    status: int
    code: str


FRAMEWORK_ANSWERS: Mapping[type[exceptions.APIException], Answer] = {
    exceptions.ValidationError: Answer(400, "BAD_USER_INPUT"),
    exceptions.ParseError: Answer(400, "BAD_USER_INPUT"),
    exceptions.AuthenticationFailed: Answer(401, "UNAUTHENTICATED"),
    exceptions.NotAuthenticated: Answer(401, "UNAUTHENTICATED"),
    exceptions.PermissionDenied: Answer(403, "FORBIDDEN"),
    exceptions.NotFound: Answer(404, "NOT_FOUND"),
    exceptions.MethodNotAllowed: Answer(405, "METHOD_NOT_ALLOWED"),
    exceptions.NotAcceptable: Answer(406, "NOT_ACCEPTABLE"),
    exceptions.UnsupportedMediaType: Answer(415, "UNSUPPORTED_MEDIA_TYPE"),
    exceptions.Throttled: Answer(429, "LIMIT_EXCEEDED"),
}
"""The errors of Django REST framework. A test fails if one is missing."""


def exception_handler(exception: Exception, context: Mapping[str, Any]) -> HttpResponseBase:
    """Return the response for an exception of a view; unexpected ones are logged, and masked by the request id."""
    match as_gateway_error(exception) or exception:
        case errors.GatewayError() as expected if status := errors.nearest(STATUSES, expected):
            log_archive_failure(expected, expected.code)
            response = error_response(status, expected.code, expected.message)
            if status == 503:
                response["Retry-After"] = str(RETRY_AFTER)
            if isinstance(expected, errors.RangeNotSatisfiable):
                response["Content-Range"] = f"bytes */{expected.total}"
            return response
        case exceptions.APIException() as rejected if answer := errors.nearest(FRAMEWORK_ANSWERS, rejected):
            return _framework_response(rejected, answer)
        case SuspiciousOperation():
            return bad_request(context["request"], exception)
        case Http404():
            return error_response(404, "NOT_FOUND", NOTHING_HERE)
        case DjangoPermissionDenied():
            return permission_denied(context["request"])
        case _:
            logger.error("request failed", exc_info=exception)
            return server_error(context["request"])


def _framework_response(exception: exceptions.APIException, answer: Answer) -> HttpResponseBase:
    # a validation error's detail is a tree of messages
    detail = exception.detail if isinstance(exception.detail, str) else "The request is not valid."
    response = error_response(*answer, detail)
    if challenge := getattr(exception, "auth_header", None):
        response["WWW-Authenticate"] = challenge
    if wait := getattr(exception, "wait", None):
        response["Retry-After"] = str(wait)
    return response
