"""The login page, and its rate limit (django-axes)."""

import secrets
from collections.abc import Mapping
from math import ceil
from typing import Any

from axes.helpers import get_cool_off
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import views
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from orthancproxy.http.content_security import policy

TEMPLATE = "orthancproxy/login.html"


class LoginView(views.LoginView):
    """The login page for users without access to the admin site."""

    template_name = TEMPLATE

    def render_to_response(self, context: dict[str, Any], **options: Any) -> HttpResponse:
        """Render the page."""
        return _page(self.request, context)


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


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any = None) -> HttpResponse:
    """Answer a client that has tried too many passwords."""
    cool_off = get_cool_off(request)
    seconds = int(cool_off.total_seconds()) if cool_off else 0
    answer = _page(request, {"minutes": ceil(seconds / 60)}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


def _page(request: HttpRequest, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """Render the page. It runs no scripts, loads nothing, and submits to the gateway only."""
    nonce = secrets.token_urlsafe(16)
    page = render(request, TEMPLATE, {**context, "nonce": nonce}, status=status)
    page["Content-Security-Policy"] = policy(f"style-src 'nonce-{nonce}'", "img-src data:", "form-action 'self'")
    add_never_cache_headers(page)
    return page
