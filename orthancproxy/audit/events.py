"""Writing down who did what: one `AuditEvent` for each operation, two where it changes the archive."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction

from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.audit.rate_limit import refusal_rate_limit
from orthancproxy.errors import InvalidRequest, LimitExceeded, NotAuthenticated, PermissionDenied

AT_ONCE = 500  # rows in one statement
# the codes of what anybody may be told as often as they like
REFUSALS = frozenset(one.code for one in (NotAuthenticated, PermissionDenied, InvalidRequest, LimitExceeded))
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks, how that is known, from which address, and the request's id in the log."""

    username: str = ""
    authentication: AuditEvent.Authentication = AuditEvent.Authentication.NONE
    address: str | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient, or one of its studies: PatientID and StudyInstanceUID."""

    patient_id: str
    study_instance_uid: str = ""


def write(
    author: Author,
    event: AuditEvent.Event,
    operation: str,
    outcome: AuditEvent.Outcome,
    *,
    error_code: str = "",
    duration: float = 0.0,
    target: str = "",
    subjects: Iterable[Subject] = (),
    counts: Mapping[str, int] | None = None,
    intention: AuditEvent | None = None,
) -> AuditEvent | None:
    """Write one event, for good; `duration` is in seconds. Raises what the database raises: the caller stops then.

    None where it is one of too many refusals of strangers.
    """
    counts = dict(counts or {})
    if error_code in REFUSALS and (not author.username or event == AuditEvent.Event.LOGIN):
        left_out = refusal_rate_limit.count(author.address or "")
        if left_out is None:
            return None
        if left_out:
            counts["refusalsLeftOut"] = left_out
    # within a transaction that may be rolled back, it would not be for good
    with transaction.atomic(durable=True):
        row = AuditEvent.objects.create(
            event=event,
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
            intention=intention,
        )
        AuditSubject.objects.bulk_create(
            [
                AuditSubject(
                    event=row,
                    patient_id=_storable(subject.patient_id, 324),
                    study_instance_uid=_storable(subject.study_instance_uid, 64),
                )
                for subject in subjects
            ],
            batch_size=AT_ONCE,
        )
    return row


def _storable(text: str, most: int) -> str:
    """A text that callers may have sent, as every database takes it: no null, and no half of a character."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)[:most]
