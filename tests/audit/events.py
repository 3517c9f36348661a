"""Events for the tests of the audit."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject

DEFAULTS = {
    "event": EventKind.ACCESSED,
    "outcome": AuditOutcome.SUCCESS,
    "operation": "patients",
    "username": "nurse",
    "authentication": Authentication.SESSION,
    "address": "192.0.2.7",
    "request_id": "a1b2c3",
    "duration_ms": 12.5,
}


def record(*subjects: Subject, **values: Any) -> AuditEvent:
    """Write an event, of an hour ago unless told otherwise."""
    row: AuditEvent = AuditEvent.objects.create(**{**DEFAULTS, "at": timezone.now() - timedelta(hours=1), **values})
    AuditSubject.objects.bulk_create(
        AuditSubject(event=row, patient_id=one.patient_id, study_instance_uid=one.study_instance_uid)
        for one in subjects
    )
    return row
