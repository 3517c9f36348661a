"""Tells listeners which jobs have changed, once for all that watch jobs in this process."""

import logging
from collections import defaultdict
from collections.abc import Callable
from threading import Lock
from time import sleep

from django.db import connections

from orthancproxy.database import DATABASE_ERRORS, renewed_connections
from orthancproxy.jobs.models import Job
from orthancproxy.threads import daemon

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_POLLS = 0.5
# SQLite before 3.32 has at most 999 parameters in a statement
IDS_PER_STATEMENT = 500

Listener = Callable[[], None]


class JobWatch:
    """Polls the versions of watched jobs, one query for all, in a thread that runs while there are such."""

    def __init__(self) -> None:
        self._listeners: dict[int, list[Listener]] = defaultdict(list)
        self._versions: dict[int, int | None] = {}
        self._is_running = False
        self._lock = Lock()

    def listen(self, job_id: int, listener: Listener) -> None:
        """Call a listener, in the thread of the watch, when the job changes or is deleted, and once at first."""
        with self._lock:
            self._listeners[job_id].append(listener)
            self._versions.pop(job_id, None)
            if not self._is_running:
                self._is_running = True
                daemon("jobs", self._follow).start()

    def leave(self, job_id: int, listener: Listener) -> None:
        """Call a listener no more."""
        with self._lock:
            if listener in self._listeners.get(job_id, ()):
                self._listeners[job_id].remove(listener)
            if not self._listeners.get(job_id):
                self._listeners.pop(job_id, None)
                self._versions.pop(job_id, None)

    def _follow(self) -> None:
        has_failed = False
        while ids := self._watched():
            try:
                with renewed_connections():
                    self._poll(ids)
                has_failed = False
            except DATABASE_ERRORS as error:
                # once for each outage
                if not has_failed:
                    logger.warning("jobs cannot be watched: %r", error)
                has_failed = True
            sleep(SECONDS_BETWEEN_POLLS)
        connections.close_all()

    def _watched(self) -> list[int]:
        with self._lock:
            self._is_running = bool(self._listeners)
            return list(self._listeners)

    def _poll(self, ids: list[int]) -> None:
        versions: dict[int, int] = {}
        for start in range(0, len(ids), IDS_PER_STATEMENT):
            rows = Job.objects.filter(pk__in=ids[start : start + IDS_PER_STATEMENT])
            versions |= dict(rows.values_list("pk", "version"))
        for job_id in ids:
            version = versions.get(job_id)
            with self._lock:
                is_changed = job_id not in self._versions or self._versions[job_id] != version
                self._versions[job_id] = version
                listeners = list(self._listeners.get(job_id, ())) if is_changed else []
            for listener in listeners:
                listener()


job_watch = JobWatch()
