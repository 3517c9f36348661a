"""A light caller's upload of one file, alone and while another caller uploads thousands."""

from __future__ import annotations

import statistics
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from benchmarks import contents
from benchmarks.measuring import BenchmarkError, Row, at_most, duration, ratio, tell, timed
from benchmarks.multipart import UploadRequest, in_memory, new_upload_key, send, upload_request
from benchmarks.options import Options
from benchmarks.slices import DicomFile
from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

REQUESTS = 18  # at once
FILES = 400  # in each
TIMES = 30  # of the single file in each round, on each side
GOAL = at_most(12)  # times as long
_LIGHT, _BUSY = "10.0.0.2", "10.0.0.1"


def rows(options: Options) -> Iterator[Row]:
    """Return the row on the median time of the light caller's upload."""
    name = f"upload of one file while another caller has {REQUESTS} uploads of {FILES} files"
    files = [_file(number, encode(one)) for number, one in enumerate(islice(contents.files(0), FILES))]
    with (
        LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc,
        tempfile.TemporaryDirectory(prefix="gateway-") as folder,
        # callers without credentials are told apart by their addresses
        serving(orthanc.base_url, Path(folder), settings={"ORTHANC_TRUST_FORWARDED": "true"}) as gateway,
    ):
        alone, crowded = [], []
        for number in range(options.rounds):
            alone.append(_median(gateway, files[:1]))
            with ThreadPoolExecutor(REQUESTS) as pool:
                stop = threading.Event()
                crowd = [pool.submit(_upload_until, stop, gateway, files) for _ in range(REQUESTS)]
                try:
                    crowded.append(_median(gateway, files[:1]))
                finally:
                    stop.set()
                stored = FILES * sum(future.result() for future in crowd)
            tell(
                f"{name}, round {number + 1} of {options.rounds}: {1000 * crowded[-1]:.0f} ms, "
                f"alone {1000 * alone[-1]:.0f} ms; the other caller stored {stored} files"
            )
    yield Row(name, ratio(crowded, alone), (duration("beside", crowded), duration("alone", alone)), GOAL)


def _median(gateway: LocalGateway, files: Sequence[DicomFile]) -> float:
    return statistics.median(timed(lambda: send(gateway, _request(files), _LIGHT)) for _ in range(TIMES))


def _upload_until(stop: threading.Event, gateway: LocalGateway, files: Sequence[DicomFile]) -> int:
    """Repeat the upload; return how often all files were stored. Those that wait too long are rejected."""
    stored = 0
    while not stop.is_set():
        try:
            send(gateway, _request(files), _BUSY)
        except BenchmarkError:
            continue
        stored += 1
    return stored


def _request(files: Sequence[DicomFile]) -> UploadRequest:
    """Return an upload with a new key, so that every file has to be rewritten and stored."""
    return in_memory(upload_request(files, new_upload_key()))


def _file(number: int, content: bytes) -> DicomFile:
    return DicomFile(f"IM{number:05d}.dcm", "CT", len(content), lambda: iter([content]))
