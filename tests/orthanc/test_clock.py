"""What is known of Orthanc's clock is never more than it shows."""

import pytest

from orthancproxy.errors import ArchiveRejected, ArchiveTimeout, NotFound
from orthancproxy.orthanc.clock import OrthancClock, seconds_of
from tests.manual_clock import ManualClock

NOON = seconds_of("20261128T120000") or 0


def started_clock() -> ManualClock:
    """A clock of the gateway that begins at 0."""
    clock = ManualClock()
    clock.now = 0
    return clock


class Server:
    """An Orthanc whose clock is ahead of the gateway's by some seconds, and shows whole ones."""

    def __init__(self, clock: ManualClock, ahead: float) -> None:
        self.clock = clock
        self.ahead = ahead
        self.calls = 0
        self.error: Exception | None = None

    @property
    def now(self) -> float:
        """The time of its clock, in seconds after noon."""
        return self.clock() + self.ahead

    def read(self) -> bytes:
        """The response of `/tools/now`, which takes 0.4 seconds."""
        self.calls += 1
        if self.error:
            raise self.error
        self.clock.now += 0.2
        seconds = int(self.now)
        self.clock.now += 0.2
        return f"20261128T12{seconds // 60:02d}{seconds % 60:02d}".encode()


def test_the_bound_is_below_orthancs_clock_and_not_far() -> None:
    clock = started_clock()
    for ahead in (0.0, 0.3, 0.99, 700.5):
        server = Server(clock, ahead)
        known = OrthancClock(server.read, clock)
        for _ in range(5):
            moment, now = known.moment(), server.now
            least = known.least_at(moment)
            assert least is not None
            assert now - 1.4 <= least - NOON <= now
            clock.now += 7.7


def test_orthancs_clock_is_read_again_after_a_minute_and_may_have_been_set_back() -> None:
    clock = started_clock()
    server = Server(clock, 100)
    known = OrthancClock(server.read, clock)
    known.least_at(known.moment())
    clock.now += 59
    known.least_at(known.moment())
    assert server.calls == 1
    server.ahead = 0
    clock.now += 2
    least = known.least_at(known.moment())
    assert server.calls == 2
    assert least is not None
    assert least - NOON <= server.now


@pytest.mark.parametrize("error", [ArchiveRejected("forbidden"), NotFound("no such route")])
def test_an_orthanc_that_does_not_tell_has_no_bound(error: Exception) -> None:
    server = Server(started_clock(), 0)
    server.error = error
    known = OrthancClock(server.read, server.clock)
    assert known.least_at(known.moment()) is None
    assert known.least_at(known.moment()) is None
    assert server.calls == 1


@pytest.mark.parametrize("timestamp", ["", "now", "20261128T126100", "\ufffd"])
def test_a_malformed_timestamp_is_no_time(timestamp: str) -> None:
    assert seconds_of(timestamp) is None


def test_a_request_that_gets_no_answer_in_time_lets_the_next_one_ask() -> None:
    server = Server(started_clock(), 100)
    known = OrthancClock(server.read, server.clock)
    server.error = ArchiveTimeout("late")
    assert known.least_at(known.moment()) is None
    server.error = None
    assert known.least_at(known.moment()) is not None
