"""The gateway's own database: its failures as errors of the tree, and its connections in our threads."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, close_old_connections

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


@contextmanager
def renewed_connections() -> Iterator[None]:
    """Close the thread's expired database connections (CONN_MAX_AGE) before and after work in one of our threads.

    Django does so only for the threads that it starts itself.
    """
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
