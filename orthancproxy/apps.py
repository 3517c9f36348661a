"""The app's registration with Django."""

from django.apps import AppConfig


class OrthancProxyConfig(AppConfig):
    """Registers the system checks when Django starts."""

    name = "orthancproxy"
    verbose_name = "Orthanc gateway"

    def ready(self) -> None:
        """Import what registers itself."""
        from orthancproxy import checks  # noqa: F401
