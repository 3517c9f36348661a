"""Runs the gateway as it is deployed, with its own folder, for tests and benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.sandbox.orthanc import SandboxError, free_port
from orthancproxy.sandbox.process import ChildProcess

CHECKOUT = Path(__file__).parents[2]
START_TIMEOUT_SECONDS = 60.0
_LOG_TAIL_CHARACTERS = 2_000  # of the log, in an error message
# of variables that a developer may have set for another gateway
_SETTING_PREFIXES = ("ORTHANC_", "DJANGO_", "DATABASE_URL", "UVICORN_", "WEB_CONCURRENCY", "OTEL_", "PROMETHEUS_")


@dataclass(frozen=True, slots=True)
class LocalGateway:
    """A running gateway: its port on 127.0.0.1, the id of its first process, and its log file."""

    port: int
    pid: int
    log: Path

    @property
    def address(self) -> str:
        """Its URL, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> set[int]:
        """Return the ids of its worker processes."""
        return workers_of(self.pid)

    def peak_memory(self) -> int:
        """Return the peak resident memory of its first process, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def end_of_log(self) -> str:
        """Return the end of its log, for an error message."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]


def workers_of(pid: int) -> set[int]:
    """Return the ids of the worker processes of a gateway; multiprocessing has one more, which tracks its resources."""
    workers = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        # it may have ended since
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                workers.add(int(child))
    return workers


@contextmanager
def serving(
    base_url: str,
    folder: Path,
    *,
    port: int | None = None,
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
    application: str = "orthancproxy.project.asgi:application",
) -> Iterator[LocalGateway]:
    """Run a gateway for the Orthanc at `base_url`, without debug mode, with its files in `folder`.

    Unless `settings` override it, anonymous callers have every permission. Raises SandboxError with the end of the
    log if the gateway does not start.
    """
    environment = {
        **_environment(),
        "PYTHONPATH": str(CHECKOUT),
        "DJANGO_DATA_DIR": str(folder / "data"),
        "ORTHANC_BASE_URL": base_url,
        "WEB_CONCURRENCY": str(workers),
        "ORTHANC_ANONYMOUS_ACTIONS": ",".join(action.value for action in Action if action in FOR_ANYONE),
        # the gateway is on plain HTTP, and not every client makes an exception for its own machine
        "DJANGO_SECURE_COOKIES": "false",
        # browsers keep connections open
        "ORTHANC_DRAIN_SECONDS": "1",
        # for GraphiQL, and tools that generate queries from the schema
        "ORTHANC_INTROSPECTION": "true",
        **(settings or {}),
    }
    make_database(environment)
    port = port or free_port()
    process = ChildProcess(
        [
            *(sys.executable, "-m", "orthancproxy.project.server", "--application", application),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        log=folder / "gateway.log",
        environment=environment,
    )
    gateway = LocalGateway(port, process.pid, folder / "gateway.log")
    try:
        _wait_until_alive(process, gateway)
        yield gateway
    finally:
        process.stop()


def make_database(environment: Mapping[str, str]) -> None:
    """Create or migrate the database of a gateway with these environment variables."""
    url = urlsplit(environment.get("DATABASE_URL", ""))
    file = Path(url.path or f"{environment['DJANGO_DATA_DIR']}/gateway.sqlite3")
    if url.scheme not in ("", "sqlite") or file.exists():
        _migrate(environment)
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_bytes(_migrated_sqlite())


@cache
def _migrated_sqlite() -> bytes:
    """Return a new SQLite database. Migrations take 6 s of CPU time, and tests start dozens of gateways."""
    with TemporaryDirectory() as folder:
        _migrate({**_environment(), "DJANGO_DATA_DIR": folder})
        return Path(folder, "gateway.sqlite3").read_bytes()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_SETTING_PREFIXES)}


def _migrate(environment: Mapping[str, str]) -> None:
    migration = subprocess.run(  # noqa: S603  the command is this project's own
        [sys.executable, str(CHECKOUT / "manage.py"), "migrate", "--verbosity", "0"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if migration.returncode:
        raise SandboxError(f"The gateway's database could not be migrated:\n{migration.stderr}")


def _wait_until_alive(process: ChildProcess, gateway: LocalGateway) -> None:
    # without a proxy from the environment
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.exit_code is None:
        try:
            with opener.open(f"{gateway.address}/livez", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise SandboxError(f"The gateway did not start:\n{gateway.end_of_log()}")
