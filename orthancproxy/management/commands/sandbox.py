"""`manage.py sandbox`, the command behind `make run`: the gateway with an Orthanc and sample studies."""

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

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.orthanc.sqlite_index import tune
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, SandboxError
from orthancproxy.sandbox.process import ChildProcess

START_TIMEOUT_SECONDS = 60.0
# not every browser sends HTTPS cookies to its own machine over HTTP
DEVELOPMENT = {
    "DJANGO_SECURE_COOKIES": "false",
    "ORTHANC_INTROSPECTION": "true",
    # clients with open streams must not delay Ctrl-C
    "ORTHANC_DRAIN_SECONDS": "3",
}
OPEN = "All users of this machine may do all that needs no name without logging in (ORTHANC_ANONYMOUS_ACTIONS)."
CLOSED = "Permissions without logging in: see ORTHANC_ANONYMOUS_ACTIONS."
USERS = "To add a user, who can do everything: .venv/bin/python manage.py createsuperuser"


class Command(BaseCommand):
    """Runs an Orthanc, loads the sample studies if it is empty, and serves the gateway for it.

    With ORTHANC_BASE_URL in the environment, it serves that Orthanc instead, and neither starts one nor loads
    studies. The gateway listens on HOST (127.0.0.1) and PORT (8000), and keeps data in DJANGO_DATA_DIR. On a
    loopback address, anonymous callers have every permission that needs no name, unless ORTHANC_ANONYMOUS_ACTIONS is
    set.
    """

    help = "Run the gateway with a local Orthanc and sample studies, until Ctrl-C."
    # the gateway checks its settings when it starts, with the URL of the Orthanc that is started here
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until a signal arrives, or the gateway or its Orthanc ends."""
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
                *(sys.executable, "-m", "orthancproxy.project.server"),
                *("--host", host, "--port", str(port)),
            ],
            environment={**_log_format(), **DEVELOPMENT, **access, **os.environ, "ORTHANC_BASE_URL": orthanc_url},
        )
        stack.callback(gateway.stop)
        address = f"http://{_reachable(host)}:{port}"
        _wait_until_alive(gateway, address)
        viewer = f"\n  OHIF      {address}/ohif/" if settings.OHIF_DIR else ""
        self.stdout.write(
            f"\n  Worklist  {address}/"
            f"\n  GraphiQL  {address}/graphql/"
            f"\n  REST API  {address}/api/orthanc/docs/"
            f"\n  DICOMweb  {address}/dicom-web/docs/"
            f"{viewer}"
            f"\n  Admin     {address}/admin/"
            f"\n  Orthanc   {_without_credentials(orthanc_url)}"
            f"\n\n{OPEN if access else CLOSED}\n{USERS}"
            "\n\nPress Ctrl-C to stop.\n"
        )
        self.stdout.flush()
        _watch(gateway, orthanc)

    def _load_samples(self, orthanc: LocalOrthanc) -> None:
        """Load the sample studies if Orthanc is empty, or if an earlier run was interrupted during loading."""
        # numpy and tqdm come with an extra of the package
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
        # as in a deployment over SQLite; it takes about 3 seconds, once
        orthanc.stop()
        tune(orthanc.index_file)
        orthanc.start()
        unfinished.unlink()


def _access(host: str) -> dict[str, str]:
    """Return the setting that gives anonymous callers every permission, unless the environment has it."""
    if "ORTHANC_ANONYMOUS_ACTIONS" in os.environ or "ORTHANC_ANONYMOUS_ACTIONS_FILE" in os.environ:
        return {}
    addresses = {ip_address(info[4][0]) for info in socket.getaddrinfo(host, None)}
    if not all(address.is_loopback for address in addresses):
        raise SandboxError(
            f"Other machines can reach {host} and would have every permission: set ORTHANC_ANONYMOUS_ACTIONS "
            "to the actions that are permitted without logging in, such as view,download, or to an empty value."
        )
    return {"ORTHANC_ANONYMOUS_ACTIONS": ",".join(action.value for action in Action if action in FOR_ANYONE)}


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt once; further signals must not disturb the shutdown."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _port() -> int:
    port = os.environ.get("PORT", "8000")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise SandboxError(f"PORT must be a port number, not {port!r}.")
    return int(port)


def _check_free(host: str, port: int) -> None:
    """Raise SandboxError if the port is in use, before Orthanc starts."""
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
    """Lock the folder: two Orthancs that share a SQLite index corrupt it."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError(
                f"Another sandbox is using {data}: stop it, or set DJANGO_DATA_DIR to another folder."
            ) from None
        yield


def _wait_until_alive(gateway: ChildProcess, address: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if gateway.exit_code is not None:
            raise SandboxError(f"The gateway did not start: its exit code is {gateway.exit_code}.")
        try:
            with opener.open(f"{address}/livez", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SandboxError(f"The gateway did not respond at {address}/livez within {START_TIMEOUT_SECONDS:.0f} seconds.")


def _watch(gateway: ChildProcess, orthanc: LocalOrthanc | None) -> NoReturn:
    """Wait until one of them ends, and raise SandboxError."""
    while gateway.exit_code is None:
        if orthanc and not orthanc.is_running:
            raise SandboxError(f"Orthanc has ended: see {orthanc.log_file}")
        time.sleep(1)
    raise SandboxError(f"The gateway has ended with exit code {gateway.exit_code}.")


def _reachable(host: str) -> str:
    """Return an address, as in a URL, under which a host to listen on can be reached."""
    if host in ("", "0.0.0.0"):  # noqa: S104  nothing listens on it here
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _log_format() -> dict[str, str]:
    """Return the setting for a human-readable log in a terminal."""
    return {"ORTHANC_LOG_FORMAT": "console"} if sys.stdout.isatty() else {}


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
