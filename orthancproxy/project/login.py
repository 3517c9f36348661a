"""The page on which users log in, and its throttle (django-axes)."""

import secrets
from collections.abc import Mapping
from math import ceil
from typing import Any

from axes.helpers import get_cool_off
from django.contrib.auth import views
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

TEMPLATE = "orthancproxy/login.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class LoginView(views.LoginView):
    """The page on which users log in who may not use the admin site."""

    template_name = TEMPLATE
    redirect_authenticated_user = True

    def render_to_response(self, context: dict[str, Any], **options: Any) -> HttpResponse:
        """Show the page."""
        return _page(self.request, context)


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any = None) -> HttpResponse:
    """Answer somebody who has tried too many passwords."""
    cool_off = get_cool_off(request)
    seconds = int(cool_off.total_seconds()) if cool_off else 0
    answer = _page(request, {"minutes": ceil(seconds / 60)}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


def _page(request: HttpRequest, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """The page, which runs and loads nothing, and sends passwords to the gateway only."""
    nonce = secrets.token_urlsafe(16)
    page = render(request, TEMPLATE, {**context, "nonce": nonce}, status=status)
    page["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.format(nonce=nonce)
    add_never_cache_headers(page)
    return page
