"""Reading the caller and the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import QuerySet

from orthancproxy.access.callers import Caller
from orthancproxy.archive.scope import Scope
from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.audit.viewings import viewings
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read
from orthancproxy.resolvers.operations import READ_AUDIT, READ_CALLER


def get_viewer(context: RequestContext) -> Caller:
    """Return the caller. Not audited for callers without any permission, who could fill the audit log."""
    if not (context.caller.username and context.caller.actions):
        return context.caller
    with audited_read(context, READ_CALLER):
        return context.caller


def get_audit_events(context: RequestContext) -> QuerySet[AuditEvent]:
    """Return the audit events, the latest first; for a caller with a scope, those about its patients only."""
    with reading_audit_log(context):
        return visible_events(context.caller.scope).order_by("-at", "-pk")


@contextmanager
def reading_audit_log(context: RequestContext) -> Iterator[None]:
    """Authorize a caller to read the audit log, audit it, and complete the log before it is read."""
    with audited_read(context, READ_AUDIT):
        viewings.close_expired()
        yield


def visible_events(scope: Scope) -> QuerySet[AuditEvent]:
    """Return the audit events that a scope shows, unordered. Only PatientIDs count: the log has no labels."""
    events = AuditEvent.objects.all()
    if not scope.is_restricted:
        return events
    patients = AuditSubject.objects.values_list("patient_id", flat=True).distinct()
    hidden = [patient for patient in patients if not scope.admits_patient(patient)]
    subjects = AuditSubject.objects.values("event")
    return events.filter(pk__in=subjects).exclude(pk__in=subjects.filter(patient_id__in=hidden))
