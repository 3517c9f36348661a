"""Waiting for what happens in other threads and processes."""

import asyncio
import time
from collections.abc import Callable

POLL_SECONDS = 0.01
MAX_SECONDS = 60.0  # only a failing test waits so long, or one on a busy machine


def wait_until(condition: Callable[[], object], seconds: float = MAX_SECONDS) -> None:
    """Return when the condition holds. Raises AssertionError if it does not within this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        time.sleep(POLL_SECONDS)


async def wait_until_async(condition: Callable[[], object], seconds: float = MAX_SECONDS) -> None:
    """Return when the condition holds, and let the event loop run meanwhile. Raises like `wait_until`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        await asyncio.sleep(POLL_SECONDS)
