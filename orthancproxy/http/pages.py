"""Pages that run nothing, load nothing but images, and send forms to the gateway only."""

import secrets
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from orthancproxy.http.content_security import policy


def render_page(
    request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200, *, images: str = ""
) -> HttpResponse:
    """Return a page whose template extends `orthancproxy/page.html`, with images of these sources; not cached."""
    nonce = secrets.token_urlsafe(16)
    page = render(request, template, {**context, "nonce": nonce}, status=status)
    page["Content-Security-Policy"] = policy(
        f"style-src 'nonce-{nonce}'", f"img-src data: {images}".strip(), "form-action 'self'"
    )
    add_never_cache_headers(page)
    return page
