"""Logouts: here and at the provider (RP-Initiated Logout 1.0), and those that the provider tells of (Back-Channel
Logout 1.0)."""

import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from orthancproxy.access import identity_provider, oidc
from orthancproxy.access.authentication import record
from orthancproxy.access.callers import Caller
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.errors import GatewayUnavailable, NotAuthenticated
from orthancproxy.http.error_responses import bad_request, error_response
from orthancproxy.http.pages import not_found, render_page
from orthancproxy.project.sso.backend import is_configured
from orthancproxy.project.sso.models import LoginSession, UsedLogoutToken
from orthancproxy.project.sso.sessions import ProviderLogin, login_of
from orthancproxy.project.variables import deployment

logger = logging.getLogger(__name__)


def provider_logout_url(request: HttpRequest, session: SessionBase) -> str:
    """Return the URL at which a session ends at the provider too, which leads back to the page `logged_out`.

    Empty if the session did not begin at the provider, and if that has no such URL or does not answer.
    """
    login = login_of(session)
    if login is None or not is_configured() or login.issuer != conf.ORTHANC_OIDC_ISSUER:
        return ""
    try:
        url = identity_provider.endpoint("end_session_endpoint", is_optional=True)
    except GatewayUnavailable:
        return ""
    parameters = {
        "client_id": deployment.ORTHANC_OIDC_CLIENT_ID,
        "id_token_hint": login.id_token,
        "post_logout_redirect_uri": request.build_absolute_uri(reverse("logged-out")),
    }
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}" if url else ""


@require_safe
@never_cache
def logged_out(request: HttpRequest) -> HttpResponse:
    """Return the page after a logout, which leads to the login only by a click: the provider may know its user yet."""
    return render_page(request, "orthancproxy/logged_out.html", {})


@require_POST
@never_cache
def back_channel_logout(request: HttpRequest) -> HttpResponse:
    """End the sessions that a logout token of the provider names; 400 for a token that is not valid, or was used.

    Their event streams end within seconds (`access.credentials`).
    """
    if not is_configured():
        return not_found(request)
    try:
        claims = oidc.verify_logout_token(request.POST.get("logout_token", ""), deployment.ORTHANC_OIDC_CLIENT_ID)
        users = _end_sessions(claims)
    except NotAuthenticated as error:
        logger.warning("logout token rejected", extra={"reason": error.message})
        caller = Caller(authentication=Authentication.SESSION)
        record(request, caller, EventKind.LOGOUT, AuditOutcome.FAILED, error.code)
        # section 2.8
        return error_response(400, "BAD_USER_INPUT", error.message, error="invalid_request")
    except GatewayUnavailable as error:
        return bad_request(request, error)
    for name in users:
        caller = Caller(name, authentication=Authentication.SESSION)
        record(request, caller, EventKind.LOGOUT, AuditOutcome.SUCCESS)
    return HttpResponse()


def known_logouts() -> frozenset[int]:
    """Return the numbers of the logouts that the provider has told of in the last minutes."""
    return frozenset(UsedLogoutToken.objects.values_list("pk", flat=True))


def was_logged_out(login: ProviderLogin, known: Collection[int]) -> bool:
    """Return whether the provider has told of the logout of a login, but for those with these numbers."""
    tokens = UsedLogoutToken.objects.filter(subject__in=("", login.subject), sid__in=("", login.sid))
    # of two at once, the one with the lower number may be committed later
    return any(number not in known for number in tokens.exclude(subject="", sid="").values_list("pk", flat=True))


def _end_sessions(claims: dict[str, Any]) -> list[str]:
    """Delete the sessions of a logout token, and return the names of their users, each once."""
    named = {name: claims[column] for name, column in (("subject", "sub"), ("sid", "sid")) if column in claims}
    with transaction.atomic():
        _use(claims, named)
        users = _delete_sessions(named)
    try:
        # a login that did not see the token yet has written its session before now
        users |= _delete_sessions(named)
    except DATABASE_ERRORS:
        # the provider is told of the others: it cannot use the token again
        logger.warning("a login at the same time as its logout may have left a session", exc_info=True)
    return sorted(users)


def _delete_sessions(named: Mapping[str, str]) -> set[str]:
    """Delete sessions, and return the names of the users of those that had not expired."""
    sessions = LoginSession.objects.filter(issuer=conf.ORTHANC_OIDC_ISSUER, **named)
    data = [row.get_decoded() for row in sessions.filter(expire_date__gt=timezone.now())]
    users = get_user_model()._default_manager.filter(pk__in=[one[SESSION_KEY] for one in data if SESSION_KEY in one])
    names = {user.get_username() for user in users}
    sessions.delete()
    return names


def _use(claims: Mapping[str, Any], named: Mapping[str, str]) -> None:
    """Note that a logout token has been used. Raises NotAuthenticated for one that was used before."""
    now = timezone.now()
    UsedLogoutToken.objects.filter(expires_at__lt=now).delete()
    seconds = oidc.MAX_LOGOUT_TOKEN_AGE_SECONDS + 2 * oidc.LEEWAY_SECONDS
    expires_at = datetime.fromtimestamp(claims["iat"], UTC) + timedelta(seconds=seconds)
    try:
        with transaction.atomic():
            UsedLogoutToken.objects.create(jti=claims["jti"], expires_at=max(expires_at, now), **named)
    except IntegrityError:
        raise NotAuthenticated("The logout token was used before.") from None
