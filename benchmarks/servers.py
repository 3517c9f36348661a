"""The two servers: an Orthanc that can be emptied and counted, and a gateway before it, run as users run it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.measuring import BenchmarkError
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from orthancproxy.sandbox.process import ChildProcess

REPOSITORY = Path(__file__).parents[1]
APPLICATION = "orthancproxy.project.asgi:application"
START_TIMEOUT = 60.0  # seconds
ORTHANC_TIMEOUT = 600.0  # seconds; the disk may be slow
_LOG_TAIL = 4_000  # characters of the gateway's log that an error shows


class Archive:
    """What a benchmark does to Orthanc itself, past the gateway."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self._address = orthanc.base_url

    def empty(self) -> None:
        """Delete every study, and wait until the disk has caught up: what is left to write would slow what follows."""
        for study in self._json("/studies"):
            self._call("DELETE", f"/studies/{study}")
        self.expect(0)
        os.sync()

    def expect(self, instances: int) -> None:
        """Make sure that it holds so many instances. Raises BenchmarkError."""
        count = self._json("/statistics")["CountInstances"]
        if count != instances:
            raise BenchmarkError(f"Orthanc holds {count} instances, not {instances}.")

    def files(self) -> list[bytes]:
        """Every file that it holds."""
        return [self._call("GET", f"/instances/{instance}/file").content for instance in self._json("/instances")]

    def post(self, files: Sequence[bytes], threads: int) -> None:
        """Send the files to POST /instances, in so many threads with a connection each."""
        with ExitStack() as stack:
            idle: queue.SimpleQueue[requests.Session] = queue.SimpleQueue()
            for _ in range(threads):
                idle.put(stack.enter_context(_session()))

            def post_one(file: bytes) -> None:
                session = idle.get()
                try:
                    session.post(f"{self._address}/instances", data=file, timeout=ORTHANC_TIMEOUT).raise_for_status()
                finally:
                    idle.put(session)

            pool = stack.enter_context(ThreadPoolExecutor(threads))
            for _ in pool.map(post_one, files):
                pass

    def _json(self, path: str) -> Any:
        return self._call("GET", path).json()

    def _call(self, method: str, path: str) -> requests.Response:
        # a connection for each call: Orthanc drops those that are idle for a second, just when they are used again
        with _session() as session:
            answer = session.request(method, f"{self._address}{path}", timeout=ORTHANC_TIMEOUT)
        answer.raise_for_status()
        return answer


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs: its port on 127.0.0.1, the id of its only process, and what it logs."""

    port: int
    pid: int
    log: Path

    def end_of_log(self) -> str:
        """The last that it logged, for an error's message."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL:]


@contextmanager
def serving(orthanc: LocalOrthanc, upload_threads: int) -> Iterator[Gateway]:
    """Yield a gateway before this Orthanc: one worker of uvicorn, no debug mode, a new database of its own."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        environment = {
            **_neutral_environment(),
            "DJANGO_DATA_DIR": folder,
            "ORTHANC_BASE_URL": orthanc.base_url,
            "ORTHANC_UPLOAD_THREADS": str(upload_threads),
        }
        log = Path(folder, "gateway.log")
        _migrate(environment)
        port = free_port()
        process = ChildProcess(
            [
                *(sys.executable, "-m", "uvicorn", APPLICATION, "--app-dir", str(REPOSITORY)),
                *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--no-proxy-headers", "--no-server-header", "--lifespan", "off"),
            ],
            log=log,
            environment=environment,
        )
        gateway = Gateway(port, process.pid, log)
        try:
            _wait_until_alive(process, gateway)
            yield gateway
        finally:
            process.stop()


def _session() -> requests.Session:
    session = requests.Session()
    # a proxy from the environment has no business between us and a port of this machine
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    return session


def _neutral_environment() -> dict[str, str]:
    """The environment without what a developer may have set for a gateway of their own."""
    settings = ("ORTHANC_", "DJANGO_", "DATABASE_URL", "UVICORN_", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


def _migrate(environment: dict[str, str]) -> None:
    migration = subprocess.run(  # noqa: S603  the command is this project's own
        [sys.executable, str(REPOSITORY / "manage.py"), "migrate", "--verbosity", "0"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if migration.returncode:
        raise BenchmarkError(f"The gateway's database could not be made:\n{migration.stderr}")


def _wait_until_alive(process: ChildProcess, gateway: Gateway) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    with _session() as session:
        while time.monotonic() < deadline and process.exit_code is None:
            try:
                session.get(f"http://127.0.0.1:{gateway.port}/livez", timeout=5).raise_for_status()
            except requests.RequestException:
                time.sleep(0.05)
            else:
                return
    raise BenchmarkError(f"The gateway did not start:\n{gateway.end_of_log()}")
