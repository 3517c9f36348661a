"""A file of 50 MB through the gateway, alone and behind nginx, which gets it from Orthanc (X-Accel-Redirect)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.cpu import cpu_seconds
from benchmarks.measuring import BenchmarkError, Row, at_most, duration, in_turn, ratio, repeatedly
from benchmarks.options import Options
from benchmarks.reading import Reader
from benchmarks.servers import Archive
from benchmarks.slices import multi_frames
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.nginx import ACCEL_REDIRECT, nginx_before
from orthancproxy.sandbox.orthanc import LocalOrthanc

FRAMES = 95  # of 0.5 MB
REPETITIONS = 5  # in each round; the median counts


def rows(options: Options) -> Iterator[Row]:
    """Return the rows on a download: ratios of its duration, and the CPU time of gateway and nginx."""
    [file] = multi_frames(1, FRAMES)
    settings = {"ORTHANC_ACCEL_REDIRECT": ACCEL_REDIRECT, "ORTHANC_TRUST_FORWARDED": "true"}
    with (
        tempfile.TemporaryDirectory(prefix="gateway-") as folder,
        LocalOrthanc() as orthanc,
        serving(orthanc.base_url, Path(folder), settings=settings) as gateway,
        nginx_before(gateway, orthanc.base_url) as nginx,
    ):
        Archive(orthanc).post([b"".join(file.chunks())], threads=1)
        with Reader(orthanc.base_url) as reader:
            [instance] = reader.get("/instances")
        cpu: dict[str, list[float]] = {"gateway": [], "nginx": []}

        def fetch(address: str, path: str) -> None:
            # a new connection each time: Orthanc may have closed the old one
            with Reader(address) as reader:
                if (size := reader.size(path)) != file.size:
                    raise BenchmarkError(f"{path} gave {size} bytes, not {file.size}.")

        def through(name: str, address: str, *processes: int) -> Callable[[], float]:
            path = f"/api/orthanc/instances/{instance}/file/"
            fetch(address, path)

            def side() -> float:
                before = sum(map(cpu_seconds, processes))
                seconds = repeatedly(REPETITIONS, lambda: fetch(address, path))
                cpu[name].append((sum(map(cpu_seconds, processes)) - before) / REPETITIONS)
                return seconds

            return side

        size = f"{file.size / 1e6:.0f} MB"
        measured = in_turn(
            f"download of {size}",
            (
                ("gateway", through("gateway", gateway.address, gateway.pid)),
                ("nginx", through("nginx", nginx.address, gateway.pid, nginx.pid, *_workers(nginx.pid))),
                (
                    "Orthanc",
                    lambda: repeatedly(REPETITIONS, lambda: fetch(orthanc.base_url, f"/instances/{instance}/file")),
                ),
            ),
            options.rounds,
        )
        straight = measured[2]
        for name, seconds, goal in (("gateway", measured[0], 1.5), ("nginx and gateway", measured[1], 1.1)):
            parts = (duration(name, seconds), duration("Orthanc", straight))
            yield Row(
                f"download of {size}, {name} / straight from Orthanc", ratio(seconds, straight), parts, at_most(goal)
            )
        for name, used in (("gateway", cpu["gateway"]), ("nginx and gateway", cpu["nginx"])):
            yield Row(f"download of {size}, CPU time of {name}", duration("CPU", used))


def _workers(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
