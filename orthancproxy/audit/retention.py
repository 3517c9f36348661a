"""Deletes old events of the audit log, which nothing else does, once they are archived and sent.

The steps, after each of which the process may be killed: plan the ids of the next file, write the file, release the
ids, delete the events. Each is done again if the database does not have its result.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from orthancproxy.audit.archive_files import ArchiveFileError, write_archive_file
from orthancproxy.audit.delivery import configured_receiver, sent_position
from orthancproxy.audit.loading import load_events
from orthancproxy.audit.models import AuditEvent, AuditRetention, AuditSubject
from orthancproxy.audit.settled import SettledEvents
from orthancproxy.audit.viewings import viewings
from orthancproxy.conf import conf

logger = logging.getLogger(__name__)

EVENTS_PER_FILE = 10_000
EVENTS_IN_MEMORY = 200
# SQLite's limit is 999 parameters
EVENTS_PER_TRANSACTION = 500
SUBJECTS_PER_TRANSACTION = 5_000
SECONDS_BETWEEN_TRANSACTIONS = 0.05
"""In which requests write to SQLite: those that wait for its lock do not queue."""
SECONDS_BETWEEN_RUNS = 60.0
MAX_SECONDS_TO_SETTLE = 5.0
"""A command that has just begun knows no event to be settled while requests write to the log (`settled`)."""
PARTIAL_FILE_AGE = timedelta(days=1)
"""How much older than necessary an event is before a file with fewer than EVENTS_PER_FILE is written."""


@dataclass(slots=True)
class Retained:
    """What a run has done: the files it wrote, and how many events it deleted."""

    files: list[Path]
    deleted: int = 0


class Retention:
    """Archives and deletes events older than ORTHANC_AUDIT_DAYS, while `hold` returns True."""

    def __init__(
        self,
        hold: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = timezone.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hold = hold
        self._now = now
        self._monotonic = monotonic
        self._settled = SettledEvents()
        self._next_run = float("-inf")
        self._is_failing = False

    def step(self) -> None:
        """Run, if the last time is SECONDS_BETWEEN_RUNS ago. An archive that cannot be written has one line in the log.

        Raises what the database raises.
        """
        if self._monotonic() < self._next_run:
            return
        self._next_run = self._monotonic() + SECONDS_BETWEEN_RUNS
        try:
            self.run()
        except OSError as error:
            if not self._is_failing:
                logger.warning("the audit cannot be archived, and nothing of it is deleted: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    def run(self, partial_file_age: timedelta = PARTIAL_FILE_AGE) -> Retained:
        """Archive and delete what is old enough. Raises OSError, after which nothing is deleted that is not archived.

        A file with fewer than EVENTS_PER_FILE is written if its first event is older than necessary by
        `partial_file_age`.
        """
        retained = Retained([])
        self._settled.wait(MAX_SECONDS_TO_SETTLE)
        viewings.close_expired()
        while self._hold():
            state = AuditRetention.objects.get_or_create(pk=1)[0]
            retained.deleted += self._delete(state.released)
            ids = self._next_ids(state, partial_file_age)
            if not ids:
                break
            if conf.ORTHANC_AUDIT_ARCHIVE_DIR:
                events = load_events(ids, EVENTS_IN_MEMORY)
                try:
                    file = write_archive_file(Path(conf.ORTHANC_AUDIT_ARCHIVE_DIR), ids, events)
                except ArchiveFileError:
                    if _is_current(state):
                        raise
                    break
                retained.files.append(file)
                logger.info("audit archived", extra={"file": file.name, "events": len(ids)})
            # the same, if another process has done so at the same time
            AuditRetention.objects.filter(pk=state.pk, released=state.released).update(released=ids[-1])
        if retained.deleted:
            logger.info("archived audit events deleted", extra={"events": retained.deleted})
        return retained

    def _next_ids(self, state: AuditRetention, partial_file_age: timedelta) -> list[int]:
        """Return the ids of the next file, which are planned from now on."""
        left = AuditEvent.objects.filter(pk__gt=state.released).order_by("pk")
        # empty unless a process ended between planning and releasing
        if ids := list(left.filter(pk__lte=state.planned).values_list("pk", flat=True)):
            return ids if _is_current(state) else []
        # asked for before the events are read
        last = self._settled.newest()
        if conf.ORTHANC_AUDIT_SYSLOG:
            last = min(last, sent_position(configured_receiver()))
        cutoff = self._now() - timedelta(days=conf.ORTHANC_AUDIT_DAYS)
        found = left.filter(pk__lte=last).values_list("pk", "at")[:EVENTS_PER_FILE]
        old = list(takewhile(lambda one: one[1] < cutoff, found))
        if not old or (len(old) < EVENTS_PER_FILE and old[0][1] >= cutoff - partial_file_age):
            return []
        planned = AuditRetention.objects.filter(pk=state.pk, released=state.released, planned=state.planned)
        # otherwise another process has planned, and what it has planned is read again
        return [pk for pk, _ in old] if planned.update(planned=old[-1][0]) else []

    def _delete(self, released: int) -> int:
        """Delete the events up to the id `released`, and return how many there were."""
        deleted = 0
        while self._hold() and (ids := _deletable(released)):
            _delete_rows(ids)
            deleted += len(ids)
            time.sleep(SECONDS_BETWEEN_TRANSACTIONS)
        return deleted


def _is_current(state: AuditRetention) -> bool:
    """Whether no other process has archived the next file, after which it deletes the events."""
    return AuditRetention.objects.filter(pk=state.pk, released=state.released).exists()


def _deletable(released: int) -> list[int]:
    """Return the last ids that can be deleted at once: outcomes go before the intentions that they refer to.

    An intention stays as long as its outcome does, and as long as what writes that: a viewing, or a job.
    """
    events = AuditEvent.objects.filter(pk__lte=released, viewing__isnull=True, job__isnull=True)
    events = events.exclude(conclusion__pk__gt=released)
    ids = list(events.order_by("-pk").values_list("pk", flat=True)[:EVENTS_PER_TRANSACTION])
    subjects: QuerySet[AuditSubject] = AuditSubject.objects.filter(event__in=ids).order_by()
    counts = dict(subjects.values("event").annotate(count=Count("pk")).values_list("event", "count"))
    total = 0
    for number, one in enumerate(ids):
        total += counts.get(one, 0)
        if total > SUBJECTS_PER_TRANSACTION and number:
            return ids[:number]
    return ids


def _delete_rows(ids: Sequence[int]) -> None:
    """Delete events with their subjects, past the models, which refuse to."""
    connection = connections[DEFAULT_DB_ALIAS]
    subjects, events = (connection.ops.quote_name(model._meta.db_table) for model in (AuditSubject, AuditEvent))
    marks = ", ".join(["%s"] * len(ids))
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {subjects} WHERE event_id IN ({marks})", list(ids))  # noqa: S608 - quoted names
        cursor.execute(f"DELETE FROM {events} WHERE id IN ({marks})", list(ids))  # noqa: S608 - quoted names
