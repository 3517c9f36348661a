"""The login page, its rate limit (django-axes), and the limit on passwords that are checked at once."""

from math import ceil
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_cool_off
from axes.models import AccessAttempt
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import views
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from orthancproxy.access.password_hashing import hashing
from orthancproxy.errors import GatewayUnavailable
from orthancproxy.http.pages import render_page

TEMPLATE = "orthancproxy/login.html"


class LoginView(views.LoginView):
    """The login page for users without access to the admin site."""

    template_name = TEMPLATE

    def render_to_response(self, context: dict[str, Any], **options: Any) -> HttpResponse:
        """Render the page."""
        return render_page(self.request, TEMPLATE, context)


class LogoutView(views.LogoutView):
    """The logout, after which the browser empties its cache, which has thumbnails (Clear-Site-Data)."""

    def dispatch(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Log the user out."""
        response = super().dispatch(request, *args, **options)
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
        try:
            with hashing():
                return super().authenticate(request, username, password, **options)
        except GatewayUnavailable:
            raise ValidationError(_("Too many users are logging in: try again in a moment."), code="busy") from None


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
