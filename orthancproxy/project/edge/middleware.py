"""Django's middlewares that only look at headers, run on the event loop.

Django's own async mode sends each of their hooks to a thread, five times a request, for microseconds of work:
one to three milliseconds of every request.
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
from django.utils.deprecation import MiddlewareMixin

from orthancproxy.http.content_security import NOTHING, policy
from orthancproxy.http.error_responses import bad_request
from orthancproxy.http.request_log import PROBES
from orthancproxy.project.edge.rejections import reason_of

if TYPE_CHECKING:
    _Mixed = MiddlewareMixin
else:
    _Mixed = object


logger = logging.getLogger(__name__)

# Django's pages run scripts and styles from files only
ADMIN_POLICY = policy("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "form-action 'self'")


class _OnTheEventLoop(_Mixed):
    """Calls `process_request` and `process_response` where the request is. Not for hooks that block."""

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


class Refusals(_OnTheEventLoop, MiddlewareMixin):
    """Answers in place of the view where a request was refused before it was read."""

    async def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Tell the reason. Asynchronous, since Django would send it to a thread otherwise."""
        reason = reason_of(request)
        return bad_request(request, reason) if reason else None

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Have the connection closed: the client is not to send the rest."""
        if reason_of(request):
            response["Connection"] = "close"
        return response


class SecurityHeaders(_OnTheEventLoop, SecurityMiddleware):
    """What browsers are told about every answer, unless its view knows better: to run, keep and share nothing.

    Besides Django's X-Content-Type-Options, Referrer-Policy, Cross-Origin-Opener-Policy and, over HTTPS,
    Strict-Transport-Security.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the headers that are not there."""
        response = super().process_response(request, response)
        is_admin = request.resolver_match is not None and request.resolver_match.app_name == "admin"
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if is_admin else NOTHING)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class HostAndLength(_OnTheEventLoop, CommonMiddleware):
    """Refuses a host that is not allowed, and sets Content-Length."""

    def process_request(  # type: ignore[override]  # Django's redirects only
        self, request: HttpRequest
    ) -> HttpResponse | None:
        """Refuse other hosts, but not to probes: orchestrators ask an address, and nothing is told of the host."""
        try:
            return None if request.path_info in PROBES else super().process_request(request)
        except DisallowedHost as error:
            # Django would log it with a traceback
            logger.warning("host refused", extra={"reason": str(error)})
            return bad_request(request, error)


class FrameOptions(_OnTheEventLoop, XFrameOptionsMiddleware):
    """X-Frame-Options."""


class Sessions(_OnTheEventLoop, SessionMiddleware):
    """The session, which is read when somebody looks at it; to write it takes a thread."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        self.process_request(request)
        answer: Awaitable[HttpResponseBase] = self.get_response(request)
        response: Any = await answer
        if request.session.modified:
            return await sync_to_async(self.process_response)(request, response)
        return self.process_response(request, response)


class Users(_OnTheEventLoop, AuthenticationMiddleware):
    """The session's user, who is looked up when somebody asks."""


class Messages(_OnTheEventLoop, MessageMiddleware):
    """What the admin site tells after a redirect, in a cookie."""
