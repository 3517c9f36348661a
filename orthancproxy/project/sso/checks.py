"""Django system checks of the settings of logins at the provider."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register

from orthancproxy.conf import conf
from orthancproxy.project.variables import deployment


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return a message for each problem."""
    found: list[CheckMessage] = []
    if deployment.ORTHANC_OIDC_CLIENT_ID and not conf.ORTHANC_OIDC_ISSUER:
        hint = "Set ORTHANC_OIDC_ISSUER to the provider."
        found.append(Error("ORTHANC_OIDC_CLIENT_ID is set and ORTHANC_OIDC_ISSUER is not.", hint=hint, id="sso.E001"))
    if deployment.ORTHANC_OIDC_CLIENT_SECRET and not deployment.ORTHANC_OIDC_CLIENT_ID:
        hint = "Set ORTHANC_OIDC_CLIENT_ID to the client of this secret."
        message = "ORTHANC_OIDC_CLIENT_SECRET is set and ORTHANC_OIDC_CLIENT_ID is not."
        found.append(Error(message, hint=hint, id="sso.E002"))
    if deployment.ORTHANC_OIDC_REQUIRED and not deployment.ORTHANC_OIDC_CLIENT_ID:
        hint = "Set ORTHANC_OIDC_ISSUER and ORTHANC_OIDC_CLIENT_ID: nobody could log in."
        found.append(Error("ORTHANC_OIDC_REQUIRED is on without a provider to log in at.", hint=hint, id="sso.E003"))
    if "openid" not in deployment.ORTHANC_OIDC_SCOPES:
        hint = "Add it: without it, a provider sends no ID token."
        found.append(Error("ORTHANC_OIDC_SCOPES does not contain openid.", hint=hint, id="sso.E004"))
    return found
