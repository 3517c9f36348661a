"""Finds which events of the audit log are complete, so that a reader who goes on from an id misses none.

Ids grow, but PostgreSQL may commit an event after one with a higher id. A lock that would keep the order, as the log of
changes has one, would let all requests wait for each other's commit.
"""

import time
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Max

from orthancproxy.audit.models import AuditEvent

MAX_OPERATION_TIME = timedelta(hours=1)
"""An operation without an outcome after this time has none."""
SECONDS_BETWEEN_LOOKS = 0.05

# an INSERT takes this lock before the sequence gives it an id, and keeps it until its transaction ends
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = %s::regclass
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class SettledEvents:
    """Up to which id all events of the log are committed, or never will be. Not safe for threads."""

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using
        self._settled = 0
        self._candidate = 0
        self._writers: frozenset[str] = frozenset()

    def newest(self) -> int:
        """Return the id up to which no event is missing, 0 if there is none.

        While transactions write to the log, it is the newest event of an earlier call whose writers have all ended.
        Raises what the database raises.
        """
        newest: int = AuditEvent.objects.using(self._using).aggregate(newest=Max("pk"))["newest"] or 0
        # SQLite has one writer at a time, and AUTOINCREMENT
        writers = self._current_writers() if connections[self._using].vendor == "postgresql" else frozenset()
        if not writers or self._writers.isdisjoint(writers):
            self._settled = min(self._candidate, newest) if writers else newest
            self._candidate, self._writers = newest, writers
        return self._settled

    def wait(self, seconds: float) -> None:
        """Wait until the first call of `newest` that found writers has a result, so long at most."""
        deadline = time.monotonic() + seconds
        while not self.newest() and self._writers and time.monotonic() < deadline:
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _current_writers(self) -> frozenset[str]:
        connection = connections[self._using]
        with connection.cursor() as cursor:
            cursor.execute(_WRITERS, [connection.ops.quote_name(AuditEvent._meta.db_table)])
            return frozenset(row[0] for row in cursor.fetchall())
