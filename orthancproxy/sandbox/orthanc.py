"""Find an Orthanc on this machine, and run it over a folder of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
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
"""Configuration that puts into Orthanc's index what the gateway shows of an instance.

Orthanc before 1.11 takes no notice of it; newer ones warn of tags that are in the index anyway
(ImagePositionPatient, ImageOrientationPatient, NumberOfFrames), so these are left out.
"""

START_TIMEOUT = 60.0  # seconds; it takes 1 to 4 on an idle machine
_LOG_TAIL = 2_000  # bytes of the log that an error shows


class SandboxError(Exception):
    """Something that the sandbox needs is missing or does not start; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An Orthanc that can be run: this machine's, or that of another Debian in the folder `root` (chroot)."""

    executable: str
    root: Path | None = None

    @classmethod
    def find(cls) -> Self:
        """What ORTHANC_ROOT or ORTHANC_BIN (environment) names, else `Orthanc` on the PATH or in /usr/sbin.

        SandboxError says what to install when there is none.
        """
        if root := os.environ.get("ORTHANC_ROOT"):
            if not Path(root, "usr/sbin/Orthanc").is_file():
                raise SandboxError(f"ORTHANC_ROOT is {root}, and there is no usr/sbin/Orthanc in it.")
            if os.geteuid() != 0:
                raise SandboxError("ORTHANC_ROOT needs root: Orthanc is run there through chroot.")
            return cls("/usr/sbin/Orthanc", Path(root).resolve())
        if named := os.environ.get("ORTHANC_BIN"):
            executable = shutil.which(named)
            if executable is None:
                raise SandboxError(f"ORTHANC_BIN is {named}, which cannot be run.")
            return cls(executable)
        # Debian installs it where only root's PATH looks
        executable = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")
        if executable is None:
            raise SandboxError(
                "There is no Orthanc: install it (Debian, Ubuntu: apt-get install orthanc), "
                "or set ORTHANC_BIN to it, or ORTHANC_BASE_URL to one that runs."
            )
        return cls(executable)

    def command(self, configuration: Path, *, verbose: bool) -> list[str]:
        """The command line that runs Orthanc with a configuration file."""
        chroot = ["chroot", str(self.root)] if self.root else []
        return [*chroot, self.executable, *(["--verbose"] if verbose else []), self.inner_path(configuration)]

    def inner_path(self, path: Path) -> str:
        """How Orthanc itself calls a path."""
        return str(path) if self.root is None else f"/{path.relative_to(self.root)}"

    def environment(self) -> dict[str, str]:
        """The environment to run it in: below a `root` there is no folder that TMPDIR names."""
        return {name: value for name, value in os.environ.items() if name != "TMPDIR" or self.root is None}

    def make_folder(self, wanted: Path | None) -> Path:
        """A folder that Orthanc can reach: `wanted`, a new one, or, with a `root`, one in it for `wanted`."""
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
    """An Orthanc of one's own, on a free port that only this machine can reach.

    With a `folder`, what is stored stays there, and another LocalOrthanc over the same folder finds it again
    (an Installation with a `root` keeps it inside that root instead: the attribute `folder` says where).
    Without one, the folder is a new one, and goes when the `with` block ends.

    `users` (name → password) switches authentication on. `plugins` are paths as Orthanc sees them.
    `configuration` is added to Orthanc's configuration file, and wins. `verbose` logs every HTTP request.
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
        """Where its REST API is, without credentials."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """What it wrote, over all its starts."""
        return self.folder / "orthanc.log"

    @property
    def version(self) -> str:
        """Its version, such as 1.12.7; known once it has started."""
        if self._version is None:
            raise SandboxError("This Orthanc has not been started.")
        return self._version

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.exit_code is None

    @property
    def pid(self) -> int | None:
        """The process id, None when it is not running."""
        return self._process.pid if self._process and self.is_running else None

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Start it and wait until it answers; on the same port and folder each time.

        SandboxError shows the end of the log when it does not.
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
        """Let it finish what it does (up to 3 seconds when idle), and end it."""
        if self._process:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
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
                raise SandboxError(f"Orthanc ended while it started. {self._end_of_log()}")
            try:
                return self._ask_version()
            except (OSError, ValueError, KeyError):
                time.sleep(0.05)
        raise SandboxError(f"Orthanc did not answer in time. {self._end_of_log()}")

    def _ask_version(self) -> str:
        request = urllib.request.Request(f"{self.base_url}/system", headers=self.headers)  # noqa: S310  http only
        with _opener.open(request, timeout=5) as answer:
            return str(json.load(answer)["Version"])

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that its first user sends; none without users."""
        if not self._users:
            return {}
        name, password = next(iter(self._users.items()))
        credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}

    def _end_of_log(self) -> str:
        try:
            tail = self.log_file.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
        except OSError:
            return "It wrote no log."
        return f"The end of {self.log_file}:\n{tail}"


# a proxy from the environment has no business between us and a port of this machine
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A TCP port that nothing on this machine listens on."""
    with socket.socket() as probe:
        # Orthanc listens on all addresses, whatever RemoteAccessAllowed says, so the port must be free on all
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
