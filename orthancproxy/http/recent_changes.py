"""The newest changes of the log, once for all event streams of a process."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from orthancproxy.database import DATABASE_ERRORS, renewed_connections
from orthancproxy.feed.log import LoggedChange
from orthancproxy.feed.tail import Listener, tail
from orthancproxy.http.shared_renderings import ChangesToRender
from orthancproxy.threads import STREAMS

logger = logging.getLogger(__name__)

NOT_FOLLOWED, UNKNOWN = -1, inf
KEPT_BATCHES = 64  # that streams may lag behind without reading the log themselves


class RecentChanges:
    """What the tail of the log hands out, in batches that streams share. For one event loop, which `wake` runs in."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._batches: deque[ChangesToRender] = deque(maxlen=KEPT_BATCHES)
        # up to which the batches go; NOT_FOLLOWED yet, or UNKNOWN since the log's database was replaced
        self._position: float = NOT_FOLLOWED
        self._listener: Listener | None = None

    async def listen(self) -> None:
        """Begin to follow the log, unless that was done; an outage of the database is logged."""
        if self._listener:
            return
        loop = asyncio.get_running_loop()

        def listener(changes: Sequence[LoggedChange]) -> None:
            loop.call_soon_threadsafe(self._publish, changes)

        # also if it is cancelled before it knows that it listens
        self._listener = listener
        try:
            start = await STREAMS.run(renewed_connections()(tail.listen), listener)
        except DATABASE_ERRORS as error:
            logger.warning("event streams cannot follow the log of changes: %r", error)
            self._listener = None
            return
        if self._position == NOT_FOLLOWED:
            self._position = start
        self._wake()

    def leave(self) -> None:
        """Follow the log no more."""
        if self._listener:
            tail.leave(self._listener)

    def after(self, cursor: int) -> ChangesToRender | None:
        """Return the changes after a cursor, None if they are not among the batches that all streams share."""
        for batch in self._batches:
            if batch.start <= cursor < batch.end:
                return batch.after(cursor)
        return None

    def may_follow(self, cursor: int) -> bool:
        """Whether the log may have changes after a cursor."""
        return cursor < self._position

    def _publish(self, changes: Sequence[LoggedChange]) -> None:
        if changes:
            is_known = self._position not in (NOT_FOLLOWED, UNKNOWN)
            self._batches.append(ChangesToRender(int(self._position) if is_known else changes[0].cursor - 1, changes))
            self._position = changes[-1].cursor
        else:
            # each stream asks the log whether its cursor has expired
            self._batches.clear()
            self._position = UNKNOWN
        self._wake()
