"""Spans of a trace, if something records them: `project/monitoring` does, with OpenTelemetry.

Without it, a span is nothing, and costs a function call. No attribute has patient data, an id, a path or a message.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Span(Protocol):
    """A part of a request."""

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute, which must have no patient data."""

    def fail(self, error: str) -> None:
        """Mark it as failed, with the name or code of an error."""


class RequestSpan(Span, Protocol):
    """A request, whose parts are the spans that are begun until it is left."""

    def leave(self) -> None:
        """Begin no more parts in this task; for use in the task that began it, as often as one likes."""

    def end(self, name: str) -> None:
        """End the span, under this name."""


class Tracer(Protocol):
    """Records what takes how long, in spans; `orthancproxy.project.monitoring.opentelemetry` has one."""

    def request(self, method: str, headers: Mapping[str, str]) -> RequestSpan:
        """Begin the span of a request, as a part of the trace that its headers name."""

    def span(self, name: str, *, is_call: bool, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
        """Return a part of the current request, and nothing outside of requests."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that make the receiver's spans parts of the current one."""


class _Nothing:
    def set(self, name: str, value: str | int) -> None:
        """Ignore it: nothing is recorded."""

    def fail(self, error: str) -> None:
        """Ignore it: nothing is recorded."""


NOTHING: Span = _Nothing()
_NO_SPAN: AbstractContextManager[Span] = nullcontext(NOTHING)
_NO_HEADERS: Mapping[str, str] = {}
_tracer: Tracer | None = None


def record(tracer: Tracer | None) -> None:
    """Let a tracer record the spans of this process; None to stop it."""
    global _tracer
    _tracer = tracer


def begin_request(method: str, headers: Mapping[str, str]) -> RequestSpan | None:
    """Return the span of a request, None if nothing records it."""
    return _tracer.request(method, headers) if _tracer else None


def span(
    name: str, *, is_call: bool = False, attributes: Mapping[str, str | int] = _NO_HEADERS
) -> AbstractContextManager[Span]:
    """Return a part of the current request; `is_call` if another server carries it out."""
    return _tracer.span(name, is_call=is_call, attributes=attributes) if _tracer else _NO_SPAN


def trace_headers() -> Mapping[str, str]:
    """Return the headers for a call within the current span (W3C Trace Context)."""
    return _tracer.headers() if _tracer else _NO_HEADERS
