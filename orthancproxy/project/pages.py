"""Pages of the stand-alone deployment that run and load nothing, and send forms to the gateway only."""

import secrets
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from orthancproxy.http.content_security import policy


def render_page(request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """Return a page whose template extends `orthancproxy/page.html`; caches do not keep it."""
    nonce = secrets.token_urlsafe(16)
    page = render(request, template, {**context, "nonce": nonce}, status=status)
    page["Content-Security-Policy"] = policy(f"style-src 'nonce-{nonce}'", "img-src data:", "form-action 'self'")
    add_never_cache_headers(page)
    return page
