"""Waiting for what happens in other threads and processes."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

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


def wait_until_read(connection: socket.socket) -> None:
    """Return when the process at the other end of a connection on this machine has read all that was sent (IPv4)."""
    ends = [f":{address[1]:04X}" for address in (connection.getpeername(), connection.getsockname())]

    def is_read() -> bool:
        # proc(5), /proc/net/tcp: addresses, state, and the bytes that wait to be sent and to be read
        rows = [line.split()[1:5] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        [waiting] = [row[3] for row in rows if [row[0][8:], row[1][8:]] == ends]
        return int(waiting.partition(":")[2], 16) == 0

    wait_until(is_read)
