"""The app's registration with Django."""

from django.apps import AppConfig


class OrthancProxyConfig(AppConfig):
    """Registers the system checks and the signal receivers of the audit log when Django starts."""

    name = "orthancproxy"
    verbose_name = "Orthanc gateway"

    def ready(self) -> None:
        """Import the modules that register checks and signal receivers."""
        from orthancproxy import checks  # noqa: F401
        from orthancproxy.access import changes, logins  # noqa: F401
