"""Ends connections whose client is too slow: they would cost a descriptor each, and memory, for as long as they like.

uvicorn has a time limit only for a connection that waits for another request.
"""

import asyncio
from abc import abstractmethod

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from orthancproxy.conf import conf

LEAST = 500  # bytes a second that a client sends of a body, or takes of an answer (as Apache's RequestReadTimeout)
LOOKS = 4  # within the time limit
TOO_SLOW = "The request did not arrive in time."


class TimedProtocol(HttpToolsProtocol):
    """One connection, which ends where nothing but its client keeps it waiting.

    A head must be complete within ORTHANC_CLIENT_TIMEOUT seconds, however it comes. Of a body or an answer, so many
    seconds' worth of bytes must pass in that time. What the gateway itself takes does not count.
    """

    _look: asyncio.TimerHandle | None = None
    _phase: tuple[str, int] | None = None
    _since = 0.0
    _mark = 0  # bytes, when this phase began, or when enough of them had passed
    _received = 0  # bytes of bodies
    _heads = 0
    _pauses = 0

    @abstractmethod
    def _refuse(self, status: int, detail: str) -> None:
        """Answer with an error, and close the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at it now and then."""
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        if self._look:
            self._look.cancel()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Go on to the body."""
        self._heads += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what came."""
        self._received += len(body)
        super().on_body(body)

    def pause_writing(self) -> None:
        """Wait for the client to take what was written."""
        self._pauses += 1
        super().pause_writing()

    def _look_later(self) -> None:
        self._look = self.loop.call_later(conf.ORTHANC_CLIENT_TIMEOUT / LOOKS, self._look_now)

    def _look_now(self) -> None:
        limit, now = conf.ORTHANC_CLIENT_TIMEOUT, self.loop.time()
        phase, passed = self._waiting_for()
        if phase is None or phase != self._phase or passed - self._mark >= LEAST * limit:
            self._phase, self._since, self._mark = phase, now, passed
        elif now - self._since >= limit:
            self._give_up(phase[0])
            return
        self._look_later()

    def _waiting_for(self) -> tuple[tuple[str, int] | None, int]:
        """What the client is waited for, if it is, and how many bytes of that have passed."""
        if self.flow.write_paused:
            # nothing is written meanwhile: what is no longer there was taken
            return ("answer", self._pauses), -self.transport.get_write_buffer_size()
        if self.timeout_keep_alive_task is not None or self.flow.read_paused:
            return None, 0
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return ("head", self._heads), 0
        return (("body", self._heads), self._received) if cycle.more_body else (None, 0)

    def _give_up(self, waited_for: str) -> None:
        if waited_for == "head" or (waited_for == "body" and not self.cycle.response_started):
            self._refuse(408, TOO_SLOW)
        else:
            # it would wait for the client to take what is left
            self.transport.abort()
