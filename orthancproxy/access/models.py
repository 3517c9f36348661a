"""The holder of the permissions, and the table of access scopes."""

from typing import ClassVar

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models

from orthancproxy.access.actions import PERMISSIONS
from orthancproxy.archive.matching import is_label, is_patient_id


class Archive(models.Model):  # noqa: DJ008 - there are none to show
    """The archive as something to have permissions on. It has no table."""

    class Meta:
        """The actions."""

        managed = False
        default_permissions = ()
        permissions: ClassVar = PERMISSIONS


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
