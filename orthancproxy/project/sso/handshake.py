"""What a browser keeps while its user is at the provider: state, nonce and PKCE verifier, in a signed cookie.

mozilla-django-oidc keeps them in the session, which would be a new row of the database for everybody who opens a page.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

COOKIE = "sso"
SECONDS = 900


@contextmanager
def handshake(request: HttpRequest) -> Iterator[SessionStore]:
    """Put what the browser keeps in the place of the session, for the library, and yield it."""
    session = request.session
    kept = SessionStore(request.COOKIES.get(COOKIE))
    request.session = kept
    try:
        yield kept
    finally:
        request.session = session


def keep(request: HttpRequest, response: HttpResponse, kept: SessionStore) -> None:
    """Let the browser keep the state of the logins that it has begun, or nothing if there are none."""
    options: dict[str, Any] = {"path": reverse("sso-login"), "samesite": "Lax"}
    if not kept.get("oidc_states"):
        if COOKIE in request.COOKIES:
            response.delete_cookie(COOKIE, **options)
        return
    kept.save()
    secure = settings.SESSION_COOKIE_SECURE
    response.set_cookie(COOKIE, str(kept.session_key), SECONDS, httponly=True, secure=secure, **options)
