"""Event streams of one job: its state now, and whenever it changes, until it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from orthancproxy.access.callers import Caller
from orthancproxy.access.credentials import Credentials
from orthancproxy.database import renewed_connections
from orthancproxy.http.event_streams import EventStream, EventStreams, StreamSource
from orthancproxy.jobs.watch import job_watch
from orthancproxy.orthanc.call_slots import caller_scope
from orthancproxy.orthanc.deadline import deadline_scope
from orthancproxy.threads import EVENTS


@dataclass(frozen=True, slots=True)
class RenderedJob:
    """The event of a job in one version."""

    version: int
    chunk: bytes
    has_ended: bool


class JobStreamSource(StreamSource, Protocol):
    """What a stream shows of a job."""

    @property
    def job_id(self) -> int:
        """The primary key of the job."""

    def render(self, caller: Caller) -> RenderedJob:
        """Return the event of the job as it is now; runs in a thread. Raises GatewayError if it is hidden, or gone."""


class JobStream(EventStream):
    """The chunks of one response."""

    def __init__(self, streams: EventStreams, source: JobStreamSource, credentials: Credentials) -> None:
        super().__init__(streams, source, credentials)
        self._source = source
        self._version = 0
        self._is_stale = True
        self._loop: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        """Stop to watch the job, too."""
        job_watch.leave(self._source.job_id, self._note)
        super().close()

    def _note(self) -> None:
        """Look for a change; for use in any thread."""
        # the loop may have ended
        with suppress(RuntimeError):
            if self._loop:
                self._loop.call_soon_threadsafe(self._mark)

    def _mark(self) -> None:
        self._is_stale = True
        self.wake()

    async def _make_chunks(self) -> AsyncIterator[bytes]:
        self._loop = asyncio.get_running_loop()
        job_watch.listen(self._source.job_id, self._note)
        async for chunk in super()._make_chunks():
            yield chunk

    async def _news(self) -> bytes | None:
        if not self._is_stale:
            return None
        self._is_stale, caller = False, self._caller
        try:
            async with self._streams.turn(self.author):
                rendered = await EVENTS.run(_render, self._source, caller)
        except Exception:
            self._is_stale = True
            raise
        if not self._may_deliver(caller):
            self._is_stale = True
            return b""
        if rendered.version == self._version:
            return None
        self._version, self._has_ended = rendered.version, rendered.has_ended
        return rendered.chunk


@renewed_connections()
def _render(source: JobStreamSource, caller: Caller) -> RenderedJob:
    context = source.context.for_delivery(caller)
    with deadline_scope(context.deadline), caller_scope(context.author.key):
        return source.render(caller)
