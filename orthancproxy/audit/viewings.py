"""Viewings: what a caller gets of one series within some minutes is one event, with an intention before it.

A viewer gets hundreds of files or pictures of a series. The first one is written as INTENDED, the others are counted in
a row beside the log. When the minutes are over, whoever begins another viewing or reads the log writes the outcome and
deletes the row, so a gateway that was killed leaves none open.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models import F, QuerySet
from django.db.models.lookups import Exact
from django.utils import timezone

from orthancproxy.audit import events
from orthancproxy.audit.events import Author, Subject
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import Viewing
from orthancproxy.conf import conf

# closing one takes 2 ms (SQLite)
MAX_CLOSED_BY_PICTURE = 10
MAX_CLOSED_BY_READER = 1000
CLOSED_PER_TRANSACTION = 100


@dataclass
class Viewings:
    """The viewings of all gateways that share the database."""

    clock: Callable[[], datetime] = timezone.now

    def count(
        self,
        author: Author,
        kind: EventKind,
        operation: str,
        target: str,
        subjects: Iterable[Subject],
        counts: Mapping[str, int],
    ) -> None:
        """Count one file or picture of the series `target` that is about to be sent.

        Raises what the database raises: what is not audited must not be sent.
        """
        caller = (author.username, author.authentication.value, author.address)
        key = sha256(repr((caller, operation, target)).encode("utf-8", "backslashreplace")).hexdigest()
        if self._is_counted(key):
            return
        try:
            with transaction.atomic(durable=True):
                intended = AuditOutcome.INTENDED
                # not None: only rejections are suppressed
                intention: Any = events.write(
                    author, kind, operation, intended, target=target, subjects=subjects, counts=counts, durable=False
                )
                self._close(MAX_CLOSED_BY_PICTURE, first=key)
                now = self.clock()
                closes_at = now + timedelta(minutes=conf.ORTHANC_VIEWING_MINUTES)
                Viewing.objects.create(key=key, intention=intention, last_at=now, closes_at=closes_at)
        except IntegrityError:
            # another request has opened it at the same time
            if not self._is_counted(key):
                raise

    def close_expired(self) -> None:
        """Write the outcomes of viewings whose time is over, as readers of the log expect."""
        for _ in range(0, MAX_CLOSED_BY_READER, CLOSED_PER_TRANSACTION):
            if not self._expired().exists():
                return
            with transaction.atomic(durable=True):
                self._close(CLOSED_PER_TRANSACTION)

    def _is_counted(self, key: str) -> bool:
        connection = connections[router.db_for_write(Viewing)]
        now = connection.ops.adapt_datetimefield_value(self.clock())
        with connection.cursor() as cursor:
            cursor.execute(_count_sql(connection.ops), [now, key, now])
            return bool(cursor.rowcount == 1)

    def _expired(self) -> QuerySet[Viewing]:
        return Viewing.objects.filter(closes_at__lte=self.clock())

    def _close(self, maximum: int, first: str = "") -> None:
        """Write the outcomes of expired viewings, in the transaction of the caller; that with the key `first` first."""
        expired = self._expired().order_by(Exact(F("key"), first).desc(), "closes_at")
        # another worker is closing those that are locked; SQLite locks the database instead
        found = list(expired.select_for_update(skip_locked=True)[:maximum])
        for viewing in found:
            _write_outcome(viewing)
        if found:
            Viewing.objects.filter(pk__in=[viewing.pk for viewing in found]).delete()


def _count_sql(operations: BaseDatabaseOperations) -> str:
    """Return the update that counts a transfer, which takes Django ten times as long to compile as SQLite to execute.

    Its parameters are the time, the key, and the time again.
    """
    names = (Viewing._meta.db_table, "transfers", "last_at", "key", "closes_at")
    table, transfers, last_at, key, closes_at = map(operations.quote_name, names)
    return (
        f"UPDATE {table} SET {transfers} = {transfers} + 1, {last_at} = %s"  # noqa: S608 - quoted names
        f" WHERE {key} = %s AND {closes_at} > %s"
    )


def _write_outcome(viewing: Viewing) -> None:
    begun = viewing.intention
    events.write(
        Author(begun.username, Authentication(begun.authentication), begun.address, begun.request_id),
        EventKind[begun.event],
        begun.operation,
        AuditOutcome.SUCCESS,
        duration=max((viewing.last_at - begun.at).total_seconds(), 0.0),
        target=begun.target,
        subjects=[Subject(one.patient_id, one.study_instance_uid) for one in begun.subjects.order_by("pk")],
        counts=dict.fromkeys(begun.counts, viewing.transfers),
        intention=begun,
        durable=False,
    )


viewings = Viewings()
