"""Work on many files at once, and on no more of them than the settings allow."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import islice
from typing import TypeVar

from orthancproxy.conf import conf
from orthancproxy.threads import upload_files

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in the order of the items. At most ORTHANC_UPLOAD_THREADS of a worker process are in work."""
    threads = conf.ORTHANC_UPLOAD_THREADS
    pool = upload_files(threads)
    rest = iter(items)
    begun: deque[Future[Result]] = deque()

    def begin(count: int) -> None:
        begun.extend(pool.submit(function, item) for item in islice(rest, count))

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
