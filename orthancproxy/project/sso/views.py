"""The way to the provider and back: `/sso/` leads there, `/sso/callback/` logs in who comes back."""

import logging
from collections.abc import Collection
from typing import Any, Never

from django.contrib import auth
from django.contrib.sessions.backends.base import UpdateError
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from orthancproxy.access.authentication import record
from orthancproxy.access.callers import Caller
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.conf import conf
from orthancproxy.errors import GatewayError, GatewayUnavailable
from orthancproxy.http.error_responses import RETRY_AFTER
from orthancproxy.http.pages import not_found, render_page
from orthancproxy.project.sso.backend import AGAIN, is_configured, library_setting
from orthancproxy.project.sso.errors import LoginRejected
from orthancproxy.project.sso.handshake import handshake, keep
from orthancproxy.project.sso.logout import known_logouts, was_logged_out
from orthancproxy.project.sso.passwords import form_url
from orthancproxy.project.sso.sessions import remember

logger = logging.getLogger(__name__)

UNAVAILABLE = _("The identity provider cannot be reached. Try again in a moment.")
REFUSED = _("The identity provider has not logged you in.")


def login_url(next_url: str = "", **parameters: str) -> str:
    """Return the URL that leads to the provider, and to `next_url` afterwards."""
    query = QueryDict(mutable=True)
    query.update({name: value for name, value in {"next": next_url, **parameters}.items() if value})
    return f"{reverse('sso-login')}?{query.urlencode(safe='/')}".removesuffix("?")


@require_safe
@never_cache
def login(request: HttpRequest) -> HttpResponse:
    """Redirect to the provider. `?prompt=login` has it ask for a password again, such as for another user's."""
    if not is_configured():
        return not_found(request)
    try:
        with handshake(request) as kept:
            response: HttpResponse = _RequestView.as_view()(request)
            keep(request, response, kept)
    except GatewayUnavailable as error:
        return failed(request, error, request.GET.get("next", ""))
    return response


@require_safe
@never_cache
def callback(request: HttpRequest) -> HttpResponse:
    """Log in who comes back from the provider, and redirect to where they wanted to go."""
    if not is_configured():
        return not_found(request)
    session, next_url = request.session, ""
    with handshake(request) as kept:
        next_url = kept.get("oidc_login_next") or ""
        try:
            response: HttpResponse = _CallbackView.as_view(session=session)(request)
        except GatewayError as error:
            response = failed(request, error, next_url)
        keep(request, response, kept)
    return response


def failed(request: HttpRequest, error: GatewayError, next_url: str) -> HttpResponse:
    """Audit a failed login, and return the page that says so."""
    rejected = error if isinstance(error, LoginRejected) else LoginRejected(error.message, UNAVAILABLE, status=503)
    logger.warning("login rejected", extra={"reason": error.message})
    caller = Caller(rejected.username, authentication=Authentication.SESSION)
    record(request, caller, EventKind.LOGIN, AuditOutcome.FAILED, error.code)
    context = {
        "text": rejected.text,
        "again_url": login_url(next_url, prompt="login" if rejected.status == 403 else ""),
        "password_url": form_url(next_url),
    }
    page = render_page(request, "orthancproxy/sso_failed.html", context, rejected.status)
    if rejected.status == 503:
        page["Retry-After"] = str(RETRY_AFTER)
    return page


class _RequestView(OIDCAuthenticationRequestView):  # type: ignore[misc]
    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        return library_setting(attr, *args)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        return {"prompt": "login"} if request.GET.get("prompt") == "login" else {}


class _CallbackView(OIDCAuthenticationCallbackView):  # type: ignore[misc]
    """Raises GatewayUnavailable, and LoginRejected for whoever is not logged in."""

    session: Any = None
    """That of the browser; the request has what `handshake` keeps."""
    known_logouts: Collection[int] = ()
    """Those that the provider had told of when the browser came back."""

    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        return library_setting(attr, *args)

    def get(self, request: HttpRequest) -> HttpResponse:
        states = request.session.get("oidc_states", {})
        # a page of another site can lead here, too
        if request.GET.get("state") not in states:
            self._reject("the state is not that of a login of this browser")
        # RFC 9207
        if request.GET.get("iss", conf.ORTHANC_OIDC_ISSUER) != conf.ORTHANC_OIDC_ISSUER:
            self._reject("the response is of another issuer")
        if "code" not in request.GET:
            del states[request.GET["state"]]
            error = request.GET.get("error", "")[:50]
            raise LoginRejected(f"the provider answered {error!r}", REFUSED)
        self.known_logouts = known_logouts()
        try:
            response: HttpResponse = super().get(request)
        except SuspiciousOperation as error:
            self._reject(str(error))
        return response

    def login_failure(self) -> Never:
        """Raise LoginRejected, such as for a user who has been deactivated meanwhile."""
        self._reject("no user")

    def login_success(self) -> HttpResponse:
        """Begin a session, and redirect."""
        kept, url = self.request.session, self.success_url
        self.request.session = self.session
        auth.login(self.request, self.user)
        remember(self.session, self.request.sso_login)
        if not self._stays():
            auth.logout(self.request)
            url = reverse("logged-out")
        self.request.session = kept
        # the login page would lead to the provider again
        is_login = url.partition("?")[0] in (reverse("login"), reverse("sso-login"))
        return HttpResponseRedirect(resolve_url(self.get_settings("LOGIN_REDIRECT_URL")) if is_login else url)

    def _stays(self) -> bool:
        """Write the session, so that a logout finds it, and return whether none has ended it before."""
        try:
            self.session.save()
        except UpdateError:
            # the row of an earlier login of the user in this browser
            return False
        return not was_logged_out(self.request.sso_login, self.known_logouts)

    @staticmethod
    def _reject(message: str) -> Never:
        raise LoginRejected(message, AGAIN, status=400)
