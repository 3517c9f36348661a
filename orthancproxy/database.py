"""The gateway's own database: its failures as gateway errors, and its connections in our threads."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
    transaction,
)

from orthancproxy.errors import GatewayError, GatewayUnavailable
from orthancproxy.locks import FileLock, SharedLock

logger = logging.getLogger(__name__)

DATABASE_ERRORS = (OperationalError, InterfaceError)
"""Django's errors for a database that is locked, full, read-only or unreachable; the request itself is valid."""
SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %s, true)"
"""For how long the transaction that goes on waits for others, such as `10s`: PostgreSQL's default is for ever."""
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
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


def storable(text: str) -> str:
    """Return text of a caller or a file without what databases reject: null characters and lone surrogates."""
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


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


def is_pooled_by_transaction(using: str = DEFAULT_DB_ALIAS) -> bool:
    """Whether something like PgBouncer gives each transaction another session, as the settings say.

    Then nothing may belong to a session: cursors of Django's `iterator`, or LISTEN.
    """
    return bool(connections[using].settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def lend_connections() -> None:
    """Give the thread's connections back to their pool, before it waits for something else; not in a transaction.

    Connections without a pool are kept. A thread must not do this while it iterates over rows that are read in parts.
    """
    for connection in connections.all(initialized_only=True):
        # Django's close_old_connections() would end the transaction
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


class AdvisoryLock:
    """A lock that all gateways with the same PostgreSQL database share: many holders, or an exclusive one.

    PostgreSQL lets no further holder pass one that waits for the exclusive lock. It frees the lock of a gateway that
    was killed, and at the end of a transaction, so that PgBouncer may pool connections by transaction.
    """

    MAX_WAIT_SECONDS = 60
    _held = threading.local()

    def __init__(self, name: str, using: str = DEFAULT_DB_ALIAS) -> None:
        digest = sha256(f"orthancproxy render-delete {name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], signed=True)
        self._using = using

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[None]:
        """Wait for the lock, and hold it within the block. Raises OperationalError after MAX_WAIT_SECONDS.

        A lock within another one undoes at its end what the database was told meanwhile: PostgreSQL would keep it until
        the end of the outer one.
        """
        is_done = False
        is_inner = getattr(self._held, "is_in_block", False)
        try:
            # another transaction would keep the lock until its own end
            with transaction.atomic(self._using, durable=not is_inner):
                self.take(exclusive=exclusive)
                self._held.is_in_block = True
                yield
                is_done = True
                if is_inner:
                    transaction.set_rollback(True, self._using)
        except DATABASE_ERRORS:
            if not is_done:
                raise
            # what was done under the lock counts, also if the lock ended before
            logger.warning("the database lost a lock", exc_info=True)
        finally:
            self._held.is_in_block = is_inner

    def take(self, *, exclusive: bool) -> None:
        """Wait for the lock, and keep it until the end of the transaction that goes on. Raises like `hold`."""
        lock = "pg_advisory_xact_lock" if exclusive else "pg_advisory_xact_lock_shared"
        with connections[self._using].cursor() as cursor:
            cursor.execute(SET_LOCK_TIMEOUT, [f"{self.MAX_WAIT_SECONDS}s"])
            cursor.execute(f"SELECT {lock}(%s)", [self._key])


def shared_lock(name: str) -> SharedLock:
    """Return a lock of this name that all processes of the gateway share, on all its hosts."""
    # several hosts share a database, not a folder for temporary files
    return AdvisoryLock(name) if connections[DEFAULT_DB_ALIAS].vendor == "postgresql" else FileLock(name)


@contextmanager
def exclusive_transaction(name: str) -> Iterator[None]:
    """Carry out the block in a transaction, one with this name at a time: what it has read is true until its end.

    Raises what the database raises.
    """
    with transaction.atomic(durable=True):
        # SQLite lets nobody write who has read what another one has changed since
        if connections[DEFAULT_DB_ALIAS].vendor == "postgresql":
            AdvisoryLock(name).take(exclusive=True)
        yield
