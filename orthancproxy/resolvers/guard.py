"""Context managers for all operations: they authorize the caller, and write the audit log."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

from prometheus_client import Counter, Histogram

from orthancproxy.access.policy import authorize
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.audit import events
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.reads import RequestReads, code_of, outcome_of
from orthancproxy.audit.viewings import viewings
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.feed.log import Change
from orthancproxy.metrics import OPERATION_SECONDS, OPERATIONS, UPLOADED_FILES, UPLOADS
from orthancproxy.orthanc.call_slots import caller_scope
from orthancproxy.orthanc.deadline import Deadline, deadline_scope
from orthancproxy.request_record import note_operation
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.operations import READ, Operation
from orthancproxy.tracing import span

logger = logging.getLogger(__name__)


@contextmanager
def audited_read(
    context: RequestContext, operation: Operation = READ
) -> Iterator[Callable[[Iterable[Resource]], None]]:
    """Authorize a caller to read; yield a function that takes the resources that were read.

    The exit of `context` writes them to the audit log: one event for all operations of the same kind and outcome.
    """
    read = context.reads.begin(operation.kind, context.operation_name)
    try:
        with _observed(context.operation_name):
            authorize(context.caller, operation.action)
            with deadline_scope(context.deadline), caller_scope(context.author.key):
                yield read.add
    except Exception as error:
        context.reads.fail(read, error)
        raise


class PendingEvent:
    """The audit event of an operation that is being carried out.

    `subjects` and `counts` are filled in by the operation; `outcome` is SUCCESS unless it says otherwise or raises, and
    None for nothing to audit. `target` is the resource that the caller names, by its Orthanc id once that is known.
    `series` is the Orthanc id of the series that is viewed, in which transfers are counted. `changes` are those that
    Orthanc does not tell: deletions and labels. `details` are those of a change of access or of labels.
    """

    def __init__(self, context: RequestContext, operation: Operation, target: str) -> None:
        self.subjects: Iterable[Subject] = ()
        self.counts: Mapping[str, int] = {}
        self.details: Mapping[str, Any] | None = None
        self.outcome: AuditOutcome | None = AuditOutcome.SUCCESS
        self.series: str | None = None
        self.intention: AuditEvent | None = None
        self.changes: list[Change] = []
        self._context = context
        self._operation = operation
        self.kind = operation.kind
        self.target = target
        self._started = time.perf_counter()

    def write_intent(self) -> None:
        """Write what is about to be done. If this fails, the operation must not be carried out."""
        self.intention = self.write(AuditOutcome.INTENDED)

    def hand_over(self) -> AuditEvent | None:
        """Write what is about to be done, in the transaction that makes the job; the job writes the outcome."""
        self.outcome = None
        return self.write(AuditOutcome.INTENDED, durable=False)

    def write(self, outcome: AuditOutcome, error_code: str = "", *, durable: bool = True) -> AuditEvent | None:
        """Write an event with what is known so far."""
        level = self._operation.target_level
        return events.write(
            self._context.author,
            self._operation.kind,
            self._context.operation_name,
            outcome,
            error_code=error_code,
            duration=time.perf_counter() - self._started,
            target=f"{level.path}/{self.target}" if level else "",
            subjects=self.subjects,
            counts=self.counts,
            details=self.details,
            intention=self.intention,
            durable=durable,
        )

    def report_changes(self) -> None:
        """Log what the operation may have changed in the archive since the last time."""
        if self.intention and self._operation.changes:
            self._context.background.report(self.changes)
            self.changes = []

    def succeed(self) -> None:
        """Write the outcome of an operation that did not raise."""
        if self.series and conf.ORTHANC_VIEWING_MINUTES:
            target = f"{Level.SERIES.path}/{self.series}"
            author, operation = self._context.author, self._context.operation_name
            viewings.count(author, self._operation.kind, operation, target, self.subjects, self.counts)
        elif self.outcome:
            self.conclude(self.outcome)

    def conclude(self, outcome: AuditOutcome, error_code: str = "") -> None:
        """Write the outcome. If this fails after the intent was written, the intent stays without an outcome."""
        try:
            self.write(outcome, error_code)
        except Exception:
            if self.intention is None:
                raise
            # the operation may have been carried out, and the caller must get its result
            logger.exception("cannot write the outcome to the audit log", extra={"intention": self.intention.pk})


@contextmanager
def audited_write(context: RequestContext, operation: Operation, target: str = "") -> Iterator[PendingEvent]:
    """Authorize a caller, and write an event of its own for the operation, even if it is denied or fails.

    `target` is the Orthanc id, or the UID, of the resource that the caller names. An operation that changes the archive
    calls `write_intent` before it does.
    """
    event = PendingEvent(context, operation, target)
    try:
        with _observed(context.operation_name, event):
            authorize(context.caller, operation.action)
            with caller_scope(context.author.key):
                try:
                    yield event
                finally:
                    event.report_changes()
    except Exception as error:
        context.reads.audited_errors.append(error)
        if event.intention or not isinstance(error, DATABASE_ERRORS):
            event.conclude(outcome_of(error), code_of(error))
        raise
    event.succeed()


@cache
def _metrics(name: str, outcome: AuditOutcome) -> tuple[Counter, Histogram]:
    return OPERATIONS.labels(name, outcome), OPERATION_SECONDS.labels(name)


@contextmanager
def _observed(name: str, event: PendingEvent | None = None) -> Iterator[None]:
    """Note an operation in the request log line, count it, and make it a part of the trace."""
    started = time.perf_counter()
    outcome = AuditOutcome.SUCCESS
    note_operation(name)
    with span(name):
        try:
            yield
            if event:
                outcome = event.outcome or outcome
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            operations, seconds = _metrics(name, outcome)
            operations.inc()
            seconds.observe(time.perf_counter() - started)
            if event and event.kind is EventKind.IMPORT:
                UPLOADS.labels(outcome).inc()
                for state, number in event.counts.items():
                    UPLOADED_FILES.labels(state).inc(number)


@contextmanager
def audited_separately(context: RequestContext) -> Iterator[RequestContext]:
    """Yield a context for reading the resources in the response to a change, with its own audit events and deadline.

    If this fails, the response omits them.
    """
    separate = replace(context, reads=RequestReads(), deadline=Deadline(conf.ORTHANC_MAX_SECONDS))
    try:
        with separate:
            yield separate
    finally:
        context.reads.audited_errors += separate.reads.audited_errors
