"""The deadline of a request, after which it makes no more calls to Orthanc."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from orthancproxy.errors import ClientDisconnected, LimitExceeded


class Deadline:
    """A point in time a given number of seconds from now. Thread-safe."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_abandoned = False
        self._at = time.monotonic() + seconds

    def abandon(self) -> None:
        """Expire now: the client has gone away."""
        self._is_abandoned = True

    def remaining(self) -> float:
        """Return the seconds left. Raises LimitExceeded if there are none, and ClientDisconnected after `abandon`."""
        if self._is_abandoned:
            raise ClientDisconnected("The client has disconnected.")
        remaining = self._at - time.monotonic()
        if remaining <= 0:
            raise LimitExceeded(
                f"The request takes longer than {self._seconds:g} seconds (server.limits.maxSeconds): request less at "
                "once."
            )
        return remaining


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[None]:
    """Apply the deadline to all calls within the block, including those in copies of its context."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def clip_to_deadline(seconds: float) -> float:
    """Return `seconds`, or fewer if the current deadline is nearer. Raises LimitExceeded if it has passed."""
    deadline = _current.get()
    return seconds if deadline is None else min(seconds, deadline.remaining())
