"""Mutual exclusion of rendering and deleting, which deadlock Orthanc 1.12.7 when they run at the same time.

Orthanc then answers no request until it is restarted. This happens within seconds if six clients store and delete while
six others view images (1.10.1 is not affected). Clients that delete without the gateway can still cause the deadlock.
"""

from contextlib import AbstractContextManager, nullcontext

from orthancproxy.locks import SharedLock
from orthancproxy.orthanc.endpoints import BULK_DELETE, DELETE, CallKind, Endpoint


class RenderDeleteLock:
    """A shared lock for rendering and an exclusive one for deleting."""

    def __init__(self, lock: SharedLock) -> None:
        self._lock = lock

    def hold(self, endpoint: Endpoint) -> AbstractContextManager[None]:
        """Wait until the call is allowed, and exclude conflicting calls within the block."""
        is_deletion = endpoint in (DELETE, BULK_DELETE)
        if endpoint.kind is CallKind.RENDERING or is_deletion:
            return self._lock.hold(exclusive=is_deletion)
        return nullcontext()
