"""The tables of the audit log, which are append-only."""

from collections.abc import Collection, Iterable
from typing import Any, Never

from django.db import models
from django.utils import timezone


class Unchangeable(ValueError):
    """A record of the audit was to be changed or deleted."""

    def __init__(self) -> None:
        super().__init__("Records of the audit can't be changed or deleted.")


class _AppendedOnly(models.QuerySet[Any]):
    """Rows that can be added and read."""

    def update(self, **_: Any) -> Never:
        raise Unchangeable

    def bulk_update(self, *_: Any, **__: Any) -> Never:
        raise Unchangeable

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
            raise Unchangeable
        return super().bulk_create(objs, batch_size, ignore_conflicts)


class _Appended(models.Model):
    """A row that is written once."""

    objects = _AppendedOnly.as_manager()

    class Meta:
        """Related rows are looked up by the same manager."""

        abstract = True
        base_manager_name = "objects"

    def save(self, **options: Any) -> None:
        """Write the row. Raises Unchangeable the second time."""
        if not self._state.adding:
            raise Unchangeable
        super().save(**{**options, "force_insert": True})

    def delete(self, using: Any = None, keep_parents: bool = False) -> Never:
        """Raise Unchangeable."""
        raise Unchangeable


class AuditEvent(_Appended):
    """What somebody did, or tried to do.

    What changes the archive is written before it is done, as INTENDED, and again after it, with the outcome.
    """

    class Event(models.TextChoices):
        """What it was, as DICOM PS3.15 section A.5.3 tells events apart."""

        ACCESSED = "ACCESSED"
        TRANSFERRED = "TRANSFERRED"
        IMPORT = "IMPORT"
        DELETION = "DELETION"
        LOGIN = "LOGIN"
        LOGOUT = "LOGOUT"
        AUDIT_LOG_USED = "AUDIT_LOG_USED"

    class Outcome(models.TextChoices):
        """How it ended."""

        INTENDED = "INTENDED"
        SUCCESS = "SUCCESS"
        DENIED = "DENIED"
        FAILED = "FAILED"

    class Authentication(models.TextChoices):
        """How it was known who asked."""

        NONE = "NONE"
        SESSION = "SESSION"
        API_TOKEN = "API_TOKEN"  # noqa: S105
        OPENID_CONNECT = "OPENID_CONNECT"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    event = models.CharField(max_length=16, choices=Event.choices)
    # root fields of GraphQL, or the method and route of REST
    operation = models.CharField(max_length=200)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    # as the caller got it; empty on success
    error_code = models.CharField(max_length=32, blank=True)
    # empty for nobody, and where a token is not accepted
    username = models.CharField(max_length=150, blank=True, db_index=True)
    authentication = models.CharField(max_length=16, choices=Authentication.choices, default=Authentication.NONE)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True, db_index=True)
    duration_ms = models.FloatField()
    # what the caller named, such as `series/<Orthanc id>`
    target = models.CharField(max_length=64, blank=True)
    # how many there were of what, such as {"studies": 2, "instances": 200}
    counts = models.JSONField(default=dict)
    # of an outcome: what it is the outcome of
    intention = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="conclusion")

    def __str__(self) -> str:
        return f"{self.at.isoformat()} {self.event} {self.outcome}"


class AuditSubject(_Appended):
    """A patient, or a study, that an event is about."""

    event = models.ForeignKey(AuditEvent, on_delete=models.PROTECT, related_name="subjects")
    patient_id = models.CharField(max_length=324, blank=True, db_index=True)
    # empty where it is about the patient
    study_instance_uid = models.CharField(max_length=64, blank=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.patient_id} {self.study_instance_uid}".strip()
