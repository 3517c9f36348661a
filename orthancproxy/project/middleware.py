"""Django's middlewares that only look at headers, run on the event loop.

Django's own async mode sends each of their hooks to a thread, five times a request, for microseconds of work:
one to three milliseconds of every request.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware

if TYPE_CHECKING:
    from django.utils.deprecation import MiddlewareMixin as _Mixed
else:
    _Mixed = object


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


class SecurityHeaders(_OnTheEventLoop, SecurityMiddleware):
    """X-Content-Type-Options, Referrer-Policy and the redirect to HTTPS."""


class HostAndLength(_OnTheEventLoop, CommonMiddleware):
    """Refuses a host that is not allowed, and sets Content-Length."""


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
