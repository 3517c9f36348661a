"""The gateway's own database: its failures as gateway errors, and its connections in our threads."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, close_old_connections

from orthancproxy.errors import GatewayError, GatewayUnavailable

DATABASE_ERRORS = (OperationalError, InterfaceError)
"""Django's errors for a database that is locked, full, read-only or unreachable; the request itself is valid."""
MESSAGE = "The gateway's database is unavailable: try again later."


def as_gateway_error(error: BaseException | None, message: str = MESSAGE) -> GatewayError | None:
    """Return a gateway error as it is, a database error with this message, and None for an unexpected error."""
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
