"""A child process that does not outlive its parent."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT = 15.0  # seconds


class ChildProcess:
    """A process in a session of its own: Ctrl-C in a terminal reaches its parent only, which then stops it.

    Should the parent die without stopping it (SIGKILL), the kernel does: util-linux' setpriv asks for that
    (PR_SET_PDEATHSIG) before it becomes the command. The kernel looks at the thread that started the process,
    so start it from one that lasts. Where there is no setpriv (not Linux), a killed parent leaves its child.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        setpriv = shutil.which("setpriv")
        if setpriv:
            command = [setpriv, "--pdeathsig", "SIGTERM", "--", *command]
        output = log.open("ab") if log else None
        try:
            self._process = subprocess.Popen(  # noqa: S603  the command is this project's own
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                env=environment,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask it to end (SIGTERM), and kill it when it has not after `timeout` seconds."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()
        self._process.wait()
