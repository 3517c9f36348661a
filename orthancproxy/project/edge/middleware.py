"""Django's middleware that only reads and sets headers, run on the event loop.

Django's own async mode calls each hook in a thread, five times a request, for microseconds of work: one to three
milliseconds of every request. This overrides `MiddlewareMixin.__acall__`, which is private: checked with Django 5.2.19.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from orthancproxy.http.content_security import NOTHING, policy
from orthancproxy.http.error_responses import bad_request
from orthancproxy.http.request_log import PROBES
from orthancproxy.project.edge.rejections import is_unread, rejection_of

if TYPE_CHECKING:
    _Mixed = MiddlewareMixin
else:
    _Mixed = object


logger = logging.getLogger(__name__)

# Django's pages load scripts and styles from files only
ADMIN_POLICY = policy("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "form-action 'self'")


PAGES = frozenset({"login", "logout", "tokens", "sso-login", "sso-callback", "logged-out"})
# of orchestrators and Orthanc, which use IP addresses or names of a private network
INTERNAL = PROBES | {"/orthanc-events"}


class _OnTheEventLoop(_Mixed):
    """Calls `process_request` and `process_response` on the event loop. Not for hooks that block."""

    get_response: Callable[[HttpRequest], Any]

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        before: Callable[[HttpRequest], HttpResponseBase | None] | None = getattr(self, "process_request", None)
        response = before(request) if before else None
        if response is None:
            answer: Awaitable[HttpResponseBase] = self.get_response(request)
            response = await answer
        after: Callable[[HttpRequest, HttpResponseBase], HttpResponseBase] | None = getattr(
            self, "process_response", None
        )
        return after(request, response) if after else response


class RejectedRequests(_OnTheEventLoop, MiddlewareMixin):
    """Answers requests that were rejected before they were read, instead of their view."""

    async def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Answer with the error. Asynchronous, so that Django does not call it in a thread."""
        reason = rejection_of(request)
        return bad_request(request, reason) if reason else None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Close the connection, so that the client does not send the rest of the body."""
        if is_unread(request):
            response["Connection"] = "close"
        return response


class SecurityHeaders(_OnTheEventLoop, SecurityMiddleware):
    """Forbids browsers to run, cache and share responses, unless the view has set these headers.

    In addition to Django's X-Content-Type-Options, Referrer-Policy, Cross-Origin-Opener-Policy and, over HTTPS,
    Strict-Transport-Security.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Set the missing headers."""
        response = super().process_response(request, response)
        is_admin = request.resolver_match is not None and request.resolver_match.app_name == "admin"
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if is_admin else NOTHING)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class HostAndLength(_OnTheEventLoop, CommonMiddleware):
    """Rejects hosts that are not in ALLOWED_HOSTS, and sets Content-Length."""

    def process_request(  # type: ignore[override]  # Django's redirects only
        self, request: HttpRequest
    ) -> HttpResponse | None:
        """Reject other hosts, except for requests from inside, whose responses have no URLs."""
        try:
            return None if request.path_info in INTERNAL else super().process_request(request)
        except DisallowedHost as error:
            # Django would log it with a traceback
            logger.warning("host rejected", extra={"reason": str(error)})
            return bad_request(request, error)


class FrameOptions(_OnTheEventLoop, XFrameOptionsMiddleware):
    """Sets X-Frame-Options: no site may show pages of the gateway in a frame."""


class Languages(_OnTheEventLoop, MiddlewareMixin):
    """The language of pages, from Accept-Language. Responses of the APIs do not vary."""

    async def process_view(self, request: HttpRequest, *_: Any) -> None:
        """Activate the language of a page. Asynchronous, so that Django does not call it in a thread."""
        match = request.resolver_match
        if match and (match.app_name in ("admin", "explorer", "shares") or match.url_name in PAGES):
            translation.activate(translation.get_language_from_request(request))
            request.is_page = True  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Declare the language of a page."""
        if hasattr(request, "is_page"):
            response.headers.setdefault("Content-Language", translation.get_language() or "")
            patch_vary_headers(response, ["Accept-Language"])
            translation.deactivate()
        return response


class Sessions(_OnTheEventLoop, SessionMiddleware):
    """The session, which is loaded when it is first used; it is saved in a thread."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        self.process_request(request)
        answer: Awaitable[HttpResponseBase] = self.get_response(request)
        response: Any = await answer
        if request.session.modified:
            return await sync_to_async(self.process_response)(request, response)
        return self.process_response(request, response)


class Users(_OnTheEventLoop, AuthenticationMiddleware):
    """The user of the session, loaded when it is first used."""


class Messages(_OnTheEventLoop, MessageMiddleware):
    """The messages of the admin site, kept in a cookie over a redirect."""
