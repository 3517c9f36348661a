"""What all operations share: the caller is authorized, and what was done is written down (`orthancproxy.audit`)."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from orthancproxy.access.actions import Action
from orthancproxy.access.policy import authorize
from orthancproxy.archive.records import Resource
from orthancproxy.audit import events
from orthancproxy.audit.events import Subject
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.trail import Trail, code_of, outcome_of
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.orthanc.deadline import Deadline, deadline_scope
from orthancproxy.resolvers.context import RequestContext

logger = logging.getLogger(__name__)

Event = AuditEvent.Event
Outcome = AuditEvent.Outcome


@contextmanager
def audited_read(
    context: RequestContext, action: Action | None = Action.VIEW, event: AuditEvent.Event = Event.ACCESSED
) -> Iterator[Callable[[Iterable[Resource]], None]]:
    """Authorize a caller to read; what is yielded takes the records that were read.

    `conclude` writes it down, once for all that a request reads in the same way. Without an action, everybody may.
    """
    read = context.trail.begin(event, context.operation)
    try:
        if action is not None:
            authorize(context.caller, action)
        with deadline_scope(context.deadline):
            yield read.add
    except Exception as error:
        read.fail(error)
        context.trail.failures.append(error)
        raise


class OperationRecord:
    """What is to be written down of one operation while it is carried out."""

    def __init__(self, context: RequestContext, event: AuditEvent.Event, target: str) -> None:
        self.subjects: Iterable[Subject] = ()
        self.counts: Mapping[str, int] = {}
        self.outcome = Outcome.SUCCESS  # where no error says otherwise
        self.intention: AuditEvent | None = None
        self._context = context
        self._event = event
        self._target = target
        self._started = time.perf_counter()

    def write_intent(self) -> None:
        """Write down what is about to be done. When that fails, nothing may be done."""
        self.intention = self.write(Outcome.INTENDED)

    def write(self, outcome: AuditEvent.Outcome, error_code: str = "") -> AuditEvent | None:
        """Write down how far it is."""
        return events.write(
            self._context.author,
            self._event,
            self._context.operation,
            outcome,
            error_code=error_code,
            duration=time.perf_counter() - self._started,
            target=self._target,
            subjects=self.subjects,
            counts=self.counts,
            intention=self.intention,
        )

    def conclude(self, outcome: AuditEvent.Outcome, error_code: str = "") -> None:
        """Write down how it ended. Where that fails, what was intended stays without an outcome."""
        try:
            self.write(outcome, error_code)
        except Exception:
            if self.intention is None:
                raise
            # it may be done, and the caller is to know
            logger.exception("the outcome can't be written to the audit", extra={"intention": self.intention.pk})


@contextmanager
def audited_write(
    context: RequestContext,
    action: Action,
    event: AuditEvent.Event,
    target: str = "",
    patient_id: str | None = None,
) -> Iterator[OperationRecord]:
    """Authorize a caller to do something, and write down what became of it, also where it is denied or fails.

    What changes the archive calls `intend` before it does.
    """
    record = OperationRecord(context, event, target)
    try:
        authorize(context.caller, action, patient_id)
        yield record
    except Exception as error:
        context.trail.failures.append(error)
        if record.intention or not isinstance(error, DATABASE_ERRORS):
            record.conclude(outcome_of(error), code_of(error))
        raise
    record.conclude(record.outcome)


@contextmanager
def audited_separately(context: RequestContext) -> Iterator[RequestContext]:
    """A context for what is read to be told beside a change: it is written down by itself.

    Where that fails, the change is told without it.
    """
    beside = replace(context, trail=Trail(), deadline=Deadline(conf.ORTHANC_MAX_SECONDS))
    try:
        yield beside
    finally:
        context.trail.failures += beside.trail.failures
        write_audit(beside, {})


def write_audit(context: RequestContext, failures: Mapping[str, BaseException]) -> None:
    """Write down what a request has read, and what failed before it came to that: errors by the names of operations."""
    for operation, error in failures.items():
        # what the database could not do, it can't take down either: to wait for it twice would help nobody
        if error not in context.trail.failures and not isinstance(error, DATABASE_ERRORS):
            context.trail.begin(Event.ACCESSED, operation).fail(error)
    now = time.perf_counter()
    for same in context.trail.by_outcome():
        events.write(
            context.author,
            same[0].event,
            ", ".join(dict.fromkeys(read.operation for read in same)),
            same[0].outcome,
            error_code=same[0].error_code,
            duration=now - min(read.started for read in same),
            subjects=dict.fromkeys(subject for read in same for subject in read.subjects),
            counts=sum((read.counts for read in same), Counter[str]()),
        )
