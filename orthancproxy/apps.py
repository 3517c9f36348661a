"""The app's registration with Django."""

from django.apps import AppConfig


class OrthancProxyConfig(AppConfig):
    """Registers the system checks and what the audit listens to when Django starts."""

    name = "orthancproxy"
    verbose_name = "Orthanc gateway"

    def ready(self) -> None:
        """Import what registers itself."""
        from orthancproxy import checks  # noqa: F401
        from orthancproxy.access import logins  # noqa: F401
