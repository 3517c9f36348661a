"""What one process of the deployment does with the audit log for all: it sends, archives and deletes events."""

from threading import Event, Lock
from typing import Any

from django.core.signals import setting_changed
from django.db import connection, connections

from orthancproxy.audit.delivery import Delivery, configured_receiver
from orthancproxy.audit.models import AuditDelivery
from orthancproxy.audit.retention import Retention
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, renewed_connections
from orthancproxy.follower.follower import Follower, LeaseHolder, Step
from orthancproxy.threads import daemon

SECONDS_BETWEEN_STEPS = 5.0
"""Also between two connections to the audit repository."""
SECONDS_BETWEEN_LOOKS = 2.0

_starting = Lock()
_running: "AuditBackground | None" = None


class AuditBackground:
    """Sends and archives the audit log as the settings say, from when the database has its tables until `stop`."""

    def __init__(self) -> None:
        self._lease = LeaseHolder("audit")
        self._steps: list[Step] = []
        if conf.ORTHANC_AUDIT_SYSLOG:
            self._steps.append(Delivery(configured_receiver(), conf.ORTHANC_AUDIT_SOURCE, self._lease.take).send)
        if conf.ORTHANC_AUDIT_DAYS:
            self._steps.append(Retention(self._lease.take).step)
        self._stopped = Event()
        self._follower: Follower | None = None
        self._start = daemon("audit", self._start_when_migrated)
        if self._steps:
            self._start.start()

    def stop(self) -> None:
        """End after the current steps."""
        self._stopped.set()
        if self._steps:
            self._start.join()
        if self._follower:
            self._follower.stop()

    def _start_when_migrated(self) -> None:
        while not _has_tables():
            if self._stopped.wait(SECONDS_BETWEEN_LOOKS):
                break
        connections.close_all()
        if not self._stopped.is_set():
            self._follower = Follower(self._steps, self._lease, SECONDS_BETWEEN_STEPS)
            self._follower.start()


def start_audit() -> None:
    """Begin to send and archive the audit log, if the settings say so and no earlier call has."""
    global _running
    with _starting:
        if _running is None:
            _running = AuditBackground()


def _has_tables() -> bool:
    try:
        with renewed_connections():
            return AuditDelivery._meta.db_table in connection.introspection.table_names()
    except DATABASE_ERRORS:
        return False


def _stop(*, setting: str, **_: Any) -> None:
    global _running
    if setting.startswith("ORTHANC_AUDIT_"):
        with _starting:
            if _running:
                _running.stop()
            _running = None


setting_changed.connect(_stop)
