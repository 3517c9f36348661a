"""The authorization code flow (OpenID Connect Core 1.0, section 3.1) by mozilla-django-oidc, with our verification.

The library verifies neither the issuer nor the audience of an ID token, and finds users by their e-mail address.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from orthancproxy.access import identity_provider, oidc
from orthancproxy.conf import conf
from orthancproxy.errors import NotAuthenticated
from orthancproxy.project.sso.errors import LoginRejected
from orthancproxy.project.sso.sessions import ProviderLogin
from orthancproxy.project.sso.users import user_of
from orthancproxy.project.variables import deployment

CALLBACK = "sso-callback"
INVALID = _("The response of the identity provider is not valid. Ask an administrator.")
AGAIN = _("The login took too long, or it was begun in another browser. Try again.")


def is_configured() -> bool:
    """Return whether people log in at a provider."""
    return bool(conf.ORTHANC_OIDC_ISSUER and deployment.ORTHANC_OIDC_CLIENT_ID)


def library_setting(name: str, *default: Any) -> Any:
    """Return a setting of mozilla-django-oidc. Raises GatewayUnavailable for URLs if the provider does not answer."""
    match name:
        case "OIDC_OP_AUTHORIZATION_ENDPOINT":
            return identity_provider.endpoint("authorization_endpoint")
        case "OIDC_RP_CLIENT_ID":
            return deployment.ORTHANC_OIDC_CLIENT_ID
        case "OIDC_RP_SCOPES":
            return " ".join(deployment.ORTHANC_OIDC_SCOPES)
        case "OIDC_USE_PKCE":
            return True
        case "OIDC_AUTHENTICATION_CALLBACK_URL":
            return CALLBACK
    return getattr(settings, name, *default)


def _takes_secrets_in_forms_only() -> bool:
    name = "token_endpoint_auth_methods_supported"
    basic, post = (identity_provider.supports(name, f"client_secret_{kind}") for kind in ("basic", "post"))
    return post and not basic


class ProviderBackend(OIDCAuthenticationBackend):  # type: ignore[misc]
    """Authenticates who comes back from the provider with a code."""

    def __init__(self) -> None:
        # the library reads its settings here, for each request with a session
        self.UserModel = get_user_model()

    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        """Return a setting of the library."""
        return library_setting(attr, *args)

    @property
    def OIDC_RP_CLIENT_ID(self) -> str:  # noqa: N802  the library's name
        """The id of the gateway as a client of the provider."""
        return deployment.ORTHANC_OIDC_CLIENT_ID

    @property
    def OIDC_RP_CLIENT_SECRET(self) -> str:  # noqa: N802  the library's name
        """Its secret, empty for a public client."""
        return deployment.ORTHANC_OIDC_CLIENT_SECRET

    def authenticate(self, request: HttpRequest, *, nonce: str, code_verifier: str) -> Any:
        """Return the user. Raises NotAuthenticated, and GatewayUnavailable if the provider does not answer.

        Both arguments are required, so that Django does not call this for passwords.
        """
        return super().authenticate(request, nonce=nonce, code_verifier=code_verifier)

    def get_user(self, user_id: Any) -> Any:
        """Return the user of a session, None if they are inactive or no longer somebody at the provider."""
        users = self.UserModel._default_manager.filter(pk=user_id, is_active=True)
        return users.filter(provider_identity__issuer=conf.ORTHANC_OIDC_ISSUER).first() if is_configured() else None

    def get_token(self, payload: Mapping[str, str]) -> dict[str, Any]:
        """Return the response of the token endpoint to a code."""
        form = dict(payload)
        secret = form.pop("client_secret")
        headers = {}
        if secret and _takes_secrets_in_forms_only():
            form["client_secret"] = secret
        elif secret:
            # RFC 6749, section 2.3.1
            pair = f"{quote_plus(form['client_id'])}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        status, answer = identity_provider.exchange(identity_provider.endpoint("token_endpoint"), form, **headers)
        if status != 200:
            # such as `invalid_grant` for a code that has been used, and `invalid_client` for a wrong secret
            error = str(answer.get("error", ""))[:50]
            raise LoginRejected(f"the token endpoint answered {status} {error}", AGAIN, status=400)
        return answer

    def verify_token(self, token: object, **kwargs: Any) -> dict[str, Any]:
        """Return the claims of an ID token."""
        try:
            return oidc.verify_id_token(str(token), deployment.ORTHANC_OIDC_CLIENT_ID, kwargs["nonce"])
        except NotAuthenticated as error:
            raise LoginRejected(error.message, INVALID) from None

    def store_tokens(self, access_token: str, id_token: str) -> None:
        """Store none here: the session is that of the login's beginning."""

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> Any:
        """Return the user; `sso_login` of the request says how they logged in."""
        claims = {**self._user_info(access_token, payload["sub"]), **payload}
        try:
            user = user_of(claims)
        except LoginRejected:
            raise
        except NotAuthenticated as error:
            raise LoginRejected(error.message, INVALID) from None
        self.request.sso_login = ProviderLogin(
            conf.ORTHANC_OIDC_ISSUER, payload["sub"], payload.get("sid", ""), id_token
        )
        return user

    @staticmethod
    def _user_info(access_token: str, subject: str) -> dict[str, Any]:
        """Return the claims that the provider has beside the ID token (OpenID Connect Core 1.0, section 5.3)."""
        url = identity_provider.endpoint("userinfo_endpoint", is_optional=True)
        if not url:
            return {}
        status, claims = identity_provider.exchange(url, Authorization=f"Bearer {access_token}")
        # section 5.3.2: else they could be those of somebody else
        if status != 200 or claims.get("sub") != subject:
            raise LoginRejected(f"the UserInfo endpoint answered {status}, or about another subject", INVALID)
        return claims
