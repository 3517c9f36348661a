"""Where the bytes of a file are, to be read from any place and by several threads."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Protocol, cast

from orthancproxy.errors import LimitExceeded

CHUNK_BYTES = 512 * 1024  # bytes
MAX_IN_MEMORY_BYTES = 4 * 1024**2  # bytes


class Source(Protocol):
    """Bytes of a known number."""

    @property
    def size(self) -> int:
        """How many."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from an offset on; fewer where they end."""

    def close(self) -> None:
        """Free what they take. Nobody reads any more."""


class InMemory:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from an offset on; fewer where they end."""
        return self.data[offset : offset + length]

    def close(self) -> None:
        """Do nothing: memory frees itself."""


class FileRange:
    """A part of an open file of the operating system. It keeps the file open."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file = file
        self._descriptor = file.fileno()
        self._offset = offset
        self.size = size

    def close(self) -> None:
        """Close the file, and so every range of it. The threads that read from it have ended then."""
        self._file.close()

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from an offset on; fewer where they end."""
        length = max(min(length, self.size - offset), 0)
        return os.pread(self._descriptor, length, self._offset + offset)


def load_if_small(source: Source) -> Source:
    """The source itself where it is large, else its bytes in memory, which are read several times."""
    return InMemory(source.read_at(0, source.size)) if source.size <= MAX_IN_MEMORY_BYTES else source


def open_source(source: Source) -> BinaryIO:
    """The bytes as a file that is read from its beginning."""
    if isinstance(source, InMemory):
        return io.BytesIO(source.data)
    return cast("BinaryIO", io.BufferedReader(_Raw(source), 64 * 1024))


def pieces(source: Source, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
    """The bytes of a source, or of a part of it, piece by piece."""
    end = source.size if length is None else offset + length
    if isinstance(source, InMemory):
        yield memoryview(source.data)[offset:end]
        return
    while offset < end and (piece := source.read_at(offset, min(CHUNK_BYTES, end - offset))):
        offset += len(piece)
        yield piece


@contextmanager
def disk_full_as_limit() -> Iterator[None]:
    """Say that there is no room where a disk is full. Raises LimitExceeded."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise LimitExceeded("The gateway has no room for this upload now.") from error


class _Raw(io.RawIOBase):
    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._source.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
