"""Orthanc draws and deletes in turns, since 1.12.7 comes to a standstill when it does both at once.

Two of its threads wait for each other then, the others for them, and it serves nobody until it is restarted: within
seconds where six clients store and delete while six look at pictures (1.10.1 goes on). The turns are kept among all
workers on this machine, by locks on files. What deletes past the gateway may still meet what it draws.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from orthancproxy.orthanc.endpoints import DELETE, FRAME_INT16, FRAME_RENDERED, FRAME_UINT16, Endpoint

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where there is one worker at the most, and no such locks
    fcntl = None

RENDERING_ENDPOINTS = frozenset({FRAME_RENDERED, FRAME_INT16, FRAME_UINT16})


class RenderDeleteLock:
    """The turns of one Orthanc, which its address names."""

    def __init__(self, base_url: str) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = f"orthanc-gateway-{user}-{sha256(base_url.encode()).hexdigest()[:16]}"
        self._queue, self._work = (Path(tempfile.gettempdir()) / f"{name}.{lock}" for lock in ("queue", "work"))

    @contextmanager
    def hold(self, endpoint: Endpoint) -> Iterator[None]:
        """Wait until a call can be made, and keep the others waiting that can't be made meanwhile."""
        if fcntl is None or (endpoint not in RENDERING_ENDPOINTS and endpoint != DELETE):
            yield
            return
        how = fcntl.LOCK_EX if endpoint == DELETE else fcntl.LOCK_SH
        with ExitStack() as work:
            # whoever waits for its turn to delete keeps the queue, so that no more begin to draw
            with ExitStack() as queue:
                _lock(queue, self._queue, how)
                _lock(work, self._work, how)
            yield


def _lock(held: ExitStack, path: Path, how: int) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        # where no file can be made, the other way to go on is not at all
        return
    held.callback(os.close, descriptor)
    assert fcntl is not None  # noqa: S101 - tells mypy
    fcntl.flock(descriptor, how)
