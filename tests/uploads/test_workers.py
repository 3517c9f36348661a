"""Parallel work on files."""

import time

from pytest_django import Settings

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
