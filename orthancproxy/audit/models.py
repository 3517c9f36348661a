"""The tables of the audit log, which are append-only, of viewings, and of how far the log has been sent and archived.

Only `retention` deletes rows of the log, once they are archived.
"""

from collections.abc import Collection, Iterable
from typing import Any, Never

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind


class AppendOnlyError(ValueError):
    """A row of the audit log was about to be changed or deleted."""

    def __init__(self) -> None:
        super().__init__("Events of the audit log cannot be changed or deleted.")


class _AppendOnlyQuerySet(models.QuerySet[Any]):
    def update(self, **_: Any) -> Never:
        raise AppendOnlyError

    def bulk_update(self, *_: Any, **__: Any) -> Never:
        raise AppendOnlyError

    def bulk_create(
        self,
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Any]:
        if update_conflicts:
            raise AppendOnlyError
        return super().bulk_create(objs, batch_size, ignore_conflicts)


class _AppendOnly(models.Model):
    objects = _AppendOnlyQuerySet.as_manager()

    class Meta:
        """Related rows are looked up by the same manager."""

        abstract = True
        base_manager_name = "objects"

    def save(self, **options: Any) -> None:
        """Insert the row. Raises AppendOnlyError the second time."""
        if not self._state.adding:
            raise AppendOnlyError
        super().save(**{**options, "force_insert": True})

    def delete(self, using: Any = None, keep_parents: bool = False) -> Never:
        """Raise AppendOnlyError: only `retention` deletes rows."""
        raise AppendOnlyError


class AuditEvent(_AppendOnly):
    """What a caller did or tried to do.

    An operation that changes the archive is written as INTENDED before it is carried out, and again with its outcome.
    """

    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    event = models.CharField(_("event"), max_length=16, choices=EventKind.choices)
    # root fields of GraphQL, or the method and route of REST
    operation = models.CharField(_("operation"), max_length=200)
    outcome = models.CharField(_("outcome"), max_length=16, choices=AuditOutcome.choices)
    # the code that the caller got; empty on success
    error_code = models.CharField(_("error code"), max_length=32, blank=True)
    # empty for anonymous callers and rejected tokens
    username = models.CharField(_("user"), max_length=150, blank=True, db_index=True)
    authentication = models.CharField(
        _("authentication"), max_length=16, choices=Authentication.choices, default=Authentication.NONE
    )
    address = models.GenericIPAddressField(_("address"), null=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True, db_index=True)
    duration_ms = models.FloatField(_("duration (ms)"))
    # the resource that the caller named, such as `series/<Orthanc id>`
    target = models.CharField(_("target"), max_length=64, blank=True)
    # number of resources by level, such as {"studies": 2, "instances": 200}
    counts = models.JSONField(_("counts"), default=dict)
    # of a change of access, such as {"groups added": ["Manager"]}; of SENT, {"destination": name};
    # of QUERIED and RETRIEVED, {"source": name}, with the "query" by keyword; the outcomes of MODIFIED and RETRIEVED
    # have the studies "made", with the UID "from" which it was made; null for others
    details = models.JSONField(_("details"), null=True, encoder=DjangoJSONEncoder)
    # for an outcome: the INTENDED event of the same operation
    intention = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="conclusion", verbose_name=_("intention")
    )

    class Meta(_AppendOnly.Meta):
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.event} {self.outcome}"


class AuditSubject(_AppendOnly):
    """A patient or study that an event is about."""

    event = models.ForeignKey(AuditEvent, on_delete=models.PROTECT, related_name="subjects")
    patient_id = models.CharField(max_length=324, blank=True, db_index=True)
    # empty where the event is about the patient
    study_instance_uid = models.CharField(max_length=64, blank=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.patient_id} {self.study_instance_uid}".strip()


class Viewing(models.Model):
    """What a caller has viewed of a series since an INTENDED event, until the outcome is written.

    Unlike the log it changes: each file and picture is counted here, by any worker of any host.
    """

    # digest of the caller, the operation and the series
    key = models.CharField(max_length=64, primary_key=True)
    intention = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="viewing")
    transfers = models.PositiveIntegerField(default=1)
    last_at = models.DateTimeField()
    closes_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.intention} until {self.closes_at.isoformat()}"


class AuditDelivery(models.Model):
    """How far the events have been sent to a receiver.

    `position` is the id up to which all events with an outcome have arrived, `intended_position` that up to which
    intended ones need no message any more. The `recent_` and `resend_` positions are those of a minute or two ago.
    """

    receiver = models.CharField(max_length=300, unique=True)
    position = models.BigIntegerField(default=0)
    intended_position = models.BigIntegerField(default=0)
    recent_position = models.BigIntegerField(default=0)
    recent_intended_position = models.BigIntegerField(default=0)
    recent_at = models.DateTimeField(default=timezone.now)
    resend_position = models.BigIntegerField(default=0)
    resend_intended_position = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.receiver} {self.position}"


class AuditRetention(models.Model):
    """How far the log may be deleted: one row.

    Events up to the id `released` are archived. Those up to `planned` are, or will be, in the next file.
    """

    released = models.BigIntegerField(default=0)
    planned = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.released)
