"""Finds an Orthanc on this machine and runs it with its own folder."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from orthancproxy.sandbox.process import ChildProcess

INDEXED_INSTANCE_TAGS: Mapping[str, object] = {
    "ExtraMainDicomTags": {
        "Instance": ["Rows", "Columns", "PixelSpacing", "SliceThickness", "SliceLocation", "SOPClassUID"],
    }
}
"""Configuration that adds the instance tags that the gateway returns to Orthanc's index.

Orthanc before 1.11 ignores it. Newer versions warn about tags that they always index (ImagePositionPatient,
ImageOrientationPatient, NumberOfFrames), so these are left out.
"""

START_TIMEOUT_SECONDS = 60.0  # a start takes 1 to 4 on an idle machine
_LOG_TAIL_BYTES = 2_000  # of the log, in an error message


class SandboxError(Exception):
    """A requirement of the sandbox is missing or does not start; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An executable Orthanc: this machine's, or that of another Debian in the folder `root` (chroot)."""

    executable: str
    root: Path | None = None

    @classmethod
    def find(cls) -> Self:
        """Return the Orthanc of the variable ORTHANC_ROOT or ORTHANC_BIN, else that on the PATH or in /usr/sbin.

        Raises SandboxError, which says what to install, if there is none.
        """
        if root := os.environ.get("ORTHANC_ROOT"):
            if not Path(root, "usr/sbin/Orthanc").is_file():
                raise SandboxError(f"ORTHANC_ROOT is {root}, which does not contain usr/sbin/Orthanc.")
            if os.geteuid() != 0:
                raise SandboxError("ORTHANC_ROOT requires root privileges, for chroot.")
            return cls("/usr/sbin/Orthanc", Path(root).resolve())
        if named := os.environ.get("ORTHANC_BIN"):
            executable = shutil.which(named)
            if executable is None:
                raise SandboxError(f"ORTHANC_BIN is {named}, which is not an executable.")
            return cls(executable)
        # Debian installs it in a folder that only root has on the PATH
        executable = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")
        if executable is None:
            raise SandboxError(
                "Orthanc is not installed: install it (Debian, Ubuntu: apt-get install orthanc), "
                "set ORTHANC_BIN to its path, or ORTHANC_BASE_URL to the URL of a running one."
            )
        return cls(executable)

    def command(self, configuration: Path, *, verbose: bool) -> list[str]:
        """Return the command that runs Orthanc with a configuration file."""
        chroot = ["chroot", str(self.root)] if self.root else []
        return [*chroot, self.executable, *(["--verbose"] if verbose else []), self.inner_path(configuration)]

    def inner_path(self, path: Path) -> str:
        """Return a path as Orthanc sees it."""
        return str(path) if self.root is None else f"/{path.relative_to(self.root)}"

    def environment(self) -> dict[str, str]:
        """Return the environment to run it in. TMPDIR is left out with a `root`, in which its folder does not exist."""
        return {name: value for name, value in os.environ.items() if name != "TMPDIR" or self.root is None}

    def make_folder(self, wanted: Path | None) -> Path:
        """Return a folder that Orthanc can access: `wanted`, or a new one; with a `root`, one inside it."""
        if self.root is None:
            if wanted is None:
                return Path(tempfile.mkdtemp(prefix="orthanc-"))
            folder = wanted.resolve()
        elif wanted is None:
            return Path(tempfile.mkdtemp(prefix="orthanc-", dir=self.root / "srv"))
        else:
            name = hashlib.sha256(str(wanted.resolve()).encode()).hexdigest()[:16]
            folder = self.root / "srv" / f"orthanc-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class LocalOrthanc:
    """An Orthanc on a free port of the loopback interface.

    Its data stay in `folder`, and another LocalOrthanc with the same folder finds them again. (With a `root` they are
    inside it: see the attribute `folder`.) Without `folder`, they are in a new folder, which is removed at the end
    of the `with` block.

    `users` (name → password) turns authentication on. `plugins` are paths as Orthanc sees them. `configuration`
    overrides entries of Orthanc's configuration file. `verbose` logs every HTTP request.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        installation: Installation | None = None,
        users: Mapping[str, str] | None = None,
        plugins: Sequence[str] = (),
        configuration: Mapping[str, object] | None = None,
        verbose: bool = False,
    ) -> None:
        self._installation = installation or Installation.find()
        self._is_temporary = folder is None
        self.folder = self._installation.make_folder(folder)
        self.port = free_port()
        self._users = dict(users or {})
        self._plugins = list(plugins)
        self._configuration = dict(configuration or {})
        self._verbose = verbose
        self._process: ChildProcess | None = None
        self._version: str | None = None

    @property
    def base_url(self) -> str:
        """The URL of its REST API, without credentials."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """Its log, of all starts."""
        return self.folder / "orthanc.log"

    @property
    def index_file(self) -> Path:
        """Its SQLite index, which only one process can open."""
        return self.folder / "storage" / "index"

    @property
    def version(self) -> str:
        """Its version, such as 1.12.7. SandboxError before its first start."""
        if self._version is None:
            raise SandboxError("This Orthanc has not been started.")
        return self._version

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.exit_code is None

    @property
    def pid(self) -> int | None:
        """The process id, None if it does not run."""
        return self._process.pid if self._process and self.is_running else None

    def start(self, timeout: float = START_TIMEOUT_SECONDS) -> None:
        """Start it, and wait until it responds; each time on the same port, with the same folder.

        Raises SandboxError with the end of the log if it does not.
        """
        if self.is_running:
            return
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._settings(), indent=2))
        self._process = ChildProcess(
            self._installation.command(configuration, verbose=self._verbose),
            log=self.log_file,
            environment=self._installation.environment(),
        )
        try:
            self._version = self._wait_until_ready(time.monotonic() + timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop it cleanly, which takes up to 3 seconds when it is idle."""
        if self._process:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """Kill it, like a crash."""
        if self._process:
            self._process.kill()
            self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._remove_temporary()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _settings(self) -> dict[str, object]:
        folder = self._installation.inner_path(self.folder)
        return {
            "Name": "sandbox",
            "StorageDirectory": f"{folder}/storage",
            "IndexDirectory": f"{folder}/storage",
            "Plugins": self._plugins,
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(self._users),
            "RegisteredUsers": self._users,
            **self._configuration,
        }

    def _wait_until_ready(self, deadline: float) -> str:
        while time.monotonic() < deadline:
            if not self.is_running:
                raise SandboxError(f"Orthanc ended during its start. {self._end_of_log()}")
            try:
                return self._ask_version()
            except (OSError, ValueError, KeyError):
                time.sleep(0.05)
        raise SandboxError(f"Orthanc did not start in time. {self._end_of_log()}")

    def _ask_version(self) -> str:
        request = urllib.request.Request(f"{self.base_url}/system", headers=self.headers)  # noqa: S310  http only
        with _opener.open(request, timeout=5) as answer:
            return str(json.load(answer)["Version"])

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that authenticate its first user; empty without users."""
        if not self._users:
            return {}
        name, password = next(iter(self._users.items()))
        credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}

    def _end_of_log(self) -> str:
        try:
            tail = self.log_file.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return "It has no log."
        return f"The end of {self.log_file}:\n{tail}"


# without a proxy from the environment
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


_MAX_RESERVED_PORTS = 128
_reserved_ports: deque[socket.socket] = deque()


def free_port() -> int:
    """Return a TCP port on which nothing listens, and which Linux gives to nobody who asks for any port.

    For that, the last of these ports stay bound: a server can listen on them that sets SO_REUSEADDR, as servers do.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # on all addresses, since Orthanc listens on all, even without RemoteAccessAllowed
    probe.bind(("", 0))
    port = int(probe.getsockname()[1])
    # a server that takes seconds to start, or is killed and started again, would find it in use by others
    _reserved_ports.append(probe)
    while len(_reserved_ports) > (_MAX_RESERVED_PORTS if sys.platform == "linux" else 0):
        _reserved_ports.popleft().close()
    return port
