"""Waits for new changes, once for all that listen in this process."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock
from time import sleep
from typing import Any

from django.db import connections

from orthancproxy.database import DATABASE_ERRORS, is_pooled_by_transaction, renewed_connections
from orthancproxy.errors import CursorExpired
from orthancproxy.feed.log import CHANGES_PER_READ, CHANNEL, ChangeLog, LoggedChange, change_log
from orthancproxy.threads import daemon

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_POLLS = 0.5

Listener = Callable[[Sequence[LoggedChange]], None]


class Tail:
    """Hands new changes to all listeners of the process, in the order of the log.

    A thread reads the log while somebody listens. PostgreSQL notifies it, or on SQLite whoever appends in this process.
    It also polls: for other processes on SQLite, and where a PgBouncer pools by transaction. That would leave LISTEN to
    the connections of others, and log each notification.
    """

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._listeners: list[Listener] = []
        self._cursor = 0
        self._is_running = False
        # for the three above
        self._lock = Lock()

    def listen(self, listener: Listener) -> int:
        """Hand to a listener all changes after the cursor that is returned, until it leaves.

        It is called in the tail's thread, and must not block. No changes at all tell it to read the log itself from
        where it is: the database was replaced. Raises what the database raises.
        """
        with self._lock:
            if not self._is_running:
                self._cursor = self._log.newest()
                self._is_running = True
                daemon("changes", self._follow).start()
            self._listeners.append(listener)
            return self._cursor

    def leave(self, listener: Listener) -> None:
        """Hand no more changes to a listener, besides those of a delivery that has begun."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _follow(self) -> None:
        notifications = _Notifications(self._log)
        has_failed = False
        while self._has_listeners():
            try:
                notifications.wait()
                with renewed_connections():
                    self._read()
                has_failed = False
            except Exception as error:
                # once for each outage
                if not has_failed:
                    is_outage = isinstance(error, DATABASE_ERRORS)
                    logger.warning("the log of changes cannot be read: %r", error, exc_info=not is_outage)
                has_failed = True
                notifications.close()
                sleep(SECONDS_BETWEEN_POLLS)
        notifications.close()
        connections.close_all()

    def _has_listeners(self) -> bool:
        with self._lock:
            self._is_running = bool(self._listeners)
            return self._is_running

    def _read(self) -> None:
        try:
            while changes := self._log.after(self._cursor, CHANGES_PER_READ):
                self._deliver(changes, changes[-1].cursor)
        except CursorExpired:
            self._deliver([], self._log.newest())

    def _deliver(self, changes: Sequence[LoggedChange], cursor: int) -> None:
        with self._lock:
            self._cursor = cursor
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(changes)
            except Exception:
                logger.exception("a listener failed, and gets no more changes")
                self.leave(listener)


class _Notifications:
    """Waits until something may have been appended, SECONDS_BETWEEN_POLLS at most."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._connection: Any = connections[log.using]
        self._has_none = self._connection.vendor != "postgresql" or is_pooled_by_transaction(log.using)
        # a connection of its own: those of a pool would keep listening for others
        self._listening: Any = None

    def wait(self) -> None:
        if self._has_none:
            self._log.appended.wait(SECONDS_BETWEEN_POLLS)
            self._log.appended.clear()
            return
        with self._connection.wrap_database_errors:
            if self._listening is None:
                parameters = self._connection.get_connection_params()
                self._listening = self._connection.Database.connect(**parameters, autocommit=True)
                self._listening.execute(f"LISTEN {CHANNEL}")
                # what was appended before is read now
                return
            for _ in self._listening.notifies(timeout=SECONDS_BETWEEN_POLLS, stop_after=1):
                pass

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None


tail = Tail(change_log)
