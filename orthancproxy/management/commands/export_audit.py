"""`manage.py export_audit`: what was done, as DICOM audit messages for a SIEM."""

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

AT_ONCE = 200  # events in memory
# a younger event may be committed after one with a higher id
SETTLED = timedelta(minutes=1)
# what was begun and has not ended for so long will not
AT_WORK = timedelta(hours=1)


class Command(BaseCommand):
    """Writes what is in the audit, oldest first: messages of PS3.15 section A.5, each a line of UTF-8.

    The last line on standard error is the id of the last event: `--after-id` of the next run.
    """

    help = "Write the audit as DICOM audit messages (PS3.15 A.5), one per line."

    def add_arguments(self, parser: CommandParser) -> None:
        """Say what can be asked for."""
        parser.add_argument("--since", type=_date_time, metavar="ISO", help="Events from then on.")
        parser.add_argument("--until", type=_date_time, metavar="ISO", help="Events before then; a minute ago if none.")
        parser.add_argument("--after-id", type=_id, metavar="ID", default=0, help="Where an earlier run ended.")
        parser.add_argument("--output", type=Path, metavar="FILE", help="A file to append to, not standard output.")
        parser.add_argument(
            "--source",
            default=socket.gethostname(),
            metavar="NAME",
            help="AuditSourceID: what this gateway is called. The name of this machine if none.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the messages, then the id."""
        last = options["after_id"]
        with ExitStack() as stack:
            try:
                write = self._writer(stack, options["output"])
                for event in _events(options["since"], options["until"], options["after_id"]).iterator(AT_ONCE):
                    for message in messages(event, options["source"]):
                        write(f"{message}\n")
                    last = event.pk
                # what is not yet written can't be said to be
                stack.close()
            except OSError as error:
                raise CommandError(f"The messages can't be written: {error}") from error
        self.stderr.write(str(last))

    def _writer(self, stack: ExitStack, output: Path | None) -> Any:
        if output:
            return stack.enter_context(output.open("a", encoding="utf-8")).write
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        stack.callback(self.stdout.flush)
        return self.stdout.write


def _events(since: datetime | None, until: datetime | None, after_id: int) -> QuerySet[AuditEvent]:
    """All events but the intentions whose outcome is an event of its own."""
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
    """By id, since ids and times need not be in the same order; what a wrong clock dated to the future is no reason."""
    now = timezone.now()
    young = Q(at__gt=now - SETTLED)
    at_work = Q(outcome=AuditOutcome.INTENDED, conclusion__isnull=True, at__gt=now - AT_WORK)
    return AuditEvent.objects.filter(young | at_work, at__lte=now).order_by("pk").first()


def _date_time(given: str) -> datetime:
    """Read a date, or a date and time; without a zone it is one of the server's."""
    try:
        read = parse_datetime(given)
    except ValueError:
        read = None
    if read is None:
        raise argparse.ArgumentTypeError(f"{given!r} is no date and time such as 2026-01-31T13:00:00+09:00.")
    return timezone.make_aware(read) if timezone.is_naive(read) else read


def _id(given: str) -> int:
    if not given.isascii() or not given.isdigit():
        raise argparse.ArgumentTypeError(f"{given!r} is no id: the last line of an earlier run is one.")
    return int(given)
