"""Lets one process at a time migrate a database: gateways that start together on several hosts all try to."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, which has no such locks
    fcntl = None

POLL_SECONDS = 0.2
FILE_SUFFIX = "-migration-lock"
"""Of the file beside that of a SQLite database."""
KEY = int.from_bytes(sha256(b"orthancproxy migrate").digest()[:8], signed=True)
"""Of PostgreSQL's advisory lock."""
# PostgreSQL's defaults keep the lock of a host that vanished for more than two hours
KEEPALIVE_SETTINGS = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4"}


@contextmanager
def migration_lock(on_wait: Callable[[], None], using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Hold the lock on migrations of a database within the block; call `on_wait` once if another process holds it.

    The system frees the lock of a process that was killed. Databases in memory need none, and those other than
    PostgreSQL and SQLite have none. Raises CommandError if the lock file cannot be opened.
    """
    database = connections[using]
    with ExitStack() as held:
        take: Callable[[], bool] | None = None
        if database.vendor == "postgresql":
            take = held.enter_context(_advisory_lock(database))
        elif database.vendor == "sqlite" and fcntl is not None and not _is_in_memory(database):
            take = held.enter_context(_file_lock(Path(f"{database.settings_dict['NAME']}{FILE_SUFFIX}")))
        if take is not None and not take():
            on_wait()
            while not take():
                time.sleep(POLL_SECONDS)
        yield


@contextmanager
def _advisory_lock(database: BaseDatabaseWrapper) -> Iterator[Callable[[], bool]]:
    """Yield what tries to take a lock of PostgreSQL, which lasts until the end of the block.

    It belongs to the transaction of a connection of its own: one of a session would stay behind in PgBouncer if that
    pools connections by transaction. Waiting in the database would block CREATE INDEX CONCURRENTLY in a migration.
    """
    connection = database.copy()
    connection.settings_dict["OPTIONS"].pop("pool", None)

    def take() -> bool:
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [KEY])
            [is_held] = cursor.fetchone()
            if is_held:
                # for the transaction: one that waits for migrations is idle
                idle = {"idle_in_transaction_session_timeout": "0", **KEEPALIVE_SETTINGS}
                for name, value in idle.items():
                    cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
        return bool(is_held)

    try:
        connection.set_autocommit(False)
        yield take
    finally:
        connection.close()


@contextmanager
def _file_lock(path: Path) -> Iterator[Callable[[], bool]]:
    """Yield what tries to lock a file, which is made if it is missing and stays, until the end of the block."""
    assert fcntl is not None  # noqa: S101 - tells mypy
    lock, mode = fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(f"The lock file {path} cannot be opened ({error.strerror}).") from error

    def take() -> bool:
        with suppress(BlockingIOError):
            lock(descriptor, mode)
            return True
        return False

    try:
        yield take
    finally:
        os.close(descriptor)


def _is_in_memory(database: BaseDatabaseWrapper) -> bool:
    name = str(database.settings_dict["NAME"])
    # of URIs, Django itself uses those of databases in memory
    return name == ":memory:" or name.startswith("file:")
