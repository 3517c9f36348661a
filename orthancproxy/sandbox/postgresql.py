"""Runs a PostgreSQL with its own folder, for tests and drills."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from orthancproxy.sandbox.orthanc import SandboxError, free_port

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
_LOG_TAIL = 2_000
INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian has a folder for each version."""


class LocalPostgreSQL:
    """A PostgreSQL that only this machine can reach, of the newest version that is installed.

    Within a `with` block it runs, in a new folder that is removed at the end. `options` are more arguments of
    `postgres`. Its superuser has no password. Raises SandboxError if it is not installed, or does not
    start.
    """

    def __init__(self, port: int | None = None, options: Sequence[str] = (), superuser: str = "gateway") -> None:
        versions = sorted(INSTALLED.glob("*/bin/initdb"))
        if not versions:
            raise SandboxError("PostgreSQL was not found: install Debian's package postgresql.")
        self._binaries = versions[-1].parent
        self._options = options
        self._superuser = superuser
        self.port = port or free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            # it refuses to be root
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(self._folder, "postgres", "postgres")
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgres://{self._superuser}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it accepts connections; each time on the same port, with the same data."""
        ready = [str(self._binaries / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={self.port}"]
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        self._process = self._launch()
        while subprocess.run(ready, check=False).returncode != 0:  # noqa: S603 - the command is this project's own
            has_ended = self._process.poll() is not None
            if time.monotonic() > deadline or (has_ended and not self._is_still_in_use()):
                raise SandboxError(f"PostgreSQL did not start:\n{self._log.read_text()[-_LOG_TAIL:]}")
            time.sleep(0.05)
            if has_ended:
                self._process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder), "-F", *self._options]
        with self._log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - as above
                [*self._as_user, str(self._binaries / "postgres"), *server, "-D", str(self._folder / "data")],
                cwd=self._folder,
                stdout=output,
                stderr=output,
            )

    def _is_still_in_use(self) -> bool:
        """Return whether it could not start since processes of its connections have not ended yet after a kill."""
        return "is still in use" in self._log.read_text()[-_LOG_TAIL:]

    def stop(self, number: int = signal.SIGINT, timeout: float = STOP_TIMEOUT_SECONDS) -> None:
        """Send a signal, and kill it after `timeout` seconds: SIGINT disconnects clients, SIGTERM waits for them."""
        if self._process:
            self._process.send_signal(number)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """Kill it, like a crash; the processes of its connections end, too."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def __enter__(self) -> Self:
        initdb = [f"--username={self._superuser}", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        try:
            with self._log.open("wb") as output:
                subprocess.run(  # noqa: S603 - as above
                    [*self._as_user, str(self._binaries / "initdb"), *initdb, "-D", str(self._folder / "data")],
                    cwd=self._folder,
                    stdout=output,
                    stderr=output,
                    check=True,
                )
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
