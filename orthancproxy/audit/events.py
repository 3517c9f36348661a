"""Writes audit events: one for each operation, two where it changes the archive."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from prometheus_client import Counter

from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.audit.rate_limit import refusal_rate_limit
from orthancproxy.database import DATABASE_ERRORS, SET_LOCK_TIMEOUT, lend_connections, storable
from orthancproxy.errors import CSRFFailed, InvalidRequest, LimitExceeded, NotAuthenticated, PermissionDenied
from orthancproxy.metrics import AUDIT_EVENTS

# SQLite's limit is 999 parameters
ROWS_PER_STATEMENT = 300
# a transaction whose connection was lost may hold the row that is written again, until PostgreSQL notices
LOCK_TIMEOUT = "10s"
# codes that anyone can provoke as often as they like
RATE_LIMITED_CODES = frozenset(
    one.code for one in (NotAuthenticated, PermissionDenied, CSRFFailed, InvalidRequest, LimitExceeded)
)


@dataclass(frozen=True, slots=True)
class Author:
    """The caller of a request as the audit log has it, and the request's id in the request log."""

    username: str = ""
    authentication: Authentication = Authentication.NONE
    address: str | None = None
    request_id: str = ""

    @property
    def key(self) -> str:
        """What tells authors apart: the user, or the address of an anonymous caller."""
        return f"user {self.username}" if self.username else f"address {self.address}"


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient, or one of its studies: PatientID and StudyInstanceUID."""

    patient_id: str
    study_instance_uid: str = ""


def write(
    author: Author,
    kind: EventKind,
    operation: str,
    outcome: AuditOutcome,
    *,
    error_code: str = "",
    duration: float = 0.0,
    target: str = "",
    subjects: Iterable[Subject] = (),
    counts: Mapping[str, int] | None = None,
    details: Mapping[str, Any] | None = None,
    intention: AuditEvent | None = None,
    durable: bool = True,
) -> AuditEvent | None:
    """Write one event, permanently; `duration` is in seconds. Unless `durable`, it is part of an outer transaction.

    Return None if the rate limit of rejections suppresses it. Raises what the database raises:
    an operation that is not audited must not be carried out. If the connection to PostgreSQL is lost while the outcome
    of one that was carried out is written, it is written once more over another connection.
    """
    counts = dict(counts or {})
    # anyone can also provoke that a login fails while the identity provider is down; an intention is told its outcome
    if intention is None and (error_code in RATE_LIMITED_CODES or (error_code and kind == EventKind.LOGIN)):
        # anyone can claim to be a user who logs in
        username = "" if kind == EventKind.LOGIN else author.username
        suppressed = refusal_rate_limit.count(username, author.address or "")
        if suppressed is None:
            AUDIT_EVENTS.labels(kind, "SUPPRESSED").inc()
            return None
        if suppressed:
            counts["refusalsLeftOut"] = suppressed
    insert = partial(
        _insert,
        tuple(subjects),
        durable=durable,
        event=kind,
        operation=_storable(operation, 200),
        outcome=outcome,
        error_code=error_code,
        username=_storable(author.username, 150),
        authentication=author.authentication,
        address=author.address,
        request_id=_storable(author.request_id, 64),
        duration_ms=round(duration * 1000, 1),
        target=_storable(target, 64),
        counts=counts,
        details=details,
        intention=intention,
    )
    try:
        event = insert()
    except DATABASE_ERRORS:
        if intention is None or not durable or connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
            raise
        # the thread waits for another one
        lend_connections()
        event = _insert_again(insert, intention)
    _counter(kind, outcome).inc()
    return event


def _insert_again(insert: Callable[..., AuditEvent], intention: AuditEvent) -> AuditEvent:
    try:
        return insert(lock_timeout=LOCK_TIMEOUT)
    except IntegrityError:
        # an intention has one outcome: it was written, and only the answer was lost
        return AuditEvent.objects.get(intention=intention)


def _insert(subjects: Iterable[Subject], *, durable: bool, lock_timeout: str = "", **columns: Any) -> AuditEvent:
    # an outer transaction could roll it back
    with transaction.atomic(durable=durable):
        if lock_timeout:
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute(SET_LOCK_TIMEOUT, [lock_timeout])
        event = AuditEvent.objects.create(**columns)
        _insert_subjects(event, subjects)
    return event


@cache
def _counter(kind: EventKind, outcome: AuditOutcome) -> Counter:
    return AUDIT_EVENTS.labels(kind, outcome)


def _insert_subjects(event: AuditEvent, subjects: Iterable[Subject]) -> None:
    """Insert the subjects of an event, without an object for each: 10,000 take 40 ms of CPU time instead of 300."""
    connection = connections[event._state.db or DEFAULT_DB_ALIAS]
    table = connection.ops.quote_name(AuditSubject._meta.db_table)
    insert = f"INSERT INTO {table} (event_id, patient_id, study_instance_uid) VALUES "  # noqa: S608  our own table
    rows = [
        (event.pk, _storable(subject.patient_id, 324), _storable(subject.study_instance_uid, 64))
        for subject in subjects
    ]
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        part = rows[start : start + ROWS_PER_STATEMENT]
        with connection.cursor() as cursor:
            cursor.execute(insert + ", ".join(["(%s, %s, %s)"] * len(part)), list(chain.from_iterable(part)))


def _storable(text: str, max_length: int) -> str:
    return storable(text)[:max_length]
