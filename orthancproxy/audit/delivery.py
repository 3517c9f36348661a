"""Sends the audit log to an audit repository. The log is the queue: the database has how far it was sent.

Each batch of events has a connection of its own, and counts as sent once the receiver has ended it (`syslog`). Until
then it is sent again, by whichever process. What arrived within the last minute or two before an outage is sent again
too, since the receiver may have lost it. So an event may arrive several times: as the same bytes.

An intended event is not sent unless it has no outcome after MAX_OPERATION_TIME; the outcome may still follow. Events
are not delayed by operations that are still at work.
"""

import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from orthancproxy import metrics
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.audit.loading import load_events
from orthancproxy.audit.models import AuditDelivery, AuditEvent
from orthancproxy.audit.settled import MAX_OPERATION_TIME, SettledEvents
from orthancproxy.audit.syslog import (
    NOTICE,
    WARNING,
    Receiver,
    SyslogConnection,
    Unanswered,
    parse_url,
    syslog_message,
)
from orthancproxy.audit.viewings import viewings
from orthancproxy.conf import conf
from orthancproxy.database import lend_connections

logger = logging.getLogger(__name__)

EVENTS_PER_BATCH = 500
EVENTS_IN_MEMORY = 50
SUBJECTS_PER_MESSAGE = 40
"""A study and a patient take 700 bytes; receivers must support messages of 32,768 (PS3.15 section A.6)."""
RESENT = timedelta(minutes=1)
"""What arrived within at least this time before an outage is sent again."""
RESENT_AGAIN_SECONDS = 300.0
"""Otherwise a receiver that fails each minute would never get all."""
RETRY_SECONDS, MAX_RETRY_SECONDS = 5.0, 60.0
MAX_UNANSWERED = 3
MAX_COUNTED = 100_000
"""What waits is counted each few seconds, and may be millions."""


class LeaseLost(Exception):
    """Another process sends now."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to send, and the positions of the delivery once they have arrived."""

    ids: Sequence[int]
    position: int
    intended_position: int
    is_full: bool


def configured_receiver() -> Receiver:
    """Return the receiver of the settings. Raises ValueError."""
    host, port = parse_url(conf.ORTHANC_AUDIT_SYSLOG)
    return Receiver(host, port, conf.ORTHANC_AUDIT_CA_BUNDLE, conf.ORTHANC_AUDIT_CERTIFICATE, conf.ORTHANC_AUDIT_KEY)


def sent_position(receiver: Receiver) -> int:
    """Return the id up to which no event will be sent any more, not even again."""
    found = AuditDelivery.objects.filter(receiver=receiver.url).first()
    return min(found.resend_position, found.resend_intended_position) if found else 0


def count_waiting(receiver: Receiver) -> int:
    """Return the number of events that have not been sent yet, MAX_COUNTED at most, without those at work."""
    found = AuditDelivery.objects.filter(receiver=receiver.url).first()
    waiting = AuditEvent.objects.filter(pk__gt=found.position if found else 0)
    return waiting.exclude(outcome=AuditOutcome.INTENDED).order_by("pk")[:MAX_COUNTED].count()


class Delivery:
    """Sends events to a receiver, in one process at a time: while `hold` returns True."""

    def __init__(
        self,
        receiver: Receiver,
        source: str = "",
        hold: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = timezone.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._receiver = receiver
        self._source = source or socket.gethostname()
        self._hold = hold
        self._now = now
        self._monotonic = monotonic
        self._settled = SettledEvents()
        self._failures = 0
        self._unanswered = 0
        self._next_attempt = self._last_resent = float("-inf")

    def send(self) -> None:
        """Send what has not been sent, unless the last attempt failed a short time ago, and set the gauge of the rest.

        An outage has one line in the log. Raises what the database raises.
        """
        if self._monotonic() >= self._next_attempt:
            self._send_waiting()
        metrics.AUDIT_WAITING.set(count_waiting(self._receiver))

    def _send_waiting(self) -> None:
        viewings.close_expired()
        is_full = True
        while is_full and self._hold():
            state = AuditDelivery.objects.get_or_create(receiver=self._receiver.url)[0]
            batch = self._next_batch(state)
            try:
                if batch.ids:
                    self._send(batch)
            except LeaseLost:
                return
            except OSError as error:
                self._fail(error)
                return
            if not self._advance(state, batch):
                return
            is_full = batch.is_full

    def _next_batch(self, state: AuditDelivery) -> Batch:
        settled = max(self._settled.newest(), state.position)
        new = AuditEvent.objects.filter(pk__gt=state.position, pk__lte=settled).exclude(outcome=AuditOutcome.INTENDED)
        ids = list(new.order_by("pk").values_list("pk", flat=True)[:EVENTS_PER_BATCH])
        is_full = len(ids) == EVENTS_PER_BATCH
        position = ids[-1] if is_full else settled
        unknown, intended_position, has_more = self._without_outcome(state.intended_position, position)
        return Batch(sorted([*ids, *unknown]), position, intended_position, is_full or has_more)

    def _without_outcome(self, after: int, up_to: int) -> tuple[list[int], int, bool]:
        """Return intended events whose outcome remains unknown, their new position, and whether there are more."""
        intended = AuditEvent.objects.filter(pk__gt=after, pk__lte=up_to, outcome=AuditOutcome.INTENDED)
        now = self._now()
        ids: list[int] = []
        found = intended.filter(conclusion__isnull=True).order_by("pk").values_list("pk", "at")[:EVENTS_PER_BATCH]
        for pk, at in found:
            # clocks of hosts differ; a wrong one may have dated it years ahead
            if abs(now - at) < MAX_OPERATION_TIME:
                return ids, pk - 1, False
            ids.append(pk)
        has_more = len(ids) == EVENTS_PER_BATCH
        return ids, ids[-1] if has_more else max(after, up_to), has_more

    def _send(self, batch: Batch) -> None:
        # connecting may take long
        lend_connections()
        with SyslogConnection(self._receiver) as connection:
            for event in load_events(batch.ids, EVENTS_IN_MEMORY):
                if not self._hold():
                    raise LeaseLost
                severity = NOTICE if event.outcome == AuditOutcome.SUCCESS else WARNING
                for text in messages(event, self._source, SUBJECTS_PER_MESSAGE):
                    connection.send(syslog_message(text, event.at, self._source, severity=severity))
            try:
                connection.end()
            except Unanswered as error:
                self._tolerate(error)
            else:
                self._unanswered = 0
        self._failures = 0

    def _tolerate(self, error: Unanswered) -> None:
        """Raise the error, unless the receiver never ends a connection: it would get the same events for ever."""
        self._unanswered += 1
        if self._unanswered < MAX_UNANSWERED:
            raise error
        if self._unanswered == MAX_UNANSWERED:
            logger.warning("the audit repository never confirms what it gets: events it has not read may be lost")

    def _advance(self, state: AuditDelivery, batch: Batch) -> bool:
        """Save the positions, unless another process has; return whether this one has."""
        new: dict[str, int | datetime] = {"position": batch.position, "intended_position": batch.intended_position}
        if self._now() - state.recent_at >= RESENT:
            new |= {
                "recent_at": self._now(),
                "recent_position": state.position,
                "recent_intended_position": state.intended_position,
                "resend_position": state.recent_position,
                "resend_intended_position": state.recent_intended_position,
            }
        is_old = all(value == getattr(state, name) for name, value in new.items())
        return is_old or bool(_unchanged(state).update(**new))

    def _fail(self, error: OSError) -> None:
        self._failures += 1
        delay = min(RETRY_SECONDS * 2 ** (self._failures - 1), MAX_RETRY_SECONDS)
        self._next_attempt = self._monotonic() + delay
        if self._failures > 1:
            return
        logger.warning("the audit repository cannot be reached, and it is tried again: %s", error)
        if not isinstance(error, Unanswered) and self._monotonic() - self._last_resent >= RESENT_AGAIN_SECONDS:
            self._last_resent = self._monotonic()
            AuditDelivery.objects.filter(receiver=self._receiver.url).update(
                position=F("resend_position"),
                intended_position=F("resend_intended_position"),
                recent_position=F("resend_position"),
                recent_intended_position=F("resend_intended_position"),
            )


def _unchanged(state: AuditDelivery) -> QuerySet[AuditDelivery]:
    unchanged = Q(position=state.position, intended_position=state.intended_position)
    return AuditDelivery.objects.filter(unchanged, pk=state.pk)
