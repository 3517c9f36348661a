"""Writes audit events: one for each operation, two where it changes the archive."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.audit.rate_limit import refusal_rate_limit
from orthancproxy.database import storable
from orthancproxy.errors import CSRFFailed, InvalidRequest, LimitExceeded, NotAuthenticated, PermissionDenied

ROWS_PER_STATEMENT = 500
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
    an operation that is not audited must not be carried out.
    """
    counts = dict(counts or {})
    if error_code in RATE_LIMITED_CODES:
        # anyone can claim to be a user who logs in
        username = "" if kind == EventKind.LOGIN else author.username
        suppressed = refusal_rate_limit.count(username, author.address or "")
        if suppressed is None:
            return None
        if suppressed:
            counts["refusalsLeftOut"] = suppressed
    # an outer transaction could roll it back
    with transaction.atomic(durable=durable):
        event = AuditEvent.objects.create(
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
        AuditSubject.objects.bulk_create(
            [
                AuditSubject(
                    event=event,
                    patient_id=_storable(subject.patient_id, 324),
                    study_instance_uid=_storable(subject.study_instance_uid, 64),
                )
                for subject in subjects
            ],
            batch_size=ROWS_PER_STATEMENT,
        )
    return event


def _storable(text: str, max_length: int) -> str:
    return storable(text)[:max_length]
