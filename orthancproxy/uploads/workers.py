"""Parallel work on the files of uploads, whose callers take turns."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from contextvars import copy_context
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from orthancproxy.conf import conf
from orthancproxy.orthanc.call_slots import current_caller
from orthancproxy.threads import Pool, upload_files

Item = TypeVar("Item")
Result = TypeVar("Result")


class Turns:
    """Work for a pool, of which each caller that waits has one piece done in turn.

    In one queue, a file waited for 6 s behind another caller's 18 uploads.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = OrderedDict()

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Do the work in the current context when it is the current caller's turn."""
        future: Future[Result] = Future()
        context = copy_context()
        with self._lock:
            own = self._waiting.setdefault(current_caller(), deque())
            own.append((future, lambda: context.run(function, item)))
        self._pool.submit(self._do_next)
        return future

    def _do_next(self) -> None:
        with self._lock:
            caller, own = self._waiting.popitem(last=False)
            future, work = own.popleft()
            if own:
                self._waiting[caller] = own
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  the caller that waits for the result raises it
            future.set_exception(error)


@cache
def _turns(threads: int) -> Turns:
    return Turns(upload_files(threads))


def begin(function: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Begin work in one of the ORTHANC_UPLOAD_THREADS threads of the process, when it is the current caller's turn."""
    return _turns(conf.ORTHANC_UPLOAD_THREADS).submit(function, item)


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Yield results in the order of the items, which ORTHANC_UPLOAD_THREADS threads of the process compute.

    When the generator is closed, no call is running any more.
    """
    threads = conf.ORTHANC_UPLOAD_THREADS
    turns = _turns(threads)
    rest = iter(items)
    begun: deque[Future[Result]] = deque()

    def begin(count: int) -> None:
        begun.extend(turns.submit(function, item) for item in islice(rest, count))

    try:
        # as many again are queued, so that no thread waits for the next item
        begin(2 * threads)
        while begun:
            result = begun.popleft().result()
            begin(1)
            yield result
    finally:
        wait([future for future in begun if not future.cancel()])
