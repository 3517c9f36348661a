"""The limit on passwords that are hashed at once: anyone can have passwords hashed, which takes a core."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orthancproxy.errors import GatewayUnavailable

# of each worker process; a hash takes a core 0.1 to 0.3 s (PBKDF2, 1,000,000 iterations)
MAX_HASHES_AT_ONCE = 1
# including those that wait, each of which occupies a thread
MAX_LOGINS_AT_ONCE = 8

_hashes = threading.BoundedSemaphore(MAX_HASHES_AT_ONCE)
logins = threading.BoundedSemaphore(MAX_LOGINS_AT_ONCE)


@contextmanager
def hashing() -> Iterator[None]:
    """Wait for one's turn to hash a password. Raises GatewayUnavailable if too many others wait."""
    if not logins.acquire(blocking=False):
        raise GatewayUnavailable("Too many passwords are being checked: try again in a moment.")
    try:
        with _hashes:
            yield
    finally:
        logins.release()
