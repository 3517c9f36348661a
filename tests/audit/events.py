"""Audit events for tests."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
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


def create_event(*subjects: Subject, **values: Any) -> AuditEvent:
    """Create an event with these values; by default, it happened an hour ago."""
    event: AuditEvent = AuditEvent.objects.create(**{**DEFAULTS, "at": timezone.now() - timedelta(hours=1), **values})
    AuditSubject.objects.bulk_create(
        AuditSubject(event=event, patient_id=subject.patient_id, study_instance_uid=subject.study_instance_uid)
        for subject in subjects
    )
    return event


def event_ids(database_url: str) -> list[int]:
    """Return the ids of the events in another database."""
    query = "SELECT id FROM orthancproxy_auditevent ORDER BY id"
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as file:
            return [row[0] for row in file.execute(query)]
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]
