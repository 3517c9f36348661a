"""Steps in the background are repeated by one process, whatever fails."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orthancproxy.errors import ArchiveUnavailable
from orthancproxy.follower.follower import LEASE_DURATION, Follower, LeaseHolder, Step
from tests.log_capture import logged
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def start() -> Iterator[Callable[..., Follower]]:
    started = []

    def start(*steps: Step, seconds: float = 0.01, is_needed: Callable[[], bool] | None = None) -> Follower:
        needed = dict.fromkeys(steps, is_needed) if is_needed else {}
        started.append(Follower(steps, LeaseHolder("work"), seconds, needed))
        started[-1].start()
        return started[-1]

    yield start
    for follower in started:
        follower.stop()


def test_one_process_holds_a_lease_until_it_stops_extending_it() -> None:
    clock = Clock()
    first, second, other = (LeaseHolder(name, clock) for name in ("work", "work", "other work"))
    assert first.take()
    assert not second.take()
    assert other.take()
    clock.now += LEASE_DURATION - timedelta(seconds=1)
    assert first.take()
    clock.now += LEASE_DURATION - timedelta(seconds=1)
    assert not second.take()
    clock.now += timedelta(seconds=2)
    assert second.take()
    assert not first.take()
    second.release()
    assert first.take()


class CountingStep:
    def __init__(self) -> None:
        self.repetitions = 0

    def __call__(self) -> None:
        self.repetitions += 1


def test_steps_are_repeated_in_one_process_and_then_in_the_next(start: Callable[..., Follower]) -> None:
    of_first, of_second = CountingStep(), CountingStep()
    first = start(of_first)
    wait_until(lambda: of_first.repetitions)
    start(of_second)
    wait_until(lambda: of_first.repetitions > 20)
    assert not of_second.repetitions
    first.stop()
    wait_until(lambda: of_second.repetitions)


def test_a_process_that_waits_for_a_lease_does_not_write() -> None:
    first, second = LeaseHolder("work"), LeaseHolder("work")
    assert first.take()
    with CaptureQueriesContext(connection) as queries:
        assert not second.take()
    assert all(query["sql"].startswith("SELECT") for query in queries)


def test_a_step_that_fails_is_repeated_less_often_keeps_no_others_from_running_and_is_logged_once(
    start: Callable[..., Follower],
) -> None:
    failures = CountingStep()

    def fail() -> None:
        failures()
        raise ArchiveUnavailable("Orthanc is not available.")

    other = CountingStep()
    with logged() as lines:
        start(fail, other)
        wait_until(lambda: other.repetitions > 2 * failures.repetitions > 10)
    assert [line["level"] for line in lines] == ["warning"]


def test_a_step_that_is_needed_only_at_times_can_be_hurried_and_is_repeated_at_once_while_it_has_more_to_do(
    start: Callable[..., Follower],
) -> None:
    count = CountingStep()

    def step() -> bool:
        count()
        return count.repetitions < 3

    follower = start(step, seconds=3600, is_needed=lambda: True)
    follower.hurry()
    wait_until(lambda: count.repetitions == 3)
    follower.hurry()
    wait_until(lambda: count.repetitions == 4)
    # it does not wait for its next step either
    follower.stop()
