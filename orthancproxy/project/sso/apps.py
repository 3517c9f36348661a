"""The app's registration with Django."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SingleSignOnConfig(AppConfig):
    """Registers the system checks and the signal receivers of the audit log when Django starts."""

    name = "orthancproxy.project.sso"
    label = "orthancproxy_sso"
    verbose_name = _("Single sign-on")

    def ready(self) -> None:
        """Import the modules that register checks and signal receivers."""
        from orthancproxy.project.sso import checks, identity_changes  # noqa: F401
