"""The pages to log in and out, the rate limit of passwords (django-axes), and the limit on those checked at once."""

from math import ceil
from typing import Any
from urllib.parse import urlencode

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.sites import AdminSite
from django.contrib.auth import views
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from orthancproxy.access.password_hashing import hashing
from orthancproxy.errors import GatewayUnavailable
from orthancproxy.http.negotiation import preferred
from orthancproxy.http.pages import render_page
from orthancproxy.project.sso import passwords
from orthancproxy.project.sso.backend import is_configured
from orthancproxy.project.sso.logout import provider_logout_url
from orthancproxy.project.sso.views import login_url
from orthancproxy.project.variables import deployment

TEMPLATE = "orthancproxy/login.html"


class LoginView(views.LoginView):
    """The login page, which leads straight to the identity provider if users must log in there."""

    template_name = TEMPLATE

    def get(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Return the page, or redirect."""
        asks_for_form = passwords.PARAMETER in request.GET and passwords.form_url()
        if passwords.are_off() and not asks_for_form:
            return HttpResponseRedirect(login_url(self.get_redirect_url()))
        return super().get(request, *args, **options)

    def render_to_response(self, context: dict[str, Any], **options: Any) -> HttpResponse:
        """Return the page with the form, and with the way to the provider if there is one."""
        return render_page(self.request, TEMPLATE, {**context, **provider_context(self.get_redirect_url())})


def provider_context(next_url: str) -> dict[str, Any]:
    """Return what the templates of the login pages show of the provider."""
    if not is_configured():
        return {}
    return {"sso_url": login_url(next_url), "sso_label": deployment.ORTHANC_OIDC_LABEL or _("single sign-on")}


def admin_login(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Return the login page of the admin site, or lead to the provider; 403 for a user without access to the site.

    Such a user would otherwise be sent to the provider and back without end.
    """
    next_url = request.GET.get("next") or reverse("admin:index")
    user: Any = request.user
    if user.is_authenticated and not admin.site.has_permission(request) and passwords.are_off():
        return render_page(request, "orthancproxy/no_staff.html", {"username": user.get_username()}, status=403)
    if passwords.are_off() and request.method != "POST" and not admin.site.has_permission(request):
        return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': next_url})}")
    return AdminSite.login(admin.site, request, {**(extra_context or {}), **provider_context(next_url)})


class LogoutView(views.LogoutView):
    """The logout, here and at the identity provider, if the user logged in there.

    Afterwards the browser empties its cache, which has thumbnails (Clear-Site-Data). A script that accepts JSON gets
    `{"url"}`: where to go, empty for where it likes.
    """

    def post(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Log the user out."""
        url = provider_logout_url(request, request.session)
        response = super().post(request, *args, **options)
        if not url and passwords.are_off():
            # the login page would lead to the provider, which may log the same user in again
            url = reverse("logged-out")
        if preferred(request, ("text/html", "application/json")) == "application/json":
            response = JsonResponse({"url": url})
        elif url:
            # no redirect: browsers apply `form-action` of the form's page to those
            response = render_page(request, "orthancproxy/logging_out.html", {"url": url})
        response["Clear-Site-Data"] = '"cache"'
        return response


class StaffLoginForm(AdminAuthenticationForm):
    """The login form of the admin site. A user without access to the site is a failed login to audit and rate limit."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raise ValidationError for a user without access to the admin site."""
        try:
            super().confirm_login_allowed(user)
        except ValidationError:
            credentials = {"username": user.get_username()}
            user_login_failed.send(sender=__name__, credentials=credentials, request=self.request)
            raise


class PasswordBackend(ModelBackend):
    """Checks the passwords of Django's users, few at once."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **options: Any
    ) -> Any:
        """Return the user, or None. Raises ValidationError, which forms show, if too many others log in."""
        if not passwords.are_allowed_for(str(username or "")):
            return None
        try:
            with hashing():
                return super().authenticate(request, username, password, **options)
        except GatewayUnavailable:
            raise ValidationError(_("Too many users are logging in: try again in a moment."), code="busy") from None

    def get_user(self, user_id: Any) -> Any:
        """Return the user of a session that began with a password, None if they may not have one any more."""
        user = super().get_user(user_id)
        return user if user is not None and passwords.are_allowed_for(user.get_username()) else None


class LoginAttempts(AxesDatabaseHandler):  # type: ignore[misc]
    """The failed logins of django-axes: one row for each user and address, whatever the program says it is."""

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **options: Any) -> None:
        """Count a failed login."""
        if request is not None:
            request.axes_user_agent = request.axes_http_accept = ""
        super().user_login_failed(sender, credentials, request, **options)


@receiver(pre_save, sender=AccessAttempt)
def _forget_request(instance: AccessAttempt, **options: Any) -> None:
    """Store no data of requests, which django-axes would append without a limit."""
    instance.get_data = instance.post_data = ""


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any = None) -> HttpResponse:
    """Answer a client that has tried too many passwords."""
    cool_off = get_cool_off(request)
    seconds = int(cool_off.total_seconds()) if cool_off else 0
    answer = render_page(request, TEMPLATE, {"minutes": ceil(seconds / 60)}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
