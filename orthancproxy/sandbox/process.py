"""A child process that does not outlive its parent."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT_SECONDS = 15.0


class ChildProcess:
    """A process in its own session: Ctrl-C in a terminal reaches only its parent, which then stops it.

    If the parent is killed (SIGKILL), the kernel stops the child: setpriv of util-linux requests it
    (PR_SET_PDEATHSIG), and then executes the command. The signal follows the end of the thread that started the
    process, so start it in a long-lived one. Without setpriv (not Linux), the child of a killed parent survives.
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
        """The process id, also after its end."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def stop(self, timeout: float = STOP_TIMEOUT_SECONDS) -> None:
        """Send SIGTERM, and kill it if it still runs after `timeout` seconds."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL), and wait for its end."""
        self._process.kill()
        self._process.wait()
