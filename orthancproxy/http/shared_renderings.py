"""Renders changes for event streams, once for all streams that show the same at about the same time."""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from orthancproxy.access.callers import Caller
from orthancproxy.database import renewed_connections
from orthancproxy.feed.log import LoggedChange
from orthancproxy.orthanc.call_slots import caller_scope
from orthancproxy.orthanc.deadline import deadline_scope
from orthancproxy.resolvers.changes import ChangeBatch
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.threads import EVENT_READS, EVENTS

SHARED_SECONDS = 1.0  # for which a rendering serves other streams


class ChangeRenderer(Protocol):
    """Renders changes as a stream shows them."""

    @property
    def context(self) -> RequestContext:
        """The request that began the stream."""

    @property
    def key(self) -> Hashable:
        """What is equal for sources that render the same, besides the caller's scope and actions."""

    @property
    def calls_orthanc(self) -> bool:
        """Whether it can take long to render."""

    def render(self, changes: Sequence[LoggedChange], caller: Caller) -> bytes:
        """Return the events of changes that the caller may see; runs in a thread."""


@dataclass(eq=False)
class ChangesToRender:
    """Changes that follow the cursor `start`. Streams that show the same at about the same time share a rendering."""

    start: int
    changes: Sequence[LoggedChange]
    _renderings: "dict[Hashable, asyncio.Future[bytes]]" = field(default_factory=dict)
    _shown: ChangeBatch | None = None

    @property
    def end(self) -> int:
        """The cursor of the last one."""
        return self.changes[-1].cursor

    def after(self, cursor: int) -> "ChangesToRender":
        """Return the part after a cursor."""
        if cursor == self.start:
            return self
        return ChangesToRender(cursor, [one for one in self.changes if one.cursor > cursor])

    async def render(self, source: ChangeRenderer, caller: Caller) -> bytes:
        """Return what a source shows of it now."""
        key = (source.key, caller.scope, caller.actions)
        if key not in self._renderings:
            if self._shown is None:
                self._shown = ChangeBatch(self.changes, source.context.client)
                asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget_shown)
            pool = EVENTS if source.calls_orthanc or caller.scope.labels else EVENT_READS
            rendering = asyncio.ensure_future(pool.run(_render, self._shown, source, caller))
            self._renderings[key] = rendering
            rendering.add_done_callback(partial(self._stop_sharing, key))
        # a client that disconnects must not cancel it for the others
        return await asyncio.shield(self._renderings[key])

    def _stop_sharing(self, key: Hashable, rendering: "asyncio.Future[bytes]") -> None:
        if rendering.cancelled() or rendering.exception():
            del self._renderings[key]
        else:
            rendering.get_loop().call_later(SHARED_SECONDS, self._renderings.pop, key)

    def _forget_shown(self) -> None:
        self._shown = None


@renewed_connections()
def _render(shown: ChangeBatch, source: ChangeRenderer, caller: Caller) -> bytes:
    context = source.context.for_delivery(caller)
    with deadline_scope(context.deadline), caller_scope(context.author.key):
        visible = shown.visible(caller.scope)
    return source.render(visible, caller) if visible else b""
