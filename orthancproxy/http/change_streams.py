"""Event streams of the archive's changes.

All streams of a process share one tail of the log. A batch of changes is rendered once for all streams that show the
same at the same time.
"""

from collections.abc import Sequence
from typing import Protocol

from orthancproxy.access.credentials import Credentials
from orthancproxy.database import renewed_connections
from orthancproxy.feed.log import CHANGES_PER_READ, LoggedChange, change_log
from orthancproxy.http.event_streams import EventStream, EventStreams, StreamSource
from orthancproxy.http.shared_renderings import ChangeRenderer, ChangesToRender
from orthancproxy.threads import EVENT_READS


class ChangeStreamSource(StreamSource, ChangeRenderer, Protocol):
    """What a stream shows of changes."""


class ChangeStream(EventStream):
    """The changes after a cursor."""

    follows_log = True

    def __init__(
        self, streams: EventStreams, source: ChangeStreamSource, credentials: Credentials, cursor: int
    ) -> None:
        super().__init__(streams, source, credentials)
        self._source = source
        # the second is the one that the client has
        self._cursor = self._sent_cursor = cursor

    async def _news(self) -> bytes | None:
        recent = self._streams.changes
        if batch := recent.after(self._cursor):
            return await self._render(batch)
        if not recent.may_follow(self._cursor):
            return None
        # one that is far behind, or opens many streams, leaves threads for others
        async with self._streams.turn(self.author):
            if self._error or self._streams.is_closed:
                return b""
            changes = await EVENT_READS.run(_read, self._cursor)
            return await self._render(ChangesToRender(self._cursor, changes)) if changes else None

    async def _render(self, batch: ChangesToRender) -> bytes:
        caller = self._caller
        chunk = await batch.render(self._source, caller)
        if not self._may_deliver(caller):
            return b""
        self._cursor = batch.end
        if chunk:
            self._sent_cursor = self._cursor
        return chunk

    def _heartbeat(self) -> bytes:
        """Return what clients ignore. It has the cursor if only hidden changes have passed: it must not expire."""
        if self._sent_cursor == self._cursor:
            return super()._heartbeat()
        self._sent_cursor = self._cursor
        return b"id: %d\n\n" % self._cursor


@renewed_connections()
def _read(cursor: int) -> Sequence[LoggedChange]:
    return change_log.after(cursor, CHANGES_PER_READ)
