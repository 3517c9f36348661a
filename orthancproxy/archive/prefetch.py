"""Prefetches the lists below a resource while the resource itself is fetched, if its id is known."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Self

from orthancproxy.archive.records import Resource
from orthancproxy.threads import PREFETCH, Pool

Fetch = Callable[[], list[Resource]]


class Prefetch:
    """Fetches lists in threads from the start of a `with` block. None is running after its end."""

    def __init__(self, fetches: Mapping[Hashable, Fetch] = {}, pool: Pool = PREFETCH) -> None:
        self._fetches = fetches
        self._pool = pool
        self._started: dict[Hashable, Future[list[Resource]]] = {}

    def __enter__(self) -> Self:
        self._started = {key: self._pool.submit(fetch) for key, fetch in self._fetches.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        wait([future for future in self._started.values() if not future.cancel()])

    def result(self, key: Hashable, fetch: Fetch) -> list[Resource]:
        """Return the list, or raise the exception of its fetch. A list that was not started is fetched now."""
        started = self._started.pop(key, None)
        return fetch() if started is None or started.cancel() else started.result()
