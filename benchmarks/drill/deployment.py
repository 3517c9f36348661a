"""The deployment that is drilled: two gateways with two workers each, nginx, PostgreSQL, Orthanc and a provider."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drill.provider import AUDIENCE, Provider
from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway, workers_of
from orthancproxy.sandbox.nginx import ACCEL_REDIRECT, LocalNginx, nginx_before
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, Installation, LocalOrthanc, SandboxError, free_port
from orthancproxy.sandbox.postgresql import LocalPostgreSQL
from orthancproxy.sandbox.process import ChildProcess

WORKERS = 2
SPOOL_MEGABYTES = 64
READY_TIMEOUT_SECONDS = 120.0
DRAIN_SECONDS = 20.0


class Host:
    """A gateway of its own host: its port, its processes, and a spool of a limited size."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self.spool = folder / f"spool-{name}"
        self.log = folder / f"gateway-{name}.log"
        self.spool.mkdir()
        self._environment = {**os.environ, **settings, "TMPDIR": str(self.spool), "PYTHONPATH": str(CHECKOUT)}
        self._process: ChildProcess | None = None

    @property
    def address(self) -> str:
        """Its URL, without nginx."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; `is_ready` tells when it is."""
        command = [sys.executable, "-m", "orthancproxy.project.server", "--port", str(self.port), "--migrate"]
        self._process = ChildProcess(command, log=self.log, environment=self._environment)

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        with suppress(OSError), _opener.open(f"{self.address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def workers(self) -> list[int]:
        """Return the ids of the worker processes."""
        assert self._process is not None  # noqa: S101 - it runs
        return sorted(workers_of(self._process.pid))

    def end_worker(self, number: int) -> None:
        """Send one worker a signal that ends it."""
        os.kill(self.workers()[0], number)

    def kill(self) -> None:
        """Kill all processes at once, like a power failure."""
        if self._process:
            workers = self.workers()
            self._process.kill()
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process = None

    def stop(self) -> None:
        """Send SIGTERM, and wait for the end."""
        if self._process:
            self._process.stop(DRAIN_SECONDS + 10)
            self._process = None

    def replace_workers(self) -> None:
        """Send SIGHUP, and wait until other workers have taken over."""
        assert self._process is not None  # noqa: S101 - it runs
        before = set(self.workers())
        os.kill(self._process.pid, signal.SIGHUP)
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while before & set(self.workers()) and time.monotonic() < deadline:
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The parts, each of which can be stopped and started again."""

    hosts: tuple[Host, Host]
    nginx: LocalNginx
    postgresql: LocalPostgreSQL
    orthanc: LocalOrthanc
    provider: Provider

    def wait_until_ready(self, host: Host) -> None:
        """Return when a host is ready. Raises SandboxError."""
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not host.is_ready():
            if time.monotonic() > deadline:
                raise SandboxError(f"The host {host.name} is not ready:\n{host.log.read_text()[-2000:]}")
            time.sleep(0.1)


@contextmanager
def deployed(folder: Path, installation: Installation, *, index_in_postgresql: bool) -> Iterator[Deployment]:
    """Start all parts, on a new database and a new archive."""
    with ExitStack() as stack:
        postgresql = stack.enter_context(LocalPostgreSQL(options=["-c", "max_connections=120"]))
        for name in ("gateway", "orthanc"):
            subprocess.run(  # noqa: S603 - the command is this project's own
                ["/usr/bin/createdb", "--host=127.0.0.1", f"--port={postgresql.port}", "--username=gateway", name],
                check=True,
            )
        configuration: dict[str, object] = dict(INDEXED_INSTANCE_TAGS)
        plugins: list[str] = []
        if index_in_postgresql:
            plugins = ["/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so"]
            configuration["PostgreSQL"] = {
                "EnableIndex": True,
                "EnableStorage": False,
                "Lock": False,
                "IndexConnectionsCount": 10,
                "Host": "127.0.0.1",
                "Port": postgresql.port,
                "Username": "gateway",
                "Database": "orthanc",
            }
        orthanc = stack.enter_context(
            LocalOrthanc(installation=installation, plugins=plugins, configuration=configuration)
        )
        provider = Provider()
        provider.start()
        stack.callback(provider.stop)
        settings = {
            "DATABASE_URL": postgresql.url("gateway"),
            "DJANGO_SECRET_KEY": "of-the-drill-alone-" * 3,
            "ORTHANC_BASE_URL": orthanc.base_url,
            "ORTHANC_ACCEL_REDIRECT": ACCEL_REDIRECT,
            "ORTHANC_ANONYMOUS_ACTIONS": ",".join(action.value for action in Action if action in FOR_ANYONE),
            "ORTHANC_DRAIN_SECONDS": str(DRAIN_SECONDS),
            "ORTHANC_MAX_CALLS": "20",
            "ORTHANC_OIDC_ISSUER": provider.issuer,
            "ORTHANC_OIDC_AUDIENCE": AUDIENCE,
            "ORTHANC_TRUST_FORWARDED": "true",
            "WEB_CONCURRENCY": str(WORKERS),
        }
        hosts = (Host("a", folder, settings), Host("b", folder, settings))
        for host in hosts:
            _mount_spool(host, stack)
            host.start()
            stack.callback(host.stop)
        addresses = " ".join(f"127.0.0.1:{host.port}" for host in hosts)
        first = LocalGateway(hosts[0].port, os.getpid(), hosts[0].log)
        nginx = stack.enter_context(nginx_before(first, orthanc.base_url, {"GATEWAY": addresses}))
        deployment = Deployment(hosts, nginx, postgresql, orthanc, provider)
        for host in hosts:
            deployment.wait_until_ready(host)
        yield deployment


def _mount_spool(host: Host, stack: ExitStack) -> None:
    """Give a host a spool that can be filled up."""
    options = ["-t", "tmpfs", "-o", f"size={SPOOL_MEGABYTES}m", "tmpfs", str(host.spool)]
    if subprocess.run(["/usr/bin/mount", *options], check=False).returncode:  # noqa: S603 - as above
        raise SandboxError("The drill fills up a file system, which only root can mount.")
    stack.callback(subprocess.run, ["/usr/bin/umount", "--lazy", str(host.spool)], check=False)


# without a proxy from the environment
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
