"""The wait for a slow client, and its end. uvicorn's own timeout is for connections between two requests only.

Without it, each slow client would hold a descriptor, and memory, for as long as it likes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from orthancproxy.conf import conf

MIN_BYTES_PER_SECOND = 500  # that a client sends of a body, or reads of a response (as Apache's RequestReadTimeout)
CHECKS_PER_TIMEOUT = 4


@dataclass(frozen=True, slots=True)
class Awaited:
    """What the gateway awaits of the client of a connection: to send a head or a body, or to read a response.

    `number` tells one head, body or pause of a response from the next.
    """

    part: Literal["head", "body", "response"]
    number: int


class SlowClientTimer:
    """Calls `time_out` if the client of a connection is too slow.

    A request head must be complete within ORTHANC_CLIENT_TIMEOUT seconds. Of a body or a response, that many seconds'
    worth of MIN_BYTES_PER_SECOND must pass in that time. The time that the gateway itself takes does not count.

    `progress` returns what is awaited of the client, None if nothing, and a count of bytes that grows with what passes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        progress: Callable[[], tuple[Awaited | None, int]],
        time_out: Callable[[Awaited], None],
    ) -> None:
        self._loop = loop
        self._progress = progress
        self._time_out = time_out
        self._awaited: Awaited | None = None
        self._since = 0.0
        self._counted = 0  # bytes, when this wait began, or when enough of them had passed
        self._check_later()

    def cancel(self) -> None:
        """Check no more: the connection has ended."""
        self._next_check.cancel()

    def _check_later(self) -> None:
        self._next_check = self._loop.call_later(conf.ORTHANC_CLIENT_TIMEOUT / CHECKS_PER_TIMEOUT, self._check)

    def _check(self) -> None:
        timeout, now = conf.ORTHANC_CLIENT_TIMEOUT, self._loop.time()
        awaited, count = self._progress()
        if awaited is None or awaited != self._awaited or count - self._counted >= MIN_BYTES_PER_SECOND * timeout:
            self._awaited, self._since, self._counted = awaited, now, count
        elif now - self._since >= timeout:
            self._time_out(awaited)
            return
        self._check_later()
