"""A log line for each request, and the request id on every line.

No line has a query parameter, a header or a body, since they may hold patient data, nor the token of a share link.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import bind_contextvars, unbind_contextvars

from orthancproxy.access.current_request import current_request
from orthancproxy.logs import without_tokens
from orthancproxy.orthanc.calls import CallLog, current_calls

logger = logging.getLogger(__name__)

PROBES = frozenset({"/livez", "/readyz"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLIENT_CLOSED_REQUEST = 499
"""The logged status, as in nginx, of a request whose client disconnected before the response."""


@sync_and_async_middleware
def request_log_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Give each request an id, count its calls to Orthanc, and log one line at its end.

    The id is the value of X-Request-ID if that matches REQUEST_ID, else a new one. It is `request.request_id`, in every
    log line until the request ends, and in X-Request-ID of the response.
    """
    if iscoroutinefunction(get_response):

        async def log_async(request: HttpRequest) -> HttpResponseBase:
            logged = _LoggedRequest(request)
            try:
                response = await get_response(request)
            except asyncio.CancelledError:
                logged.end(CLIENT_CLOSED_REQUEST)
                raise
            return logged.answered(response)

        return log_async

    def log(request: HttpRequest) -> HttpResponseBase:
        return _LoggedRequest(request).answered(get_response(request))

    return log


@dataclass(slots=True)
class _LoggedRequest:
    """A request, from its arrival to the last byte of its response."""

    request: HttpRequest
    request_id: str = ""
    calls: CallLog = field(init=False)
    started: float = field(default_factory=time.perf_counter)
    ended: bool = False

    def __post_init__(self) -> None:
        given = self.request.headers.get("X-Request-ID", "")
        self.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.request.request_id = self.request_id  # type: ignore[attr-defined]
        bind_contextvars(request_id=self.request_id)
        self.calls = CallLog(keep=False, parent=current_calls.get())
        current_calls.set(self.calls)
        current_request.set(self.request)

    def answered(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response with the request id. The request ends now, or with the last byte of a stream."""
        response["X-Request-ID"] = self.request_id
        if not response.streaming:
            self.end(response.status_code)
            return response
        # Django closes responses after the last byte and on a disconnect, but not if the stream failed
        response._resource_closers.append(lambda: self.end(response.status_code))  # type: ignore[attr-defined]
        stream = cast("StreamingHttpResponse", response)
        if stream.is_async:
            stream.streaming_content = self._watch(cast("AsyncIterable[bytes]", stream.streaming_content))
        return response

    async def _watch(self, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in content:
                yield chunk
        except Exception:
            logger.exception("stream failed")
            self.end(500)
            raise

    def end(self, status: int) -> None:
        """Log the request, once."""
        if self.ended:
            return
        self.ended = True
        # an orchestrator probes every few seconds: only failures are worth a line
        healthy = self.request.path in PROBES and status == 200
        logger.log(
            logging.DEBUG if healthy else logging.INFO,
            "request",
            extra={
                "request_id": self.request_id,
                "method": self.request.method,
                "path": without_tokens(self.request.path),
                "status": status,
                "duration_ms": _milliseconds(time.perf_counter() - self.started),
                "orthanc_calls": self.calls.count,
                "orthanc_ms": _milliseconds(self.calls.seconds),
            },
        )
        unbind_contextvars("request_id")
        current_calls.set(self.calls.parent)
        current_request.set(None)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
