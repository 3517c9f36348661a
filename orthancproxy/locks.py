"""Locks that processes share; those of one computer by a file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Protocol

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, which has one worker at most and no such locks
    fcntl = None


class SharedLock(Protocol):
    """A lock with any number of holders, or one exclusive holder. A waiting exclusive one is next."""

    def hold(self, *, exclusive: bool) -> AbstractContextManager[None]:
        """Wait for the lock, and hold it within the block."""


class FileLock:
    """A lock in the folder for temporary files, which all processes of this user share that have the same folder."""

    def __init__(self, name: str) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = f"orthanc-gateway-{user}-{sha256(name.encode()).hexdigest()[:16]}"
        self._queue, self._work = (Path(tempfile.gettempdir()) / f"{name}.{lock}" for lock in ("queue", "work"))

    @contextmanager
    def hold(self, *, exclusive: bool) -> Iterator[None]:
        """Wait for the lock, and hold it within the block."""
        if fcntl is None:
            yield
            return
        mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        with ExitStack() as work:
            # who waits for the exclusive lock holds the queue, so that no further holder comes first
            with ExitStack() as queue:
                _lock(queue, self._queue, mode)
                _lock(work, self._work, mode)
            yield


def _lock(held: ExitStack, path: Path, mode: int) -> None:
    assert fcntl is not None  # noqa: S101 - tells mypy
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            # go on without the lock, since the alternative is to reject every request
            return
        fcntl.flock(descriptor, mode)
        # 0 if a holder removed the file meanwhile: a lock on it excludes no one who opens the path now
        if os.fstat(descriptor).st_nlink:
            held.callback(_unlock, descriptor, path)
            return
        os.close(descriptor)


def _unlock(descriptor: int, path: Path) -> None:
    """Release a lock; the last holder removes the file."""
    assert fcntl is not None  # noqa: S101 - tells mypy
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # only an exclusive holder of the file at the path may remove it
        if os.fstat(descriptor).st_nlink:
            path.unlink()
    except OSError:
        # another call holds the lock, and removes the file
        pass
    finally:
        os.close(descriptor)
