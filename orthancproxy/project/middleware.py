"""Django's middlewares that only look at headers, run on the event loop.

Django's own async mode sends each of their hooks to a thread, five times a request, for microseconds of work:
one to three milliseconds of every request.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

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
        after: Callable[[HttpRequest, HttpResponseBase], HttpResponseBase] = self.process_response  # type: ignore[attr-defined]
        return after(request, response)


class SecurityHeaders(_OnTheEventLoop, SecurityMiddleware):
    """X-Content-Type-Options, Referrer-Policy and the redirect to HTTPS."""


class HostAndLength(_OnTheEventLoop, CommonMiddleware):
    """Refuses a host that is not allowed, and sets Content-Length."""


class FrameOptions(_OnTheEventLoop, XFrameOptionsMiddleware):
    """X-Frame-Options."""
