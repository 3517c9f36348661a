"""The resources of a process during the soak: memory, descriptors, threads and connections to Orthanc (Linux only)."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

MEGABYTE = 1_000_000
_INTERVAL = 1.0  # seconds
_ESTABLISHED = "01"  # Linux, include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Held:
    """The resources of a process at one moment; memory is resident, in bytes."""

    at: float
    memory: int
    descriptors: int
    threads: int
    connections: int

    def as_json(self) -> dict[str, float]:
        """Return the sample as JSON."""
        return asdict(self)


def held(pid: int, orthanc_port: int) -> Held:
    """Return the current resources of a process."""
    process = Path("/proc", str(pid))
    pages = int((process / "statm").read_text().split()[1])
    return Held(
        at=time.monotonic(),
        memory=pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors=_entries(process / "fd"),
        threads=_entries(process / "task"),
        connections=len(established(pid, orthanc_port)),
    )


def _entries(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def established(pid: int, port: int) -> set[str]:
    """Return the inodes of a process's established connections to a local port (proc(5), /proc/net/tcp)."""
    process = Path("/proc", str(pid))
    sockets = set()
    for descriptor in (process / "fd").iterdir():
        # may be closed by now
        with suppress(OSError):
            sockets.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    to_port = {fields[9] for fields in lines if fields[2].endswith(f":{port:04X}") and fields[3] == _ESTABLISHED}
    return to_port & sockets


# connections of the gateway that follow Orthanc's changes
FOLLOWING = 1


def settled(take: Callable[[], Held], most: float = 15.0) -> Held:
    """Return the resources once they no longer change, or after a number of seconds."""
    deadline = time.monotonic() + most
    before = take()
    while True:
        time.sleep(2)
        now = take()
        is_same = now.threads == before.threads and abs(now.descriptors - before.descriptors) <= FOLLOWING
        if (is_same and now.connections <= FOLLOWING) or time.monotonic() > deadline:
            return now
        before = now


class Sampler:
    """Take a sample each second during a `with` block."""

    def __init__(self, take: Callable[[], Held]) -> None:
        self._take = take
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Held] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(_INTERVAL):
            # the process has exited; its clients report that better
            with suppress(OSError):
                self.samples.append(self._take())


def growth(samples: Sequence[Held]) -> float:
    """Return the growth of memory in bytes per minute, by a line through the samples."""
    if len(samples) < 3:
        return 0.0
    return statistics.linear_regression([one.at for one in samples], [one.memory for one in samples]).slope * 60
