"""Fetching what is below a resource while it is fetched itself: where its id is known, levels need not wait."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Self

from orthancproxy.archive.records import Resource
from orthancproxy.threads import PREFETCH, Pool

Fetch = Callable[[], list[Resource]]


class Prefetch:
    """Lists that are fetched from the beginning of a `with` block; none is any more after its end."""

    def __init__(self, fetches: Mapping[Hashable, Fetch] = {}, pool: Pool = PREFETCH) -> None:
        self._fetches = fetches
        self._pool = pool
        self._begun: dict[Hashable, Future[list[Resource]]] = {}

    def __enter__(self) -> Self:
        self._begun = {key: self._pool.submit(fetch) for key, fetch in self._fetches.items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        wait([future for future in self._begun.values() if not future.cancel()])

    def result(self, key: Hashable, fetch: Fetch) -> list[Resource]:
        """Return the list, or raise what fetching it has raised; one that was not begun is fetched now."""
        begun = self._begun.pop(key, None)
        return fetch() if begun is None or begun.cancel() else begun.result()
