"""Work on many files at once, and on no more of them than the settings allow."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import cache
from itertools import islice
from typing import TypeVar

from orthancproxy.conf import conf

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in the order of the items. At most ORTHANC_UPLOAD_THREADS of a worker process are in work."""
    threads = conf.ORTHANC_UPLOAD_THREADS
    workers = _workers(threads)
    rest = iter(items)
    begun: deque[Future[Result]] = deque()

    def begin(count: int) -> None:
        # each in a copy of the context, so that its calls to Orthanc are counted where the others are
        begun.extend(workers.submit(copy_context().run, function, item) for item in islice(rest, count))

    try:
        # as many again wait, so that no thread does
        begin(2 * threads)
        while begun:
            result = begun.popleft().result()
            begin(1)
            yield result
    finally:
        # whoever stops early must not leave work behind that nobody knows of
        wait([future for future in begun if not future.cancel()])


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """One pool for all uploads of this process."""
    return ThreadPoolExecutor(threads, thread_name_prefix="upload")
