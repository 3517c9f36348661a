"""The two servers: an Orthanc that can be emptied and counted, and a gateway in front of it, as users run it."""

from __future__ import annotations

import os
import queue
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks.measuring import BenchmarkError
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import Installation, LocalOrthanc

ORTHANC_TIMEOUT = 600.0  # seconds; the disk may be slow
_PLUGIN_FOLDERS = ("usr/share/orthanc/plugins", "usr/local/share/orthanc/plugins", "usr/lib/orthanc/plugins")
_PLUGIN = "libOrthancDicomWeb.so"


class Archive:
    """Direct access to Orthanc, without the gateway."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self._address = orthanc.base_url

    def empty(self) -> None:
        """Delete every study, and wait for pending disk writes, which would slow the next measurement."""
        for study in self._json("/studies"):
            self._call("DELETE", f"/studies/{study}")
        self.expect(0)
        os.sync()

    def expect(self, instances: int) -> None:
        """Raise BenchmarkError unless Orthanc holds this number of instances."""
        count = self._json("/statistics")["CountInstances"]
        if count != instances:
            raise BenchmarkError(f"Orthanc holds {count} instances, not {instances}.")

    def files(self) -> list[bytes]:
        """Yield every stored file."""
        return [self._call("GET", f"/instances/{instance}/file").content for instance in self._json("/instances")]

    def post(self, files: Sequence[bytes], threads: int) -> None:
        """Post the files to /instances, in a number of threads with one connection each."""
        with ExitStack() as stack:
            idle: queue.SimpleQueue[requests.Session] = queue.SimpleQueue()
            for _ in range(threads):
                idle.put(stack.enter_context(session()))

            def post_one(file: bytes) -> None:
                connection = idle.get()
                try:
                    address = f"{self._address}/instances"
                    answer = connection.post(address, data=file, timeout=ORTHANC_TIMEOUT)
                    if answer.status_code == 500:
                        # two files that create the same storage folder at the same time: one fails
                        answer = connection.post(address, data=file, timeout=ORTHANC_TIMEOUT)
                    answer.raise_for_status()
                finally:
                    idle.put(connection)

            pool = stack.enter_context(ThreadPoolExecutor(threads))
            for _ in pool.map(post_one, files):
                pass

    def _json(self, path: str) -> Any:
        return self._call("GET", path).json()

    def _call(self, method: str, path: str) -> requests.Response:
        # a connection for each call: Orthanc closes those that are idle for a second
        with session() as one:
            answer = one.request(method, f"{self._address}{path}", timeout=ORTHANC_TIMEOUT)
        answer.raise_for_status()
        return answer


@contextmanager
def gateway_before(orthanc: LocalOrthanc, upload_threads: int | None = None) -> Iterator[LocalGateway]:
    """Yield a new gateway in front of this Orthanc, with one worker and an empty database."""
    settings = {"ORTHANC_UPLOAD_THREADS": str(upload_threads)} if upload_threads else None
    with (
        tempfile.TemporaryDirectory(prefix="gateway-") as folder,
        serving(orthanc.base_url, Path(folder), settings=settings) as gateway,
    ):
        yield gateway


def dicomweb_plugin() -> str | None:
    """Return the path of the plugin as Orthanc sees it."""
    root = Installation.find().root or Path("/")
    return next((f"/{folder}/{_PLUGIN}" for folder in _PLUGIN_FOLDERS if (root / folder / _PLUGIN).is_file()), None)


def session() -> requests.Session:
    """Return a session with a local server, without compression."""
    new = requests.Session()
    # no proxy from the environment for a local port
    new.trust_env = False
    new.headers["Accept-Encoding"] = "identity"
    return new
