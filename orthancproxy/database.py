"""What the gateway's own database can't do for a while, as an error of the tree."""

from django.db import InterfaceError, OperationalError

from orthancproxy.errors import GatewayError, GatewayUnavailable

DATABASE_ERRORS = (OperationalError, InterfaceError)
"""What Django raises where a database is locked, full, read-only, or not there: nothing is wrong with the request."""
MESSAGE = "The gateway can't use its database just now."


def as_gateway_error(error: BaseException | None, message: str = MESSAGE) -> GatewayError | None:
    """An error of the tree as it is, one of the database with this message, and None for what nobody foresaw."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, DATABASE_ERRORS):
        unavailable = GatewayUnavailable(message)
        unavailable.__cause__ = error
        return unavailable
    return None
