"""The error tree as GraphQL codes. What is not ours is masked: the log has it, under the request id."""

import logging
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

from orthancproxy import errors
from orthancproxy.observability import log_archive_failure

logger = logging.getLogger("orthancproxy.graphql")

CODES: Mapping[type[errors.GatewayError], str] = {
    errors.NotAuthenticated: "UNAUTHENTICATED",
    errors.PermissionDenied: "FORBIDDEN",
    errors.NotFound: "NOT_FOUND",
    errors.InvalidRequest: "BAD_USER_INPUT",
    errors.LimitExceeded: "LIMIT_EXCEEDED",
    errors.ArchiveUnavailable: "ARCHIVE_UNAVAILABLE",
    errors.ArchiveError: "ARCHIVE_ERROR",
}


def code_of(error: errors.GatewayError) -> str:
    """The code of an error: that of the nearest class of its line that has one."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def shown(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """An error as the answer has it, with `extensions.code` and the request id by which the log knows it."""
    original: BaseException | None = error
    while isinstance(original, GraphQLError):
        original = original.original_error
    match original:
        case errors.GatewayError():
            message, code = original.message, code_of(original)
            log_archive_failure(original, code)
        case None:
            # parsing, validation and coercion: graphql-core's own words about the query
            message, code = error.message, "BAD_USER_INPUT"
        case _:
            logger.error("unexpected error in a resolver", exc_info=original)
            message, code = "Something went wrong in the gateway.", "INTERNAL"
    # a project without our middleware has no request ids
    known = {"requestId": request_id} if request_id else {}
    return {**error.formatted, "message": message, "extensions": {"code": code, **known}}
