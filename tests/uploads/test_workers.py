"""Parallel work on files."""

import threading
import time
from contextlib import closing

from pytest_django import Settings

from orthancproxy.orthanc.call_slots import caller_scope, current_caller
from orthancproxy.uploads.workers import in_parallel


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
    may_go_on, done = threading.Event(), list[str]()

    def work(item: str) -> str:
        assert may_go_on.wait(10)
        done.append(item)
        return current_caller()

    def upload(caller: str, items: list[str]) -> list[str]:
        with caller_scope(caller), closing(in_parallel(work, items)) as results:
            return list(results)

    uploads = [threading.Thread(target=upload, args=("busy", [f"busy {number}"] * 4)) for number in range(18)]
    for one in uploads:
        one.start()
        time.sleep(0.01)
    light = threading.Thread(target=upload, args=("light", ["light"]))
    light.start()
    time.sleep(0.1)
    may_go_on.set()
    for one in (light, *uploads):
        one.join(10)
    assert len(done) == 18 * 4 + 1
    assert done.index("light") < 4


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
