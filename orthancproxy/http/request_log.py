"""A log line for each request, its metrics, its span of a trace, and the request id on every line.

No line has a query parameter, a header or a body, since they may hold patient data, nor the token of a share link.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from prometheus_client import Counter, Histogram
from structlog.contextvars import bind_contextvars, unbind_contextvars

from orthancproxy.access.current_request import current_request
from orthancproxy.http.forwarded import client_address
from orthancproxy.http.negotiation import EVENT_STREAM
from orthancproxy.http.routes import OTHER, template_of
from orthancproxy.http.transfers import Transfer, transfer_of
from orthancproxy.logs import without_tokens
from orthancproxy.metrics import ERRORS, REQUEST_BYTES, REQUEST_SECONDS, REQUESTS, RESPONSE_BYTES, method_label
from orthancproxy.orthanc.calls import CallLog, current_calls
from orthancproxy.request_record import RequestRecord, current_record
from orthancproxy.tracing import RequestSpan, begin_request

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
            finally:
                logged.leave_trace()
            return logged.answered(response)

        return log_async

    def log(request: HttpRequest) -> HttpResponseBase:
        logged = _LoggedRequest(request)
        try:
            response = get_response(request)
        finally:
            logged.leave_trace()
        return logged.answered(response)

    return log


def log_unanswered(scope: Mapping[str, Any], transfer: Transfer) -> None:
    """Log a request that no middleware has seen, since its client disconnected before its body had arrived."""
    method, peer = method_label(scope["method"]), (scope.get("client") or ("",))[0]
    forwarded_for = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
    logger.info(
        "request",
        extra={
            "method": method,
            "path": without_tokens(scope["path"]),
            "status": CLIENT_CLOSED_REQUEST,
            "duration_ms": _milliseconds(time.perf_counter() - transfer.begun),
            "address": client_address(peer, forwarded_for),
            "request_bytes": transfer.received,
        },
    )
    REQUESTS.labels(method, OTHER, CLIENT_CLOSED_REQUEST).inc()
    REQUEST_BYTES.labels(OTHER).inc(transfer.received)


@dataclass(slots=True)
class _LoggedRequest:
    """A request, from its first byte, or else its arrival here, to the last byte of its response."""

    request: HttpRequest
    request_id: str = ""
    calls: CallLog = field(init=False)
    record: RequestRecord = field(default_factory=RequestRecord)
    transfer: Transfer | None = None
    span: RequestSpan | None = None
    started: float = field(default_factory=time.perf_counter)
    ended: bool = False

    def __post_init__(self) -> None:
        self.transfer = transfer_of(getattr(self.request, "scope", {}))
        if self.transfer:
            self.started, self.transfer.is_logged = self.transfer.begun, True
        given = self.request.headers.get("X-Request-ID", "")
        self.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.request.request_id = self.request_id  # type: ignore[attr-defined]
        bind_contextvars(request_id=self.request_id)
        self.calls = CallLog(keep=False, parent=current_calls.get())
        current_calls.set(self.calls)
        current_request.set(self.request)
        current_record.set(self.record)
        if self.request.path not in PROBES:
            self.span = begin_request(method_label(self.request.method), self.request.headers)

    def leave_trace(self) -> None:
        """Begin no more spans in the trace of this request."""
        if self.span:
            self.span.leave()

    def answered(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response with the request id. The request ends now, or with the last byte of a stream."""
        response["X-Request-ID"] = self.request_id
        if not response.streaming:
            self.end(response.status_code, response)
            return response
        # Django closes responses after the last byte and on a disconnect, but not if the stream failed
        response._resource_closers.append(lambda: self.end(response.status_code, response))  # type: ignore[attr-defined]
        if _is_event_stream(response):
            # a trace is shown when its request has ended, and this one can take hours
            self._end_span(response.status_code)
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

    def end(self, status: int, response: HttpResponseBase | None = None) -> None:
        """Log and count the request, once."""
        if self.ended:
            return
        self.ended = True
        seconds = time.perf_counter() - self.started
        received, sent = self._bytes(response)
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
                "duration_ms": _milliseconds(seconds),
                "orthanc_calls": self.calls.count,
                "orthanc_ms": _milliseconds(self.calls.seconds),
                "user": self._username(),
                "address": self.request.META.get("REMOTE_ADDR", ""),
                "operations": [*self.record.operations],
                "errors": [*self.record.error_codes],
                "request_bytes": received,
                "response_bytes": sent,
            },
        )
        self._count(status, None if response and _is_event_stream(response) else seconds, received, sent)
        self._end_span(status)
        unbind_contextvars("request_id")
        current_calls.set(self.calls.parent)
        current_request.set(None)
        current_record.set(None)

    def _username(self) -> str:
        """Return the name of the caller: of a page, that of the session, if the page has asked for it."""
        user = getattr(self.request, "_cached_user", None)
        return self.record.username or (user.get_username() if user else "")

    def _bytes(self, response: HttpResponseBase | None) -> tuple[int, int]:
        """Return the lengths of the bodies. What a WSGI server streams is not counted."""
        given = self.request.META.get("CONTENT_LENGTH") or ""
        received = self.transfer.received if self.transfer else int(given[:18]) if given.isdecimal() else 0
        if response is None or response.streaming:
            return received, self.transfer.sent if self.transfer else 0
        content: bytes = getattr(response, "content", b"")
        return received, 0 if self.request.method == "HEAD" else len(content)

    def _count(self, status: int, seconds: float | None, received: int, sent: int) -> None:
        route = template_of(self.request.resolver_match)
        counted = _metrics(method_label(self.request.method), route, status)
        counted.requests.inc()
        if seconds is not None:
            counted.seconds.observe(seconds)
        if received:
            counted.received.inc(received)
        if sent:
            counted.sent.inc(sent)
        for code in self.record.error_codes:
            ERRORS.labels(route, code).inc()

    def _end_span(self, status: int) -> None:
        if self.span:
            self.span.set("http.response.status_code", status)
            for code in self.record.error_codes:
                self.span.fail(code)
            self.span.end(f"{method_label(self.request.method)} {template_of(self.request.resolver_match)}")


class _Metrics(NamedTuple):
    requests: Counter
    seconds: Histogram
    received: Counter
    sent: Counter


@cache
def _metrics(method: str, route: str, status: int) -> _Metrics:
    """Return the metrics of a request: to look up their labels takes as long as to count."""
    return _Metrics(
        REQUESTS.labels(method, route, status),
        REQUEST_SECONDS.labels(route),
        REQUEST_BYTES.labels(route),
        RESPONSE_BYTES.labels(route),
    )


def _is_event_stream(response: HttpResponseBase) -> bool:
    return response.streaming and response.get("Content-Type") == EVENT_STREAM


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
