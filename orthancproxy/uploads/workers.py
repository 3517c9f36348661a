"""Parallel work on the files of an upload."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from itertools import islice
from typing import TypeVar

from orthancproxy.conf import conf
from orthancproxy.threads import upload_files

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Yield results in the order of the items, which ORTHANC_UPLOAD_THREADS threads of the process compute.

    When the generator is closed, no call is running any more.
    """
    threads = conf.ORTHANC_UPLOAD_THREADS
    pool = upload_files(threads)
    rest = iter(items)
    begun: deque[Future[Result]] = deque()

    def begin(count: int) -> None:
        begun.extend(pool.submit(function, item) for item in islice(rest, count))

    try:
        # as many again are queued, so that no thread waits for the next item
        begin(2 * threads)
        while begun:
            result = begun.popleft().result()
            begin(1)
            yield result
    finally:
        wait([future for future in begun if not future.cancel()])
