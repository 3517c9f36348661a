"""How long one request may go on asking Orthanc: what it has not fetched by then is not fetched any more."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from orthancproxy.errors import LimitExceeded


class Deadline:
    """A moment, so many seconds from now. Safe to share between threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def bring_forward(self) -> None:
        """Let it be now: nobody waits for the answer any more."""
        self._at = 0.0

    def remaining(self) -> float:
        """Return the seconds until then. Raises LimitExceeded when there are none."""
        remaining = self._at - time.monotonic()
        if remaining <= 0:
            raise LimitExceeded(
                f"The request takes longer than {self._seconds:g} seconds (server.limits.maxSeconds): ask for less at "
                "once."
            )
        return remaining


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline_scope(deadline: Deadline) -> Iterator[None]:
    """Let the calls within the block, also those in copies of its context, be made before the deadline."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def clip_to_deadline(seconds: float) -> float:
    """Return the seconds, or those until the deadline of the current work. Raises LimitExceeded when it has passed."""
    deadline = _current.get()
    return seconds if deadline is None else min(seconds, deadline.remaining())
