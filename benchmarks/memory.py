"""The memory that a large upload adds to the gateway's process, above the idle process (Linux only)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, tell, timed
from benchmarks.multipart import new_upload_key, send, upload_request
from benchmarks.options import Options
from benchmarks.servers import Archive, gateway_before
from benchmarks.slices import DicomFile, ct_slices, multi_frames
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

SLICES = 4_000  # of 0.5 MB
MULTI_FRAMES = 4
FRAMES = 1_024  # in each of them; 512 MiB
WARM_UP_SLICES = 10
GOAL = at_most(250)  # MB
_MEGABYTE = 1_000_000
_SAMPLING_INTERVAL = 0.01  # seconds
_RESET_PEAK = "5"  # proc(5), /proc/PID/clear_refs


def rows(options: Options) -> Iterator[Row]:
    """Return the rows on the memory of uploads."""
    uploads: dict[str, Callable[[], Sequence[DicomFile]]] = {
        f"memory, upload of {SLICES:,} slices of 0.5 MB": lambda: list(ct_slices(SLICES)),
        f"memory, upload of {MULTI_FRAMES} files of 512 MB": lambda: list(multi_frames(MULTI_FRAMES, FRAMES)),
    }
    with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc:
        for name, files in uploads.items():
            measured = [_measure(name, orthanc, options.upload_threads, files()) for _ in range(options.memory_rounds)]
            above, idle, seconds = (tuple(values) for values in zip(*measured, strict=True))
            parts = (Quantity("idle", "MB", idle), Quantity("upload", "s", seconds))
            yield Row(name, Quantity("above idle", "MB", above), parts, GOAL)


def _measure(
    name: str, orthanc: LocalOrthanc, upload_threads: int, files: Sequence[DicomFile]
) -> tuple[float, float, float]:
    """Return the memory above idle and the idle memory (MB), and the duration of the upload (seconds).

    The gateway is new each time: memory kept from an earlier upload would hide the peak.
    """
    archive = Archive(orthanc)
    archive.empty()
    with gateway_before(orthanc, upload_threads) as gateway:
        send(gateway, upload_request(list(ct_slices(WARM_UP_SLICES)), new_upload_key()))
        archive.empty()
        request = upload_request(files, new_upload_key())
        with PeakMemory(gateway.pid) as memory:
            seconds = timed(lambda: send(gateway, request))
    archive.expect(len(files))
    archive.empty()
    above = (memory.peak - memory.before) / _MEGABYTE
    tell(f"{name}: {above:.0f} MB above {memory.before / _MEGABYTE:.0f} MB, in {seconds:.1f} s")
    return above, memory.before / _MEGABYTE, seconds


class PeakMemory:
    """The resident memory of a process at the start of a `with` block, and its peak within the block, both in bytes.

    The peak is the kernel's if it can be reset, otherwise the maximum of many samples.
    """

    def __init__(self, pid: int) -> None:
        self._process = Path("/proc", str(pid))
        self._is_over = threading.Event()
        self._sampler: threading.Thread | None = None
        self.before = 0
        self.peak = 0

    def __enter__(self) -> Self:
        self.before = self.peak = self._read("VmRSS")
        if not self._reset_peak():
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._sampler:
            self._sampler.join()
        elif kind is None:
            self.peak = self._read("VmHWM")

    def _reset_peak(self) -> bool:
        try:
            (self._process / "clear_refs").write_text(_RESET_PEAK)
        except OSError:
            return False
        return True

    def _sample(self) -> None:
        while not self._is_over.is_set():
            try:
                self.peak = max(self.peak, self._read("VmRSS"))
            except BenchmarkError:
                # the process has exited; its client reports that better
                return
            time.sleep(_SAMPLING_INTERVAL)

    def _read(self, field: str) -> int:
        return _bytes(self._process, field)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return _bytes(Path("/proc", str(pid)), "VmRSS")


def _bytes(process: Path, field: str) -> int:
    try:
        status = (process / "status").read_text()
    except OSError as error:
        raise BenchmarkError("Without Linux' /proc, or the gateway's process in it, no memory is measured.") from error
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.removesuffix("kB")) * 1024
    raise BenchmarkError(f"The kernel does not report {field}.")
