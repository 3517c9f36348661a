"""Parallel work on files."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import closing

from pytest_django import Settings

from orthancproxy.orthanc.call_slots import caller_scope, current_caller
from orthancproxy.threads import Pool
from orthancproxy.uploads.workers import Turns, in_parallel
from tests.waiting import wait_until


def test_results_have_the_order_of_the_items(settings: Settings) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 4

    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3))
        return item

    assert list(in_parallel(work, range(40))) == list(range(40))


def test_no_call_runs_once_the_generator_is_closed(settings: Settings) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 4
    begun: list[int] = []
    ended: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.1 * item)
        ended.append(item)
        return item

    results = in_parallel(work, range(100))
    assert next(results) == 0
    results.close()
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 10


def test_callers_take_turns(settings: Settings) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 1
    may_go_on, submitted, done = threading.Event(), list[str](), list[str]()

    def work(item: str) -> str:
        assert may_go_on.wait(10)
        done.append(item)
        return current_caller()

    def noting(items: list[str]) -> Iterator[str]:
        for item in items:
            yield item
            # the next one is asked for when this one has been submitted
            submitted.append(item)

    def upload(caller: str, items: list[str]) -> list[str]:
        with caller_scope(caller), closing(in_parallel(work, noting(items))) as results:
            return list(results)

    uploads = [threading.Thread(target=upload, args=("busy", [f"busy {number}"] * 4)) for number in range(18)]
    for one in uploads:
        one.start()
    wait_until(lambda: len(submitted) == 18)
    light = threading.Thread(target=upload, args=("light", ["light"]))
    light.start()
    wait_until(lambda: "light" in submitted)
    may_go_on.set()
    for one in (light, *uploads):
        one.join(10)
    assert len(done) == 18 * 4 + 1
    assert done.index("light") < 4


def test_each_caller_has_one_piece_done_in_turn() -> None:
    turns = Turns(Pool("turns", 1, "a test"))
    has_begun, may_go_on, done = threading.Event(), threading.Event(), list[str]()

    def work(item: str) -> None:
        has_begun.set()
        assert may_go_on.wait(10)
        done.append(item)

    turns.submit(work, "first")
    assert has_begun.wait(10)
    submitted = []
    for caller in "abc":
        with caller_scope(caller):
            submitted += [turns.submit(work, f"{caller}{number}") for number in (1, 2, 3)]
    may_go_on.set()
    wait(submitted, 10)
    assert done == ["first", "a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"]


def test_work_runs_as_its_caller(settings: Settings) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 2
    found: dict[str, set[str]] = {}

    def upload(caller: str) -> None:
        with caller_scope(caller):
            found[caller] = set(in_parallel(lambda _: current_caller(), range(100)))

    uploads = [threading.Thread(target=upload, args=(caller,)) for caller in "abc"]
    for one in uploads:
        one.start()
    for one in uploads:
        one.join(10)
    assert found == {caller: {caller} for caller in "abc"}
