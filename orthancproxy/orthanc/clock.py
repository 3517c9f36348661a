"""Orthanc's clock, by which it stamps every change of a study (`LastUpdate`)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from orthancproxy.errors import ArchiveError, ArchiveUnavailable, NotFound


class OrthancClock:
    """Tells what Orthanc's clock showed at a moment of this process, and never more. Thread-safe.

    `read` returns the response of `/tools/now`: UTC in whole seconds, such as `20261128T172640`. It is read again after
    `valid_seconds`: in 60, clocks drift apart by less than 0.03 s.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        monotonic: Callable[[], float] = time.monotonic,
        *,
        valid_seconds: float = 60.0,
    ) -> None:
        self._read = read
        self._valid_seconds = valid_seconds
        self._monotonic = monotonic
        self._learnt: tuple[float, float | None] | None = None

    def moment(self) -> float:
        """Return this moment, for `least_at`."""
        return self._monotonic()

    def least_at(self, moment: float) -> float | None:
        """Return a lower bound of Orthanc's clock at a moment, in seconds since 1970, a second or so below it.

        None if Orthanc does not tell.
        """
        learnt = self._learnt
        if learnt is None or self._monotonic() - learnt[0] > self._valid_seconds:
            try:
                seconds = self.shown()
            except ArchiveUnavailable:
                # the next request may learn more
                return None
            # after the response: Orthanc's clock shows as much or more by now
            learnt = self._learnt = self._monotonic(), seconds
        at, seconds = learnt
        return None if seconds is None else seconds + moment - at

    def shown(self) -> float | None:
        """Read what Orthanc's clock shows, in whole seconds since 1970. None if Orthanc does not tell.

        Raises ArchiveUnavailable.
        """
        try:
            return seconds_of(self._read().decode(errors="replace").strip())
        except ArchiveUnavailable:
            raise
        except (ArchiveError, NotFound):
            # a proxy in between may forbid the route
            return None


def seconds_of(timestamp: str) -> float | None:
    """Return a timestamp of Orthanc (UTC, `20261128T172640`) in seconds since 1970; None if it is malformed."""
    try:
        return datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
