"""`manage.py sandbox`, which `make run` ends in: the gateway with an Orthanc and sample studies."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from orthancproxy.access.actions import Action
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, SandboxError
from orthancproxy.sandbox.process import ChildProcess

GATEWAY_TIMEOUT = 60.0  # seconds until it must answer
# not every browser sends cookies for HTTPS back to its own machine over HTTP
DEVELOPMENT = {"DJANGO_SECURE_COOKIES": "false", "ORTHANC_INTROSPECTION": "true"}
OPEN = "Everybody on this machine may do everything, without logging in (ORTHANC_ANONYMOUS_ACTIONS)."
CLOSED = "Without logging in, one may do what ORTHANC_ANONYMOUS_ACTIONS says. Users: manage.py createsuperuser"


class Command(BaseCommand):
    """Runs Orthanc over a folder of its own, fills it when it is empty, and serves the gateway over it.

    ORTHANC_BASE_URL in the environment makes it serve that Orthanc instead; then it starts none and loads
    nothing. HOST (127.0.0.1) and PORT (8000) say where the gateway listens, DJANGO_DATA_DIR where data are.
    On loopback everybody may do everything, unless ORTHANC_ANONYMOUS_ACTIONS says otherwise.
    """

    help = "Run the gateway with a local Orthanc and sample studies, until Ctrl-C."
    # the gateway checks its settings itself, once it has the address of the Orthanc that is started here
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until a signal comes, or the gateway or its Orthanc ends by itself."""
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            with ExitStack() as stack:
                self._serve(stack, Path(settings.DATA_DIR))
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        except SandboxError as error:
            raise CommandError(str(error)) from None

    def _serve(self, stack: ExitStack, data: Path) -> None:
        host, port = os.environ.get("HOST", "127.0.0.1"), _port()
        _check_free(host, port)
        access = _access(host)
        orthanc_url = os.environ.get("ORTHANC_BASE_URL")
        orthanc: LocalOrthanc | None = None
        if not orthanc_url:
            stack.enter_context(_sole_use_of(data))
            orthanc = stack.enter_context(LocalOrthanc(data / "orthanc", configuration=INDEXED_INSTANCE_TAGS))
            orthanc_url = orthanc.base_url
            self._load_samples(orthanc)
        call_command("migrate", verbosity=0, interactive=False, skip_checks=True)

        gateway = ChildProcess(
            [
                *(sys.executable, "-m", "uvicorn", "orthancproxy.project.asgi:application"),
                *("--http", "orthancproxy.project.edge.protocol:Protocol", "--host", host, "--port", str(port)),
                *("--no-proxy-headers", "--no-server-header", "--lifespan", "off"),
                # a client that listens to a stream must not hold up Ctrl-C
                *("--timeout-graceful-shutdown", "3"),
            ],
            environment={**_log_format(), **DEVELOPMENT, **access, **os.environ, "ORTHANC_BASE_URL": orthanc_url},
        )
        stack.callback(gateway.stop)
        address = f"http://{_reachable(host)}:{port}"
        _wait_until_alive(gateway, address)
        self.stdout.write(
            f"\n  GraphiQL  {address}/graphql/"
            f"\n  REST API  {address}/api/orthanc/docs/"
            f"\n  Admin     {address}/admin/"
            f"\n  Orthanc   {_without_credentials(orthanc_url)}"
            f"\n\n{OPEN if access else CLOSED}"
            "\n\nCtrl-C stops it.\n"
        )
        self.stdout.flush()
        _watch(gateway, orthanc)

    def _load_samples(self, orthanc: LocalOrthanc) -> None:
        """Load them when Orthanc is empty, or when an earlier run was interrupted while it did."""
        # NumPy and tqdm belong to an extra that an installation without a sandbox can do without
        from tqdm import tqdm

        from orthancproxy.sandbox.loading import is_empty, load
        from orthancproxy.sandbox.studies import INSTANCES_COUNT, instances

        unfinished = orthanc.folder / "loading-samples"
        if not unfinished.exists() and not is_empty(orthanc.base_url, orthanc.headers):
            return
        unfinished.touch()
        stored = load(instances(), orthanc.base_url, orthanc.headers)
        for _ in tqdm(stored, desc="Loading sample studies", total=INSTANCES_COUNT, unit=" instances"):
            pass
        unfinished.unlink()


def _access(host: str) -> dict[str, str]:
    """What lets everybody on this machine do everything, where the environment does not say who may do what."""
    if "ORTHANC_ANONYMOUS_ACTIONS" in os.environ or "ORTHANC_ANONYMOUS_ACTIONS_FILE" in os.environ:
        return {}
    addresses = {ip_address(info[4][0]) for info in socket.getaddrinfo(host, None)}
    if not all(address.is_loopback for address in addresses):
        raise SandboxError(
            f"Other machines can reach {host}, and everybody could do everything there: set "
            "ORTHANC_ANONYMOUS_ACTIONS to what they may do without logging in, such as view,download or nothing."
        )
    return {"ORTHANC_ANONYMOUS_ACTIONS": ",".join(action.value for action in Action)}


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leave through KeyboardInterrupt, once: what comes after must not disturb the stopping."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _port() -> int:
    port = os.environ.get("PORT", "8000")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise SandboxError(f"PORT is {port!r}, which is not a port number.")
    return int(port)


def _check_free(host: str, port: int) -> None:
    """Say so now when the port is taken, rather than after Orthanc is up."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SandboxError(
            f"The gateway cannot listen on {host}:{port} ({error.strerror}): set PORT to another port."
        ) from None


@contextmanager
def _sole_use_of(data: Path) -> Iterator[None]:
    """Hold a lock on the folder: two Orthancs over one SQLite index destroy it."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError(f"Another sandbox is running over {data}: stop it, or set DJANGO_DATA_DIR.") from None
        yield


def _wait_until_alive(gateway: ChildProcess, address: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + GATEWAY_TIMEOUT
    while time.monotonic() < deadline:
        if gateway.exit_code is not None:
            raise SandboxError(f"The gateway did not start: it ended with exit code {gateway.exit_code}.")
        try:
            with opener.open(f"{address}/livez", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SandboxError(f"The gateway did not answer at {address}/livez within {GATEWAY_TIMEOUT:.0f} seconds.")


def _watch(gateway: ChildProcess, orthanc: LocalOrthanc | None) -> NoReturn:
    """Wait until one of them ends by itself, and say which."""
    while gateway.exit_code is None:
        if orthanc and not orthanc.is_running:
            raise SandboxError(f"Orthanc ended by itself: see {orthanc.log_file}")
        time.sleep(1)
    raise SandboxError(f"The gateway ended by itself, with exit code {gateway.exit_code}.")


def _reachable(host: str) -> str:
    """An address of this machine for a host to listen on, as a URL has it."""
    if host in ("", "0.0.0.0"):  # noqa: S104  not listened on here
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _log_format() -> dict[str, str]:
    """Lines for people where people read them."""
    return {"ORTHANC_LOG_FORMAT": "console"} if sys.stdout.isatty() else {}


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
