"""The error tree as GraphQL errors. Unexpected errors are masked; the log has them under the request id."""

import logging
from typing import Any

from graphql import GraphQLError

from orthancproxy import errors
from orthancproxy.database import as_gateway_error
from orthancproxy.logs import log_archive_failure
from orthancproxy.request_record import note_errors

logger = logging.getLogger("orthancproxy.graphql")


def original(error: GraphQLError | None) -> BaseException | None:
    """Return the exception that a resolver raised; None for an error of graphql-core."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def shown(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """Return an error for the response, with `extensions.code` and the request id, under which the log has it."""
    cause = original(error)
    more: dict[str, str] = {}
    match as_gateway_error(cause) or cause:
        case errors.GatewayError() as expected:
            message, code = expected.message, expected.code
            log_archive_failure(expected, code)
            if isinstance(expected, errors.OtherServerError) and expected.dimse_status is not None:
                more = {"dimseStatus": f"{expected.dimse_status:04X}"}
        case None:
            # parsing, validation and coercion: graphql-core's own message about the query
            message, code = error.message, "BAD_USER_INPUT"
        case unexpected:
            logger.error("unexpected error in a resolver", exc_info=unexpected)
            message, code = "Something went wrong in the gateway.", "INTERNAL"
    note_errors([code])
    # a project without our middleware has no request ids
    found_by = {"requestId": request_id} if request_id else {}
    return {**error.formatted, "message": message, "extensions": {"code": code, **more, **found_by}}
