"""What the gateway keeps itself: uploads, who may see what, and who did what. What is in the archive, Orthanc knows."""

from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Never

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from orthancproxy.access.actions import Action
from orthancproxy.archive.matching import is_label, is_patient_id

MAX_KEY = 128  # characters


class UploadBatch(models.Model):
    """All that was sent with one upload key: one study of one patient."""

    class State(models.TextChoices):
        """How far an upload is."""

        UPLOADING = "UPLOADING"
        COMPLETE = "COMPLETE"
        INCOMPLETE = "INCOMPLETE"

    upload_key = models.CharField(max_length=MAX_KEY, unique=True)
    uploaded_by = models.CharField(max_length=150, blank=True)
    patient_id = models.CharField(max_length=64)
    patient_name = models.CharField(max_length=324)
    study_instance_uid = models.CharField(max_length=64)
    study_description = models.TextField(blank=True)
    # of Orthanc, once something is stored
    study_orthanc_id = models.CharField(max_length=44, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.UPLOADING)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.upload_key


class UploadedFile(models.Model):
    """A file of an upload: what it was, what became of it. The same bytes in the same folder are the same file."""

    class Outcome(models.TextChoices):
        """What became of a file."""

        PENDING = "PENDING"
        STORED = "STORED"
        FAILED = "FAILED"  # for good
        UNAVAILABLE = "UNAVAILABLE"  # worth another try
        MENDING = "MENDING"  # it is stored again just now; worth another try when that was broken off

    batch = models.ForeignKey(UploadBatch, on_delete=models.CASCADE, related_name="files")
    # SHA-256 of folder and content
    identity = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.PENDING)
    # empty where the file is no DICOM
    old_study_uid = models.CharField(max_length=64, blank=True)
    old_series_uid = models.CharField(max_length=64, blank=True)
    old_sop_uid = models.CharField(max_length=64, blank=True)
    series_uid = models.CharField(max_length=64, blank=True)
    sop_uid = models.CharField(max_length=64, blank=True)
    # UIDs that it refers to and nobody has sent yet, separated by backslashes
    unresolved = models.TextField(blank=True)
    # when somebody began to store it again
    taken_at = models.DateTimeField(null=True)
    # of Orthanc, once it is stored
    orthanc_id = models.CharField(max_length=44, blank=True)

    class Meta:
        """One row for each file."""

        constraints: ClassVar = [models.UniqueConstraint(fields=["batch", "identity"], name="one_row_for_each_file")]

    def __str__(self) -> str:
        return self.identity


class Archive(models.Model):  # noqa: DJ008 - there are none to show
    """The archive as something to have permissions on. It has no table."""

    class Meta:
        """The actions."""

        managed = False
        default_permissions = ()
        permissions: ClassVar = [(action.value, action.description) for action in Action]


class AccessScope(models.Model):
    """What the members of a group may see. Who is in several groups sees what any of their scopes shows.

    Members of groups without a scope see everything, unless another of their groups has one.
    """

    class Kind(models.TextChoices):
        """What the value is compared with."""

        PATIENT_ID = "PATIENT_ID", "patients whose PatientID is like"
        STUDY_LABEL = "STUDY_LABEL", "studies that have the label"

    # with the group, what confines its members would go unnoticed
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="access_scopes")
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.PATIENT_ID)
    value = models.CharField(
        max_length=64, help_text="A PatientID, in which * is any text and ? any character; or a label of Orthanc's."
    )

    class Meta:
        """One row for each rule."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "kind", "value"], name="one_row_for_each_rule")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.value}"

    def clean(self) -> None:
        """Refuse what no PatientID and no label is like."""
        if self.kind == self.Kind.STUDY_LABEL and not is_label(self.value):
            raise ValidationError({"value": "A label of Orthanc's has letters, digits, _ and - only."})
        if self.kind == self.Kind.PATIENT_ID and not is_patient_id(self.value):
            raise ValidationError({"value": "A PatientID has no backslash, no control characters and no path in it."})


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
