"""WADO-RS beside Orthanc's DICOMweb plugin: the metadata and the frames of a series."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import contents
from benchmarks.measuring import Row, at_most, compare, tell, timed
from benchmarks.options import Options
from benchmarks.servers import ORTHANC_TIMEOUT, Archive, session
from benchmarks.stored import LOADING_THREADS
from benchmarks.whole import dicomweb_plugin
from orthancproxy.sandbox.datasets import encode, fixed_uid
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc

INSTANCES = 400
AT_A_TIME = 8
SIDE = 512
SETTLING_SECONDS = 4.0
_JSON = "application/dicom+json"
_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


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
