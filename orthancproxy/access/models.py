"""The holder of the permissions, and the table of access scopes."""

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orthancproxy.access.actions import PERMISSIONS
from orthancproxy.access.oidc import SHARE_LINKS
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


class Share(models.Model):
    """A link to one study. The database has hashes of the link's token and of its password, if it has one."""

    token = ""  # known when the link is made, and never again
    token_hash = models.CharField(max_length=64, unique=True)
    password = models.CharField(max_length=128, blank=True)
    study_orthanc_id = models.CharField(_("study"), max_length=44)
    # as stored
    study_instance_uid = models.TextField()
    patient_id = models.TextField()
    allows_download = models.BooleanField(_("download"))
    # null for an OpenID Connect identity, of which only the username and the groups of its access token are known, and
    # for an anonymous caller
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    created_by = models.CharField(_("shared by"), max_length=150)
    groups = models.JSONField(default=list)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    opened_at = models.DateTimeField(_("last opened"), null=True)
    wrong_passwords = models.PositiveSmallIntegerField(default=0)
    last_wrong_at = models.DateTimeField(null=True)

    class Meta:
        """Those with the permission `share` may see and revoke them."""

        default_permissions = ()
        verbose_name = _("share link")
        verbose_name_plural = _("share links")

    def __str__(self) -> str:
        return self.username

    @property
    def username(self) -> str:
        """What the audit log calls whoever has opened the link. No user has this name, since it has a colon."""
        return f"{SHARE_LINKS}{self.pk}"
