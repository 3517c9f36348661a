"""Pages that run nothing, load nothing but images, and send forms to the gateway only; what other pages share."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import render, resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils import translation
from django.utils.cache import add_never_cache_headers, patch_vary_headers

from orthancproxy.http.content_security import policy
from orthancproxy.http.error_responses import NOTHING_HERE, error_response
from orthancproxy.http.negotiation import preferred


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


def render_not_built(request: HttpRequest, name: str, content: str) -> HttpResponse:
    """Return a page that says how to build this one, which shows this content."""
    context = {"name": name, "content": content, "rest_docs_url": url_of("orthanc:docs")}
    return render_page(request, "orthancproxy/not_built.html", context)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request for an unknown URL, as a project's `handler404`; browsers get a page in their language."""
    response: HttpResponse = error_response(404, "NOT_FOUND", NOTHING_HERE)
    if preferred(request, ("application/json", "text/html")) == "text/html":
        context = {"worklist_url": url_of("explorer:home")}
        with in_language_of(request):
            response = render_page(request, "orthancproxy/not_found.html", context, status=404)
        patch_vary_headers(response, ["Accept-Language"])
    patch_vary_headers(response, ["Accept"])
    return response


def in_language_of(request: HttpRequest) -> AbstractContextManager[None]:
    """Render in the reader's language what has no route: middleware does so for those that have one."""
    return translation.override(translation.get_language_from_request(request))


def url_of(name: str) -> str:
    """Return the URL of a route; empty if the project has not mounted it."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def login_url(path: str = "") -> str:
    """Return the URL of the project's login page, which leads back to `path` if given; empty without a login page."""
    try:
        return redirect_to_login(path).url if path else resolve_url(settings.LOGIN_URL)
    except NoReverseMatch:
        return ""


def set_csrf_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Add the CSRF token, which requests with a session need and scripts read from its cookie."""
    csrf = CsrfViewMiddleware(lambda _: response)
    csrf.process_request(request)
    get_token(request)
    csrf.process_response(request, response)
