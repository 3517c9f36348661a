"""The HTTP client for Orthanc: pooled connections, typed errors, one retry of idempotent calls.

Orthanc closes idle connections after a second (`Keep-Alive: timeout=1`), so that a call sometimes uses a connection
that was just closed: calls that read, or store a file, are repeated once (ADR 0003).
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson
import requests
from msgspec import DecodeError
from msgspec.json import Decoder
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError
from urllib3.util import Timeout

from orthancproxy.errors import (
    ArchiveError,
    ArchiveProtocolError,
    ArchiveTimeout,
    ArchiveUnavailable,
    LimitExceeded,
    NotFound,
)
from orthancproxy.locks import FileLock, SharedLock
from orthancproxy.metrics import ORTHANC_CALL_FAILURES
from orthancproxy.orthanc.call_slots import CallSlots, SlotUsage
from orthancproxy.orthanc.calls import Call, log_call
from orthancproxy.orthanc.capabilities import Capabilities, discover
from orthancproxy.orthanc.clock import OrthancClock
from orthancproxy.orthanc.connections import OrthancConnections, RequestBody
from orthancproxy.orthanc.deadline import Deadline, clip_to_deadline, deadline_scope
from orthancproxy.orthanc.endpoints import COUNT_RESOURCES, FIND, NOW, PROBE_INDEX, CallKind, Endpoint
from orthancproxy.orthanc.render_delete_lock import RenderDeleteLock
from orthancproxy.orthanc.response_body import ResponseBody, timed_out
from orthancproxy.orthanc.responses import ID_LIST_DECODER, JSON_DECODER
from orthancproxy.orthanc.status import BUSY, error_of, is_transient
from orthancproxy.tracing import Span, span, trace_headers

logger = logging.getLogger("orthancproxy.orthanc")


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How to connect to Orthanc. Timeouts and delays are in seconds.

    `max_calls` is the number of calls that all `processes` make at once, each an equal part of it.
    """

    base_url: str
    username: str = ""
    password: str = ""
    ca_bundle: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    retry_delay: float = 0.2
    pool_size: int = 32
    max_calls: int = 40
    max_downloads: int = 12
    processes: int = 1
    log_calls: bool = False


class OrthancClient:
    """Calls Orthanc. Thread-safe.

    `lock` keeps rendering and deleting apart in all processes that share it; by default those of this machine.
    `before_call` frees what the thread does not need while it waits.
    Raises NotFound, NotRenderable, LimitExceeded at the deadline, and ArchiveError, but no exceptions of the library
    requests.
    """

    def __init__(
        self, options: ConnectionOptions, lock: SharedLock | None = None, before_call: Callable[[], None] | None = None
    ) -> None:
        self._options = options
        self._before_call = before_call
        self._base_url = options.base_url.rstrip("/")
        self._connections = OrthancConnections(
            self._base_url, options.username, options.password, options.ca_bundle, options.pool_size
        )
        self._render_delete_lock = RenderDeleteLock(lock or FileLock(self._base_url))
        self._slots = CallSlots(max(1, options.max_calls // options.processes), options.max_downloads)
        self._failures_lock = threading.Lock()
        self._failures = 0
        self._cached_capabilities: tuple[int, Capabilities] | None = None
        self._discovery_lock = threading.Lock()
        self.clock = OrthancClock(self._now)

    @property
    def slots(self) -> SlotUsage:
        """How many calls this process may make at once, and makes."""
        return self._slots.usage()

    def capabilities(self) -> Capabilities:
        """Return the capabilities of this Orthanc, cached until it becomes unreachable. Raises ArchiveError."""
        cached = self._cached_capabilities
        if cached is not None and cached[0] == self._failures:
            return cached[1]
        # One thread asks and the others wait, as long as each of its calls may take: Orthanc may be down. It takes 5 s
        # with 1,000,000 instances (1.13.0 over SQLite), and three threads at once three times as long.
        locked = self._discovery_lock.acquire(timeout=clip_to_deadline(self._options.read_timeout))
        try:
            return self._discover()
        finally:
            if locked:
                self._discovery_lock.release()

    def _discover(self) -> Capabilities:
        cached = self._cached_capabilities
        if cached is not None and cached[0] == self._failures:
            return cached[1]
        failures, tolerated = self._failures, 0

        def tolerate() -> None:
            nonlocal tolerated
            tolerated += 1

        found = discover(self.call, tolerate)
        self._cached_capabilities = (failures + tolerated, found)
        if found.http_threads is not None:
            # the others are for probes and for clients of its own
            self._slots.limit(found.http_threads * 9 // 10 // self._options.processes)
        return found

    def ping(self, max_seconds: float = inf) -> None:
        """Return if Orthanc's index answers within this time; `/system` answers while the index is deadlocked (1.12.7).

        Raises ArchiveError.
        """
        find = {"Level": "Patient", "Query": {}, "Limit": 1}
        try:
            with deadline_scope(Deadline(max_seconds)):
                self.call(PROBE_INDEX, body=find, decoder=ID_LIST_DECODER)
        except LimitExceeded as error:
            raise ArchiveTimeout("Orthanc did not answer in time.") from error
        except NotFound as error:
            # a server, but no Orthanc at this base path
            raise ArchiveProtocolError from error

    def _now(self) -> bytes:
        with closing(self.open(NOW)) as body:
            return b"".join(body)

    def call(
        self,
        endpoint: Endpoint,
        *,
        body: Mapping[str, Any] | None = None,
        content: RequestBody | None = None,
        query: str = "",
        decoder: Decoder[Any] = JSON_DECODER,
        **parts: str | int,
    ) -> Any:
        """Return Orthanc's JSON response, decoded by `decoder`.

        `content` is a DICOM file, `query` an encoded query string, `parts` fill in the path template.
        """
        url = self._base_url + endpoint.path(**parts)
        data = content if body is None else orjson.dumps(body)
        kind = self._kind(endpoint, body)
        with ExitStack() as held:
            response = self._send(held, kind, endpoint, url, data, query, {"Accept": "application/json"}, stream=False)
        # whatever its Content-Type: Orthanc sends JSON with none, or as text
        try:
            return decoder.decode(response.content)
        except (DecodeError, RecursionError) as error:
            raise ArchiveProtocolError from error

    def open(
        self,
        endpoint: Endpoint,
        *,
        body: Mapping[str, Any] | None = None,
        content: RequestBody | bytes | None = None,
        query: str = "",
        accept: str = "*/*",
        byte_range: str = "",
        if_match: str = "",
        **parts: str | int,
    ) -> ResponseBody:
        """Return the body of a response of any size, which the caller reads in chunks and closes.

        `content` is text for Orthanc to keep. `byte_range` is a Range header, which Orthanc may ignore; `if_match` the
        entity tag of what is replaced or removed.
        """
        url = self._base_url + endpoint.path(**parts)
        data = content if body is None else orjson.dumps(body)
        with ExitStack() as held:
            conditions = {"Range": byte_range, "If-Match": if_match}
            headers = {"Accept": accept, **{name: value for name, value in conditions.items() if value}}
            response = self._send(held, endpoint.kind, endpoint, url, data, query, headers, stream=True)
            return ResponseBody(response, self._translate, held.pop_all().close)

    def _kind(self, endpoint: Endpoint, body: Mapping[str, Any] | None) -> CallKind:
        """Return the kind of a call. Whether a find reads files is known once the capabilities are."""
        if body is None or endpoint not in (FIND, COUNT_RESOURCES) or self._cached_capabilities is None:
            return endpoint.kind
        _, capabilities = self._cached_capabilities
        return CallKind.FILES if capabilities.reads_files(body) else endpoint.kind

    def _send(
        self,
        held: ExitStack,
        kind: CallKind,
        endpoint: Endpoint,
        url: str,
        data: bytes | RequestBody | None,
        query: str,
        headers: Mapping[str, str],
        stream: bool,
    ) -> requests.Response:
        """Return a response, read unless `stream` is set. `held` keeps its slot among the calls to Orthanc."""
        if self._before_call:
            self._before_call()
        for last_try in (False, True):
            slot = self._slots.acquire(kind)
            with ExitStack() as attempt:
                attempt.callback(self._slots.release, slot)
                started = time.perf_counter()
                response = None
                try:
                    with self._render_delete_lock.hold(endpoint), _span(endpoint) as part:
                        response = self._connections.send(
                            endpoint.method,
                            url,
                            data,
                            query,
                            {**headers, **trace_headers()},
                            self._timeout(),
                            stream=stream,
                            # Orthanc may close one that is idle for a second just as it is used
                            is_new=not endpoint.repeatable,
                        )
                        part.set("http.response.status_code", response.status_code)
                except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                    translated = self._translate(error)
                    slot.lingers = kind is CallKind.FILES and isinstance(translated, ArchiveTimeout)
                    # timeouts are not retried
                    if last_try or not endpoint.repeatable or type(translated) is not ArchiveUnavailable:
                        raise translated from error
                finally:
                    self._log(endpoint, response, time.perf_counter() - started, stream)
                if response is not None:
                    if last_try or not is_transient(endpoint, response):
                        if rejection := error_of(endpoint, response):
                            if response.status_code in BUSY:
                                self._count_failure()
                            if isinstance(rejection, ArchiveError):
                                ORTHANC_CALL_FAILURES.labels(type(rejection).__name__).inc()
                            raise rejection
                        held.push(attempt.pop_all())
                        return response
                    response.close()
            time.sleep(self._options.retry_delay)
        raise AssertionError("unreachable")  # pragma: no cover

    def _timeout(self) -> Timeout:
        return Timeout(
            # the total, since connecting and reading would otherwise have until the deadline each
            total=clip_to_deadline(inf),
            connect=self._options.connect_timeout,
            read=self._options.read_timeout,
        )

    def _translate(self, error: Exception) -> ArchiveError:
        translated = self._translated(error)
        ORTHANC_CALL_FAILURES.labels(type(translated).__name__).inc()
        return translated

    def _translated(self, error: Exception) -> ArchiveError:
        match error:
            case _ if timed_out(error):
                self._count_failure()
                return ArchiveTimeout("Orthanc did not answer in time.")
            case requests.exceptions.SSLError() | SSLError():
                self._count_failure()
                return ArchiveUnavailable("Orthanc's certificate is not trusted.")
            case requests.ConnectionError() | ProtocolError() | NewConnectionError() | OSError():
                self._count_failure()
                return ArchiveUnavailable("Orthanc cannot be reached.")
            case _:
                return ArchiveProtocolError()

    def _count_failure(self) -> None:
        with self._failures_lock:
            self._failures += 1

    def _log(self, endpoint: Endpoint, response: requests.Response | None, seconds: float, stream: bool) -> None:
        status = response.status_code if response is not None else 0
        size = len(response.content) if response is not None and not stream else 0
        log_call(Call(endpoint.method, endpoint.template, status, seconds, size))
        if self._options.log_calls:
            logger.info(
                "orthanc call",
                extra={
                    "orthanc_method": endpoint.method,
                    "orthanc_path": endpoint.template,
                    "orthanc_status": status,
                    "orthanc_ms": round(seconds * 1000, 1),
                    "orthanc_bytes": size,
                },
            )


def _span(endpoint: Endpoint) -> AbstractContextManager[Span]:
    attributes = {"http.request.method": endpoint.method, "url.template": endpoint.template}
    return span(f"{endpoint.method} {endpoint.template}", is_call=True, attributes=attributes)
