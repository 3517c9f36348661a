"""Loads events of the audit log with their subjects."""

from collections.abc import Iterator, Sequence

from django.db.models import Prefetch

from orthancproxy.audit.models import AuditEvent, AuditSubject


def load_events(ids: Sequence[int], at_once: int) -> Iterator[AuditEvent]:
    """Yield the events with these ascending ids, so many of which are in memory.

    No query is open meanwhile, since SQLite would not truncate its log.
    """
    subjects = Prefetch("subjects", AuditSubject.objects.order_by("pk"))
    for start in range(0, len(ids), at_once):
        part = ids[start : start + at_once]
        yield from list(AuditEvent.objects.filter(pk__in=part).order_by("pk").prefetch_related(subjects))
