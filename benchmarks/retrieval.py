"""WADO-RS beside Orthanc's DICOMweb plugin: the metadata and the frames of a series; the memory of a study."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlsplit

from benchmarks import contents
from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, compare, tell, timed
from benchmarks.memory import PeakMemory
from benchmarks.options import Options
from benchmarks.reading import Reader
from benchmarks.servers import ORTHANC_TIMEOUT, Archive, dicomweb_plugin, gateway_before, session
from benchmarks.slices import FRAME_BYTES, ct_slices
from benchmarks.stored import LOADING_THREADS
from orthancproxy.sandbox.datasets import encode, fixed_uid
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

INSTANCES = 400
AT_A_TIME = 8
SIDE = 512
SLICES = 4_000  # of 0.5 MB: a study of 2 GB
SLICES_AT_ONCE = 100  # posted
SETTLING_SECONDS = 4.0
_JSON = "application/dicom+json"
_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_MEGABYTE = 1_000_000


def rows(options: Options) -> Iterator[Row]:
    """Return the rows, both warm, if the plugin is installed."""
    plugin = dicomweb_plugin()
    if plugin is None:
        tell("retrieval: skipped, the DICOMweb plugin is not installed with this Orthanc")
        return
    with (
        LocalOrthanc(plugins=[plugin]) as orthanc,
        tempfile.TemporaryDirectory(prefix="gateway-") as folder,
        serving(orthanc.base_url, Path(folder)) as gateway,
    ):
        series, files = _series()
        Archive(orthanc).post(files, LOADING_THREADS)
        services = f"{gateway.address}/dicom-web", f"{orthanc.base_url}/dicom-web"
        for name, paths, accept in (
            (f"metadata of {INSTANCES} instances", [f"{series}/metadata"], _JSON),
            (f"{INSTANCES} frames, {AT_A_TIME} at a time", [f"{one}/frames/1" for one in _instances(series)], _FRAMES),
        ):
            ours, theirs = (_Client(service, accept) for service in services)
            # what was read sooner after its last change is not kept
            time.sleep(SETTLING_SECONDS)
            # the first time warms both
            ours.get(paths)
            theirs.get(paths)
            yield compare(
                f"WADO-RS: {name} / the DICOMweb plugin",
                ("gateway", partial(timed, partial(ours.get, paths))),
                ("plugin", partial(timed, partial(theirs.get, paths))),
                options.rounds,
                at_most(1.3),
            )


def memory_rows(options: Options) -> Iterator[Row]:
    """Return the row on the memory that retrieving a study of 2 GB adds to a process that has sent one file."""
    name = f"memory, WADO-RS of a study of {SLICES:,} slices of 0.5 MB"
    above, idle, seconds = [], [], []
    with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc:
        archive, slices = Archive(orthanc), ct_slices(SLICES)
        while batch := [b"".join(one.chunks()) for one in islice(slices, SLICES_AT_ONCE)]:
            archive.post(batch, LOADING_THREADS)
        archive.expect(SLICES)
        for _ in range(options.memory_rounds):
            # a new gateway each time: memory kept from an earlier response would hide the peak
            with gateway_before(orthanc) as gateway, Reader(gateway.address) as reader:
                [study] = _urls(reader, "/dicom-web/studies")
                [instance] = _urls(reader, f"{study}/instances?limit=1")
                reader.size(f"{instance}?accept={quote(_FILES)}")
                with PeakMemory(gateway.pid) as memory:
                    start = time.perf_counter()
                    size = reader.size(f"{study}?accept={quote(_FILES)}")
                    seconds.append(time.perf_counter() - start)
            if size < SLICES * FRAME_BYTES:
                raise BenchmarkError(f"The gateway has sent {size} bytes of the study only.")
            above.append((memory.peak - memory.before) / _MEGABYTE)
            idle.append(memory.before / _MEGABYTE)
            tell(f"{name}: {above[-1]:.0f} MB above {idle[-1]:.0f} MB, in {seconds[-1]:.1f} s")
    parts = (Quantity("idle", "MB", tuple(idle)), Quantity("retrieval", "s", tuple(seconds)))
    yield Row(name, Quantity("above idle", "MB", tuple(above)), parts, at_most(60))


def _urls(reader: Reader, path: str) -> list[str]:
    """Return the paths of what a search finds."""
    return [urlsplit(found["00081190"]["Value"][0]).path for found in reader.get(path)]


def _series() -> tuple[str, list[bytes]]:
    """Return the path of a series, and its slices as files."""
    template = next(contents.files(0))
    template.Rows = template.Columns = SIDE
    template.PixelData = bytes(range(256)) * (SIDE * SIDE * template.BitsAllocated // 8 // 256)
    files = []
    for number in range(1, INSTANCES + 1):
        template.InstanceNumber = number
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = fixed_uid("retrieval", number)
        files.append(encode(template))
    return f"/studies/{template.StudyInstanceUID}/series/{template.SeriesInstanceUID}", files


def _instances(series: str) -> list[str]:
    return [f"{series}/instances/{fixed_uid('retrieval', number)}" for number in range(1, INSTANCES + 1)]


class _Client:
    """Gets paths of a service, several at a time, each thread over its own connection."""

    def __init__(self, service: str, accept: str) -> None:
        self._service = service
        self._accept = accept
        self._of_thread = threading.local()

    def get(self, paths: Sequence[str]) -> None:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for _ in pool.map(self._get, paths):
                pass

    def _get(self, path: str) -> None:
        if not hasattr(self._of_thread, "session"):
            self._of_thread.session = session()
        url, headers = f"{self._service}{path}", {"Accept": self._accept}
        answer = self._of_thread.session.get(url, headers=headers, timeout=ORTHANC_TIMEOUT)
        answer.raise_for_status()
