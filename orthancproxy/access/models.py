"""The holder of the permissions, and the table of access scopes."""

from typing import ClassVar

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from orthancproxy.access.actions import PERMISSIONS
from orthancproxy.archive.matching import is_label, is_patient_id


class Archive(models.Model):  # noqa: DJ008 - it has no rows
    """Holds the permissions, which Django attaches to models. It has no table."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions: ClassVar = PERMISSIONS


class AccessScope(models.Model):
    """One rule of a group's access scope. A member of several groups sees what any of their rules admits.

    If none of a caller's groups has a rule, the caller sees everything.
    """

    class Kind(models.TextChoices):
        """The attribute that the value is compared with."""

        PATIENT_ID = "PATIENT_ID", _("patients whose PatientID is like")
        STUDY_LABEL = "STUDY_LABEL", _("studies that have the label")

    # deleting the group would silently remove the restriction of its members
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="access_scopes", verbose_name=_("group"))
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices, default=Kind.PATIENT_ID)
    value = models.CharField(
        _("value"),
        max_length=64,
        help_text=_("A PatientID, in which * is any text and ? any character; or a label of Orthanc's."),
    )

    class Meta:
        """A group cannot have the same rule twice."""

        verbose_name = _("access scope")
        verbose_name_plural = _("access scopes")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "kind", "value"], name="one_row_for_each_rule")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.value}"

    def clean(self) -> None:
        """Raise ValidationError for a value that cannot match a PatientID or a label."""
        if self.kind == self.Kind.STUDY_LABEL and not is_label(self.value):
            raise ValidationError({"value": _("A label consists of letters, digits, _ and -.")})
        if self.kind == self.Kind.PATIENT_ID and not is_patient_id(self.value):
            raise ValidationError(
                {"value": _("A PatientID contains no backslash and no control characters, and is not a path.")}
            )
