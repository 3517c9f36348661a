"""`manage.py export_audit`: export the audit log as DICOM audit messages for a SIEM."""

from __future__ import annotations

import argparse
import io
import socket
import sys
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.audit.settled import MAX_OPERATION_TIME
from orthancproxy.audit.viewings import viewings

EVENTS_IN_MEMORY = 200
# an event may be committed after one with a higher id, but not much later
SETTLED_AFTER = timedelta(minutes=1)


class Command(BaseCommand):
    """Writes the events, oldest first, as messages of PS3.15 section A.5: one per line, in UTF-8.

    The last line of standard error is the id of the last event, for `--after-id` of the next run.
    """

    help = "Write the audit log as DICOM audit messages (PS3.15 A.5), one per line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=_date_time, metavar="ISO", help="Only events at or after this time.")
        parser.add_argument(
            "--until", type=_date_time, metavar="ISO", help="Only events before this time (default: a minute ago)."
        )
        parser.add_argument("--after-id", type=_id, metavar="ID", default=0, help="Only events after this id.")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="A file to append to, instead of standard output."
        )
        parser.add_argument(
            "--source",
            default=socket.gethostname(),
            metavar="NAME",
            help="AuditSourceID, the name of this gateway (default: the host name).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        last = options["after_id"]
        viewings.close_expired()
        with ExitStack() as stack:
            try:
                write = self._writer(stack, options["output"])
                for event in _events(options["since"], options["until"], options["after_id"]).iterator(
                    EVENTS_IN_MEMORY
                ):
                    for message in messages(event, options["source"]):
                        write(f"{message}\n")
                    last = event.pk
                # flushed before the id says that they are written
                stack.close()
            except OSError as error:
                raise CommandError(f"Writing the messages failed: {error}") from error
        self.stderr.write(str(last))

    def _writer(self, stack: ExitStack, output: Path | None) -> Any:
        if output:
            return stack.enter_context(output.open("a", encoding="utf-8")).write
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        stack.callback(self.stdout.flush)
        return self.stdout.write


def _events(since: datetime | None, until: datetime | None, after_id: int) -> QuerySet[AuditEvent]:
    """Return the events, without intended ones that have an outcome."""
    events = AuditEvent.objects.filter(pk__gt=after_id)
    if since:
        events = events.filter(at__gte=since)
    if until:
        events = events.filter(at__lt=until)
    elif unsettled := _first_unsettled():
        events = events.filter(pk__lt=unsettled.pk)
    events = events.exclude(outcome=AuditOutcome.INTENDED, conclusion__isnull=False)
    return events.order_by("pk").prefetch_related(Prefetch("subjects", AuditSubject.objects.order_by("pk")))


def _first_unsettled() -> AuditEvent | None:
    """Return the first event, by id, that may still change. Clocks of hosts differ; one dated years ahead is wrong."""
    now = timezone.now()
    young = Q(at__gt=now - SETTLED_AFTER)
    at_work = Q(outcome=AuditOutcome.INTENDED, conclusion__isnull=True, at__gt=now - MAX_OPERATION_TIME)
    return AuditEvent.objects.filter(young | at_work, at__lt=now + MAX_OPERATION_TIME).order_by("pk").first()


def _date_time(given: str) -> datetime:
    """Parse a date, or a date and time; the default time zone is the server's."""
    try:
        read = parse_datetime(given)
    except ValueError:
        read = None
    if read is None:
        raise argparse.ArgumentTypeError(f"{given!r} is not a date and time such as 2026-01-31T13:00:00+09:00.")
    return timezone.make_aware(read) if timezone.is_naive(read) else read


def _id(given: str) -> int:
    if not given.isascii() or not given.isdigit():
        raise argparse.ArgumentTypeError(f"{given!r} is not an event id: use the last line of an earlier run.")
    return int(given)
