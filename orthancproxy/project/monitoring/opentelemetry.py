"""Records traces with OpenTelemetry, configured by its own environment variables (OTEL_*).

Needs the extra `tracing`: `pip install orthanc-graphql-gateway[tracing]`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.util.re import parse_env_headers

from orthancproxy import tracing
from orthancproxy.tracing import NOTHING

SERVICE = "orthanc-graphql-gateway"


def start(headers: str = "") -> None:
    """Record the spans of this process, and send them to the receiver that the variables name, with these headers.

    What is not sent when the process ends is sent then, if that takes no longer than a few seconds.
    """
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(headers=dict(parse_env_headers(headers, liberal=True)) or None))
    )
    tracing.record(OpenTelemetryTracer(provider))
    connection_created.connect(_watch_queries)
    for connection in connections.all(initialized_only=True):
        _watch_queries(connection=connection)


class _Part:
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute of the span."""
        self._span.set_attribute(name, value)

    def fail(self, error: str) -> None:
        """Mark it as failed. No message and no traceback: these can have URLs and values of users."""
        self._span.set_status(StatusCode.ERROR)
        self._span.set_attribute("error.type", error)


class _RequestPart(_Part):
    """The span of a request, which is current until it is left."""

    def __init__(self, span: trace.Span, parent: Context) -> None:
        super().__init__(span)
        self._token: Token[Context] | None = context.attach(trace.set_span_in_context(span, parent))

    def leave(self) -> None:
        """Make it current no more."""
        if self._token:
            context.detach(self._token)
            self._token = None

    def end(self, name: str) -> None:
        """End it; it does nothing the second time."""
        if self._span.is_recording():
            self._span.update_name(name)
            self._span.end()


class OpenTelemetryTracer:
    """Records spans with a provider."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._tracer = provider.get_tracer("orthancproxy")

    def request(self, method: str, headers: Mapping[str, str]) -> _RequestPart:
        """Begin the span of a request."""
        # Django's are named `Traceparent`
        parent = propagate.extract({name.lower(): value for name, value in headers.items()}, Context())
        attributes = {"http.request.method": method}
        return _RequestPart(self._tracer.start_span(method, parent, SpanKind.SERVER, attributes), parent)

    def span(
        self, name: str, *, is_call: bool, attributes: Mapping[str, str | int]
    ) -> AbstractContextManager[tracing.Span]:
        """Return a part of the current span, and nothing without one: the background has no traces."""
        return self._span(name, SpanKind.CLIENT if is_call else SpanKind.INTERNAL, attributes)

    @contextmanager
    def _span(self, name: str, kind: SpanKind, attributes: Mapping[str, str | int]) -> Iterator[tracing.Span]:
        if not trace.get_current_span().get_span_context().is_valid:
            yield NOTHING
            return
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            part = _Part(span)
            try:
                yield part
            except BaseException as error:
                part.fail(type(error).__name__)
                raise

    def headers(self) -> Mapping[str, str]:
        """Return `traceparent`, and what else OTEL_PROPAGATORS names."""
        headers: dict[str, str] = {}
        if trace.get_current_span().get_span_context().is_valid:
            propagate.inject(headers)
        return headers


def _watch_queries(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _traced not in connection.execute_wrappers:
        connection.execute_wrappers.append(_traced)


def _traced(execute: Callable[..., Any], sql: str, params: Any, many: bool, about: Mapping[str, Any]) -> Any:
    """Carry out a statement in a span with its first word: the rest has values of users."""
    connection: BaseDatabaseWrapper = about["connection"]
    # a statement of Django's or ours begins with an SQL keyword
    operation = sql.lstrip("( \n").partition(" ")[0].upper()[:16]
    attributes = {"db.system.name": connection.vendor, "db.operation.name": operation}
    with tracing.span(f"{connection.vendor} {operation}", is_call=True, attributes=attributes):
        return execute(sql, params, many, about)
