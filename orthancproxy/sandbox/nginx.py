"""Runs nginx before a gateway, as docker-compose.yml does, for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway
from orthancproxy.sandbox.orthanc import SandboxError, free_port
from orthancproxy.sandbox.process import ChildProcess

ACCEL_REDIRECT = "/orthanc-files"
"""The ORTHANC_ACCEL_REDIRECT of docker/nginx/nginx.conf."""
START_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LocalNginx:
    """A running nginx: its ports on 127.0.0.1, its process id, and its log file."""

    port: int
    tls_port: int
    pid: int
    log: Path

    @property
    def address(self) -> str:
        """Its URL without TLS, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def nginx_before(
    gateway: LocalGateway, orthanc_url: str, settings: Mapping[str, str] | None = None
) -> Iterator[LocalNginx]:
    """Run nginx before a gateway and its Orthanc; if this process is root's, as the user nobody.

    `settings` are further variables of docker/nginx/start. Raises SandboxError with the log if it does not start.
    """
    port, tls_port = free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="nginx-"))
    environment = {
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "NGINX_FOLDER": str(folder),
        "GATEWAY": f"127.0.0.1:{gateway.port}",
        "ORTHANC_BASE_URL": orthanc_url,
        "LISTEN": f"127.0.0.1:{port}",
        "LISTEN_TLS": f"127.0.0.1:{tls_port}",
        **(settings or {}),
    }
    # a checkout in root's home is not readable for others
    shutil.copytree(CHECKOUT / "docker/nginx", folder / "source")
    command = [str(folder / "source/start")]
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        user = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        # again: the kernel forgets the signal of a process that changes its user
        command = ["setpriv", *user, "--pdeathsig", "SIGTERM", "--", *command]
    process = ChildProcess(command, log=folder / "nginx.log", environment=environment)
    running = LocalNginx(port, tls_port, process.pid, folder / "nginx.log")
    try:
        _wait_until_listening(process, running)
        yield running
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_listening(process: ChildProcess, nginx: LocalNginx) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.exit_code is None:
        try:
            with socket.create_connection(("127.0.0.1", nginx.port), timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise SandboxError(f"nginx did not start:\n{nginx.log.read_text(errors='replace')}")
