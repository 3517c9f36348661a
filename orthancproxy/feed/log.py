"""The log of changes: what was added to the archive, changed and deleted, in one order for all gateways.

from orthancproxy.feed.log import change_log

change_log.append([Change(Kind.ADDED, Level.STUDY, orthanc_id)])
change_log.after(cursor, limit=100)
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto
from threading import Event

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from orthancproxy.archive.levels import Level
from orthancproxy.conf import conf
from orthancproxy.database import storable
from orthancproxy.errors import CursorExpired
from orthancproxy.feed.models import ChangeLogState, ChangeRow

CHANNEL = "orthancproxy_changes"
"""On which PostgreSQL notifies the gateways of new rows."""
# SQLite before 3.32 has at most 999 parameters in a statement
IDS_PER_STATEMENT = 500
ROWS_PER_TRIM = 10_000
CHANGES_PER_READ = 500
_UNWRITTEN = sys.maxsize  # the cursor of what is being appended


class Kind(StrEnum):
    """What happened to a resource of the archive."""

    ADDED = auto()
    UPDATED = auto()  # instances were added below it, or deleted
    STABLE = auto()  # nothing was added below it for Orthanc's `StableAge`
    LABELLED = auto()
    DELETED = auto()  # with all that was below it


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a resource, which is identified by its Orthanc id.

    `patient_id` and `study_instance_uid` are tags as stored; the Orthanc ids are those of its patient and study, or its
    own. `labels` are those of the study, or of the studies of a patient. `seen_at` is a cursor of the log at which the
    archive still had the resource. What is None is not known, or does not apply.
    """

    kind: Kind
    level: Level
    orthanc_id: str
    patient_id: str | None = None
    study_instance_uid: str | None = None
    patient_orthanc_id: str | None = None
    study_orthanc_id: str | None = None
    labels: frozenset[str] | None = None
    # the archive has it still, though nobody sees it
    is_in_trash: bool = field(default=False, compare=False)
    seen_at: int | None = field(default=None, compare=False)

    @property
    def is_identified(self) -> bool:
        """Whether its patient is known, and its study unless it is a patient."""
        return self.patient_id is not None and (self.level is Level.PATIENT or self.study_instance_uid is not None)


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """A change in the log. Cursors grow, not always by one."""

    change: Change
    cursor: int
    at: datetime


class ChangeLog:
    """The log, which all gateways share that have the same database. Safe for threads.

    Methods raise what the database raises.
    """

    def __init__(self, using: str = DEFAULT_DB_ALIAS, now: Callable[[], datetime] = timezone.now) -> None:
        self.using = using
        self.now = now
        self.appended = Event()
        """Set when this process has appended to the log; whoever waits for it clears it."""

    def append(self, changes: Iterable[Change]) -> None:
        """Append changes in one transaction, unless ORTHANC_CHANGES_DAYS is 0.

        A change without its patient and study, or without labels, gets those of the newest change of the same resource.
        What is deleted twice is logged once, unless who reports it first knows neither patient nor labels. Labels of
        what was deleted since it was seen, alone or with its study or patient, are not logged.
        """
        changes = list(changes)
        if not changes or not conf.ORTHANC_CHANGES_DAYS:
            return
        with self.exclusive():
            named = (name for one in changes for name in (one.orthanc_id, *_deleted_with(one)))
            newest = self.newest_of(named)
            at = self.now()
            rows = []
            for one in changes:
                if any(name in newest and _is_gone(newest[name], one.seen_at) for name in _deleted_with(one)):
                    continue
                known = newest[one.orthanc_id].change if one.orthanc_id in newest else None
                change = _identified(one, known) if known else one
                # scopes need what the other has
                if change != known or change.kind is not Kind.DELETED:
                    newest[one.orthanc_id] = LoggedChange(change, _UNWRITTEN, at)
                    rows.append(_to_row(change, at))
            self._rows().bulk_create(rows, batch_size=IDS_PER_STATEMENT)
            if rows:
                self._notify()

    def removed(self, level: Level, orthanc_ids: Sequence[str], seen_at: int | None = None) -> None:
        """Append that resources were deleted, of which the caller knows nothing but their Orthanc ids.

        Leave out those with changes after the cursor `seen_at`, at which they were missing: they were stored again.
        """
        with self.exclusive():
            newest = self.newest_of(orthanc_ids) if seen_at is not None else {}
            again = {one for one, last in newest.items() if seen_at is not None and last.cursor > seen_at}
            self.append([Change(Kind.DELETED, level, one) for one in orthanc_ids if one not in again])

    def after(self, cursor: int, limit: int) -> list[LoggedChange]:
        """Return the first changes after a cursor; `oldest` is that before all that are kept.

        Raises CursorExpired if changes after the cursor have been dropped, or if it is of another log.
        """
        rows = self._rows().filter(pk__gt=cursor).order_by("pk")[:limit]
        changes = [_to_logged(row) for row in rows]
        # what is dropped between the two statements must not be missing silently
        if cursor < self.oldest() or (not changes and cursor > self.newest()):
            raise CursorExpired
        return changes

    def oldest(self) -> int:
        """Return the cursor after which nothing has been dropped."""
        return ChangeLogState.objects.using(self.using).values_list("dropped", flat=True).first() or 0

    def newest(self) -> int:
        """Return the newest cursor, 0 if there has never been one."""
        newest: int | None = self._rows().aggregate(newest=Max("pk"))["newest"]
        return newest or self.oldest()

    def trim(self) -> None:
        """Drop changes that are older than ORTHANC_CHANGES_DAYS, ROWS_PER_TRIM at most."""
        limit = self.now() - timedelta(days=conf.ORTHANC_CHANGES_DAYS)
        oldest = self._rows().order_by("pk").first()
        if oldest is None or oldest.at >= limit:
            return
        with self.exclusive() as state:
            for cursor, at in self._rows().order_by("pk").values_list("pk", "at")[:ROWS_PER_TRIM]:
                if at >= limit:
                    break
                state.dropped = cursor
            state.save(using=self.using)
            self._rows().filter(pk__lte=state.dropped).delete()

    def state(self) -> ChangeLogState:
        """Return the log's state, which others may change: `exclusive` yields one that they cannot."""
        return ChangeLogState.objects.using(self.using).first() or ChangeLogState()

    @contextmanager
    def exclusive(self) -> Iterator[ChangeLogState]:
        """Keep others from writing to the log within the block, a transaction; yield the log's state.

        So rows become visible in the order of their cursors, and no reader misses one.
        """
        with transaction.atomic(self.using):
            yield ChangeLogState.objects.using(self.using).select_for_update().get_or_create(pk=1)[0]

    def _rows(self) -> QuerySet[ChangeRow]:
        return ChangeRow.objects.using(self.using).order_by()

    def newest_of(self, orthanc_ids: Iterable[str]) -> dict[str, LoggedChange]:
        """Return the newest change of each of these resources that has one."""
        found: dict[str, LoggedChange] = {}
        ids = list(dict.fromkeys(orthanc_ids))
        for start in range(0, len(ids), IDS_PER_STATEMENT):
            part = ids[start : start + IDS_PER_STATEMENT]
            newest = self._rows().filter(orthanc_id__in=part).values("orthanc_id").annotate(newest=Max("pk"))
            for row in self._rows().filter(pk__in=newest.values("newest")):
                found[row.orthanc_id] = _to_logged(row)
        return found

    def deleted_after(self, cursor: int) -> set[str]:
        """Return the Orthanc ids of what was deleted after a cursor."""
        return set(self._rows().filter(pk__gt=cursor, kind=Kind.DELETED).values_list("orthanc_id", flat=True))

    def _notify(self) -> None:
        """Wake those who wait for changes, in all gateways, once the transaction is committed."""
        connection = connections[self.using]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        transaction.on_commit(self.appended.set, self.using)


def _deleted_with(change: Change) -> list[str]:
    """Return the Orthanc ids of what is not to be deleted before this change, of which Orthanc tells nothing."""
    if change.kind is not Kind.LABELLED:
        return []
    return [one for one in (change.orthanc_id, change.study_orthanc_id, change.patient_orthanc_id) if one]


def _is_gone(last: LoggedChange, seen_at: int | None) -> bool:
    """Return whether a resource was deleted, and not seen since: the log can miss that Orthanc has it again."""
    return last.change.kind is Kind.DELETED and (seen_at is None or last.cursor > seen_at)


def _identified(change: Change, known: Change) -> Change:
    labels = known.labels if change.labels is None else change.labels
    return replace(known if known.is_identified else change, kind=change.kind, labels=labels)


def _to_row(change: Change, at: datetime) -> ChangeRow:
    return ChangeRow(
        at=at,
        kind=change.kind.value,
        level=change.level.value,
        orthanc_id=change.orthanc_id,
        patient_id=None if change.patient_id is None else storable(change.patient_id),
        study_instance_uid=None if change.study_instance_uid is None else storable(change.study_instance_uid),
        patient_orthanc_id=change.patient_orthanc_id,
        study_orthanc_id=change.study_orthanc_id,
        labels=None if change.labels is None else sorted(change.labels),
    )


def _to_logged(row: ChangeRow) -> LoggedChange:
    change = Change(
        kind=Kind(row.kind),
        level=Level(row.level),
        orthanc_id=row.orthanc_id,
        patient_id=row.patient_id,
        study_instance_uid=row.study_instance_uid,
        patient_orthanc_id=row.patient_orthanc_id,
        study_orthanc_id=row.study_orthanc_id,
        labels=None if row.labels is None else frozenset(row.labels),
    )
    return LoggedChange(change, row.pk, row.at)


change_log = ChangeLog()
