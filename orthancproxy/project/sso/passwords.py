"""Who may log in with a password."""

from django.http import QueryDict
from django.urls import reverse

from orthancproxy.project.sso.backend import is_configured
from orthancproxy.project.variables import deployment

PARAMETER = "password"
"""Of the login page: shows the form though users log in at the provider."""


def are_off() -> bool:
    """Return whether users must log in at the provider, but for those of ORTHANC_OIDC_PASSWORD_USERS."""
    return is_configured() and bool(deployment.ORTHANC_OIDC_REQUIRED)


def are_allowed_for(username: str) -> bool:
    """Return whether a user may log in with a password."""
    return not are_off() or username in deployment.ORTHANC_OIDC_PASSWORD_USERS


def form_url(next_url: str = "") -> str:
    """Return the URL of the form for passwords, empty if nobody has one."""
    if are_off() and not deployment.ORTHANC_OIDC_PASSWORD_USERS:
        return ""
    query = QueryDict(mutable=True)
    query.update({PARAMETER: "yes", **({"next": next_url} if next_url else {})})
    return f"{reverse('login')}?{query.urlencode(safe='/')}"
