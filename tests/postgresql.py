"""A PostgreSQL of the tests' own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orthancproxy.sandbox.orthanc import free_port

START_TIMEOUT = 60.0  # seconds
POSTGRESQL = Path("/usr/lib/postgresql")
"""Where Debian has a folder for each version."""


@contextmanager
def run_postgresql(port: int | None = None, *options: str) -> Iterator[str]:
    """Run a PostgreSQL that only this machine can reach, with more `options`, and yield the URL of its database."""
    # several versions may be there; none of them is a test that fails, not one that is skipped
    versions = sorted(POSTGRESQL.glob("*/bin/initdb"))
    assert versions, "there is no PostgreSQL: install Debian's package postgresql"
    binaries = versions[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        # it refuses to be root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")
    port = port or free_port()
    initdb = ["initdb", "--username=gateway", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    server = ["postgres", "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F", *options]
    log = folder / "log"
    try:
        with log.open("wb") as output:
            subprocess.run(
                [*as_user, binaries / initdb[0], *initdb[1:], "-D", folder / "data"],
                cwd=folder,
                stdout=output,
                stderr=output,
                check=True,
            )
            process = subprocess.Popen(
                [*as_user, binaries / server[0], *server[1:], "-D", folder / "data"],
                cwd=folder,
                stdout=output,
                stderr=output,
            )
        try:
            ready = [str(binaries / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
            _wait(process, lambda: subprocess.run(ready, check=False).returncode == 0)
            yield f"postgres://gateway@127.0.0.1:{port}/postgres"
        finally:
            # the fast way to stop: it does not wait for clients
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, "it does not start"
        if is_ready():
            return
        time.sleep(0.05)
    raise AssertionError("it does not answer")
