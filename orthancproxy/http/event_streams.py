"""Server-sent events (HTML Living Standard, section 9.2): the open streams of a process.

Thousands of open streams take no threads and no database connections.
"""

import asyncio
import logging
from abc import abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import Context
from math import inf
from typing import Protocol, cast
from weakref import WeakValueDictionary

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from orthancproxy.access.callers import Caller
from orthancproxy.access.credentials import CallerWatch, Credentials
from orthancproxy.access.policy import authorize
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, as_gateway_error, renewed_connections
from orthancproxy.errors import ArchiveUnavailable, GatewayError, GatewayUnavailable, InvalidRequest, LimitExceeded
from orthancproxy.http.negotiation import EVENT_STREAM
from orthancproxy.http.recent_changes import RecentChanges
from orthancproxy.logs import log_archive_failure
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.operations import READ_CHANGES
from orthancproxy.threads import STREAMS

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 25.0  # nginx and load balancers close what is silent for a minute
RECHECK_SECONDS = 3.0
RETRY_MS = 2000  # after which browsers connect again
MAX_UNCHECKED_SECONDS = 4.5  # since the callers were authenticated, after which nothing is delivered
RETRY_SECONDS = 2.0
# what may succeed later; LIMIT_EXCEEDED is the deadline of the check for labels
TRANSIENT = (ArchiveUnavailable, GatewayUnavailable, LimitExceeded)
MAX_REQUEST_BYTES = 8192


def event(data: bytes, *, name: str = "", cursor: int | None = None) -> bytes:
    """Return an event with data of one line. Browsers send the cursor of the last one as Last-Event-ID."""
    head = f"event: {name}\n" if name else ""
    if cursor is not None:
        head += f"id: {cursor}\n"
    return b"%bdata: %b\n\n" % (head.encode(), data)


def last_event_id(request: HttpRequest, after: str | None) -> str | None:
    """Return the cursor with which a stream continues: that of Last-Event-ID, or else `after`."""
    return request.headers.get("Last-Event-ID") or after


class StreamSource(Protocol):
    """What a stream shows."""

    @property
    def context(self) -> RequestContext:
        """The request that began the stream."""

    def render_error(self, error: GatewayError) -> bytes:
        """Return the last event of a stream that ends with an error."""


class EventStream(AsyncIterator[bytes]):
    """The chunks of one response. Django also calls `close`, in a thread, when the client disconnects."""

    follows_log = False

    def __init__(self, streams: "EventStreams", source: StreamSource, credentials: Credentials) -> None:
        self.credentials = credentials
        self.author = source.context.author.key
        self._streams = streams
        self._render_error = source.render_error
        self._caller = source.context.caller
        self._heartbeat_at = inf
        self._is_failing = self._is_paused = self._has_ended = False
        self._error: GatewayError | None = None
        self._woken = asyncio.Event()
        self._chunks = self._make_chunks()

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    def close(self) -> None:
        """Wake the stream no more, and count it as open no more."""
        self._streams.remove(self)

    def wake(self) -> None:
        """Look for changes, an error, or the end."""
        self._woken.set()

    def reauthenticate(self, caller: Caller | GatewayError) -> None:
        """Continue as the caller is now, or end."""
        try:
            if isinstance(caller, GatewayError):
                raise caller
            authorize(caller, READ_CHANGES.action)
            self._caller = caller
        except GatewayError as error:
            self.fail(error)

    def fail(self, error: GatewayError) -> None:
        """End with an error."""
        self._error = error
        self.wake()

    async def _make_chunks(self) -> AsyncIterator[bytes]:
        try:
            self._streams.add(self)
            self._heartbeat_at = asyncio.get_running_loop().time() + self._streams.heartbeat_seconds
            yield b"retry: %d\n\n" % RETRY_MS
            while not self._streams.is_closed and not self._has_ended:
                if chunk := await self._next_chunk():
                    yield chunk
        except GatewayError as error:
            log_archive_failure(error, error.code)
            yield self._render_error(error)
        finally:
            self.close()

    async def _next_chunk(self) -> bytes:
        """Return what is new, or a heartbeat; nothing if it is to be called again."""
        self._woken.clear()
        if self._error:
            raise self._error
        loop = asyncio.get_running_loop()
        chunk = await self._try_news()
        if chunk is None:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._heartbeat_at):
                    await self._woken.wait()
        if not chunk and loop.time() >= self._heartbeat_at:
            chunk = self._heartbeat()
        if chunk:
            self._heartbeat_at = loop.time() + self._streams.heartbeat_seconds
        return chunk or b""

    async def _try_news(self) -> bytes | None:
        if self._is_paused or not self._streams.is_checked:
            return None
        try:
            chunk = await self._news()
        except (*TRANSIENT, *DATABASE_ERRORS) as error:
            self._pause(cast("GatewayError", as_gateway_error(error)))
            return None
        self._is_failing = False
        return chunk

    @abstractmethod
    async def _news(self) -> bytes | None:
        """Return the events of what is new, empty if it is hidden, or None if there is nothing to deliver now."""

    def _may_deliver(self, caller: Caller) -> bool:
        """Return whether what was rendered for a caller is still for them: they may have lost what they had."""
        return not self._error and caller == self._caller and self._streams.is_checked

    def _pause(self, error: GatewayError) -> None:
        """Try again after RETRY_SECONDS: a client would take an error for the end."""
        if not self._is_failing:
            # once for each outage
            log_archive_failure(error, error.code)
        self._is_failing = self._is_paused = True
        asyncio.get_running_loop().call_later(RETRY_SECONDS, self._resume)

    def _resume(self) -> None:
        self._is_paused = False
        self.wake()

    def _heartbeat(self) -> bytes:
        """Return what clients ignore."""
        return b":\n\n"


class EventStreams:
    """The open streams of a process. They end when it is closed."""

    def __init__(self, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self.heartbeat_seconds = heartbeat_seconds
        self.is_closed = False
        self.changes = RecentChanges(self._wake)
        self._open: set[EventStream] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._checked_at = 0.0
        self._follower: asyncio.Task[None] | None = None

    def check(self, request: HttpRequest, author: str) -> None:
        """Raise GatewayUnavailable if too many streams are open, and InvalidRequest for what cannot be a stream.

        A stream keeps its request, whose text each event is rendered from. Under WSGI it would hold a thread.
        """
        if not isinstance(request, ASGIRequest):
            raise InvalidRequest("This server does not support event streams: it is not an ASGI server.")
        if request.content_type == "multipart/form-data":
            raise InvalidRequest("Send the request for an event stream without files, as JSON.")
        if len(request.META["QUERY_STRING"]) + len(request.body) > MAX_REQUEST_BYTES:
            raise LimitExceeded(f"The request for an event stream has more than {MAX_REQUEST_BYTES:,} bytes.")
        self._check_number(author)

    def respond(self, stream: EventStream) -> StreamingHttpResponse:
        """Return the response of a stream; for use in any thread, after `check`."""
        response = StreamingHttpResponse(stream, content_type=EVENT_STREAM)
        patch_vary_headers(response, ["Accept"])
        # it may hold patient data
        response["Cache-Control"] = "private, no-store, no-transform"
        # nginx would wait until its buffer is full
        response["X-Accel-Buffering"] = "no"
        return response

    @property
    def count(self) -> int:
        """The number of open streams."""
        return len(self._open)

    @property
    def is_checked(self) -> bool:
        """Whether the callers were authenticated recently enough to deliver something to them."""
        return asyncio.get_running_loop().time() - self._checked_at < MAX_UNCHECKED_SECONDS

    def add(self, stream: EventStream) -> None:
        """Begin to wake a stream. Raises GatewayUnavailable if too many are open."""
        self._check_number(stream.author)
        self._open.add(stream)
        loop = asyncio.get_running_loop()
        if self._follower is None or self._follower.done() or self._follower.get_loop() is not loop:
            self.changes = RecentChanges(self._wake)
            self._checked_at = loop.time()
            # not in the context of this stream's request
            self._follower = loop.create_task(self._follow(), context=Context())

    def remove(self, stream: EventStream) -> None:
        """Wake a stream no more; for use in any thread."""
        self._open.discard(stream)

    def close(self) -> None:
        """End all streams, since the server shuts down. Their clients continue with another one."""
        if not self.is_closed:
            self.is_closed = True
            self._wake()

    def turn(self, author: str) -> asyncio.Lock:
        """Return the lock for reading the log, which the streams of an author do one after the other."""
        return self._turns.setdefault(author, asyncio.Lock())

    def _check_number(self, author: str) -> None:
        maximum = conf.ORTHANC_MAX_STREAMS
        if sum(one.author == author for one in tuple(self._open)) >= maximum // 10:
            raise GatewayUnavailable("Too many of your event streams are open. Close one, or try again later.")
        if len(self._open) >= maximum:
            raise GatewayUnavailable("Too many event streams are open. Try again later.")

    def _wake(self) -> None:
        for stream in tuple(self._open):
            stream.wake()

    async def _follow(self) -> None:
        """Follow the log, and authenticate the callers again every RECHECK_SECONDS, while streams are open."""
        watch, changes = CallerWatch(), self.changes
        try:
            while self._open:
                if any(one.follows_log for one in tuple(self._open)):
                    await changes.listen()
                await self._reauthenticate(watch)
                await asyncio.sleep(RECHECK_SECONDS)
        finally:
            changes.leave()

    async def _reauthenticate(self, watch: CallerWatch) -> None:
        began = asyncio.get_running_loop().time()
        streams = defaultdict(list)
        for stream in tuple(self._open):
            streams[stream.credentials].append(stream)
        try:
            changed = await STREAMS.run(renewed_connections()(watch.changed), tuple(streams))
        except Exception:
            # once for each outage, more or less
            if self.is_checked:
                logger.exception("event streams deliver nothing: their callers cannot be authenticated")
            return
        for credentials, caller in changed.items():
            for stream in streams[credentials]:
                stream.reauthenticate(caller)
        was_checked, self._checked_at = self.is_checked, began
        if not was_checked:
            self._wake()


event_streams = EventStreams()
"""All streams of the process."""
