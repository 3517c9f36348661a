"""Fetching what is below a resource while it is fetched itself: where its id is known, levels need not wait."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from types import TracebackType
from typing import Self

from orthancproxy.archive.records import Resource

Fetch = Callable[[], list[Resource]]

# lists at once, of all requests of this process: where all are taken, each request fetches its own by itself
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="ahead")


class Prefetch:
    """Lists that are fetched from the beginning of a `with` block; none is any more after its end."""

    def __init__(self, fetches: Mapping[Hashable, Fetch] = {}) -> None:
        self._fetches = fetches
        self._begun: dict[Hashable, Future[list[Resource]]] = {}

    def __enter__(self) -> Self:
        # each in a copy of the context, so that it has the deadline, and its calls are counted where the others are
        self._begun = {key: _THREADS.submit(copy_context().run, fetch) for key, fetch in self._fetches.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        wait([future for future in self._begun.values() if not future.cancel()])

    def result(self, key: Hashable, fetch: Fetch) -> list[Resource]:
        """Return the list, or raise what fetching it has raised; one that was not begun is fetched now."""
        begun = self._begun.pop(key, None)
        return fetch() if begun is None or begun.cancel() else begun.result()
