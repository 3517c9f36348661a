"""Sources of bytes with random access from several threads."""

import errno
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO, Protocol, cast

from orthancproxy.errors import InsufficientStorage

CHUNK_BYTES = 512 * 1024
MAX_IN_MEMORY_BYTES = 4 * 1024**2


class Source(Protocol):
    """A fixed number of bytes."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end."""

    def close(self) -> None:
        """Release the resources. The source is not read any more."""


class InMemory:
    """A source of bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end."""
        return self.data[offset : offset + length]

    def close(self) -> None:
        """Do nothing: there is no file to close."""


class FileRange:
    """A part of an open file, which it keeps open."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file = file
        self._descriptor = file.fileno()
        self._offset = offset
        self.size = size

    def close(self) -> None:
        """Close the file, for all of its ranges. No thread reads from it any more."""
        self._file.close()

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end."""
        length = max(min(length, self.size - offset), 0)
        return os.pread(self._descriptor, length, self._offset + offset)


def load_if_small(source: Source) -> Source:
    """Return a small source as bytes in memory, since it is read several times, and a large one as it is."""
    return InMemory(source.read_at(0, source.size)) if source.size <= MAX_IN_MEMORY_BYTES else source


def open_source(source: Source) -> BinaryIO:
    """Return a file object at the start of the source."""
    if isinstance(source, InMemory):
        return io.BytesIO(source.data)
    return cast("BinaryIO", io.BufferedReader(_Raw(source), 64 * 1024))


def chunks(source: Source, offset: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
    """Iterate over a source, or a part of it, in chunks."""
    end = source.size if length is None else offset + length
    if isinstance(source, InMemory):
        yield memoryview(source.data)[offset:end]
        return
    while offset < end and (chunk := source.read_at(offset, min(CHUNK_BYTES, end - offset))):
        offset += len(chunk)
        yield chunk


@contextmanager
def disk_full_as_error() -> Iterator[None]:
    """Raise InsufficientStorage if the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InsufficientStorage from error


@contextmanager
def open_spool() -> Iterator[IO[bytes]]:
    """Yield a temporary file that stays open after the block, unless the block fails: it takes no space then."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115  whoever reads it closes it
    try:
        yield spool
    except BaseException:
        with suppress(OSError):
            spool.close()
        raise


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write to an unbuffered file, which on an almost full disk takes a part without an error."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


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
