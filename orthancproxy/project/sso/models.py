"""Whose users are whose, the sessions, and the logout tokens that have been used."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


class ProviderIdentity(models.Model):
    """The user of the gateway that somebody at the provider is.

    Issuer and subject tell people apart: they never change, and nobody gets those of another (OpenID Connect Core 1.0,
    section 5.7). A user name may do both.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="provider_identity", verbose_name=_("user")
    )
    issuer = models.CharField(_("issuer"), max_length=255)
    subject = models.CharField(_("subject"), max_length=255)
    # names, for those that no longer come from a role to be removed
    groups = models.JSONField(_("groups of the roles"), default=list, editable=False)

    class Meta:
        """One user for each identity."""

        verbose_name = _("provider identity")
        verbose_name_plural = _("provider identities")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="one_user_for_each_identity")
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"


class LoginSession(AbstractBaseSession):
    """A session of Django, found by the user and the session at the provider; all three are empty without one."""

    issuer = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=255, blank=True, db_index=True)
    sid = models.CharField(max_length=255, blank=True, db_index=True)

    class Meta(AbstractBaseSession.Meta):
        """Nobody reads or changes sessions in the admin site."""

        default_permissions = ()

    @classmethod
    def get_session_store_class(cls) -> Any:
        """Return the class of the store."""
        return import_string("orthancproxy.project.sso.sessions.SessionStore")


class UsedLogoutToken(models.Model):
    """A logout token that has ended sessions, kept as long as it is valid: none counts twice.

    It names a subject, a session at the provider (`sid`), or both; the other one is empty.
    """

    jti = models.CharField(max_length=255, unique=True)
    # a gateway of before, which goes on during an upgrade, does not write them
    subject = models.CharField(max_length=255, blank=True, db_default="")
    sid = models.CharField(max_length=255, blank=True, db_default="")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        """Nobody reads or changes them."""

        default_permissions = ()

    def __str__(self) -> str:
        return self.jti
