"""Several contents of the archive, read one after the other: the next is opened while the last of one is sent."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

from orthancproxy.archive.storage import Content
from orthancproxy.errors import NotFound
from orthancproxy.orthanc.call_slots import caller_scope, current_caller
from orthancproxy.threads import AHEAD, Pool

# each chunk of a response takes a thread for a moment: small ones are sent together
MIN_CHUNK_BYTES = 256 * 1024

MAX_SMALL_BYTES = 1024 * 1024

Opener = Callable[[], Content]


@dataclass(frozen=True, slots=True)
class NamedContent:
    """One of several contents, which is read once and closed. Its URL is `path`, below that of the DICOMweb service."""

    path: str
    content: Content


class Contents(Iterator[NamedContent]):
    """Contents to be read once, each before the next one is asked for. Those that are deleted meanwhile are left out.

    There is one call to Orthanc at a time, counted for the caller that made this object. `is_small`: there is one
    content, which is open and short. `close` may be called by any thread, once or more; it calls `also_close`.
    """

    def __init__(
        self,
        openers: Iterable[tuple[str, Opener]],
        also_close: Callable[[], None] = lambda: None,
        pool: Pool = AHEAD,
    ) -> None:
        self._openers = deque(openers)
        self._also_close = also_close
        self._pool = pool
        self._caller = current_caller()
        self._lock = threading.Lock()
        self._is_closed = False
        self._opened: list[Content] = []
        self.is_small = False
        self._next: tuple[str, Opener, Future[Content | None]] | None = None

    def open_first(self) -> None:
        """Open the first one now, so that its errors are raised before anything is sent."""
        if self._openers:
            path, opener = self._openers.popleft()
            opened: Future[Content | None] = Future()
            opened.set_result(first := self._open(opener))
            self._next = path, opener, opened
            self.is_small = not self._openers and first is not None and (first.length or inf) <= MAX_SMALL_BYTES

    def __next__(self) -> NamedContent:
        while not self._is_closed:
            self._open_ahead()
            if self._next is None:
                break
            (path, opener, ahead), self._next = self._next, None
            with suppress(NotFound):
                # where all threads are busy, this one opens it
                if content := self._open(opener) if ahead.cancel() else ahead.result():
                    return NamedContent(path, content)
        raise StopIteration

    def close(self) -> None:
        """Abort what is being read."""
        with self._lock:
            self._is_closed = True
            opened, self._opened = self._opened, []
        for content in opened:
            content.close()
        self._also_close()

    def _open_ahead(self) -> None:
        if self._next is None and self._openers:
            path, opener = self._openers.popleft()
            self._next = path, opener, self._pool.submit(self._open, opener)

    def _open(self, opener: Opener) -> Content | None:
        with caller_scope(self._caller):
            content = opener()
        with self._lock:
            if not self._is_closed:
                self._opened.append(content)
                return replace(content, chunks=self._chunks(content))
        content.close()
        return None

    def _chunks(self, content: Content) -> Iterator[bytes]:
        """Yield the chunks; before the last one, free the slot of this call and begin the next."""
        left = content.length
        chunks = iter(content)
        try:
            for chunk in chunks:
                if left is not None and (left := left - len(chunk)) <= 0:
                    rest = next(chunks, b"")
                    self._open_ahead()
                    chunk += rest
                yield chunk
        finally:
            with self._lock:
                self._opened = [one for one in self._opened if one is not content]
            content.close()


def coalesced(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield chunks of MIN_CHUNK_BYTES and more, but for the last one."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= MIN_CHUNK_BYTES:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)
