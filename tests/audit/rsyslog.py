"""A real syslog receiver: Debian's rsyslog, with mutual TLS by GnuTLS or OpenSSL."""

import os
import signal
import subprocess
from pathlib import Path

from orthancproxy.sandbox.orthanc import free_port
from tests.audit.certificates import Certificates
from tests.waiting import wait_until

CONFIGURATION = """
global(
    workDirectory="{folder}"
    maxMessageSize="64k"
    defaultNetstreamDriver="{driver}"
    defaultNetstreamDriverCAFile="{certificates.authority}"
    defaultNetstreamDriverCertFile="{certificates.server}"
    defaultNetstreamDriverKeyFile="{certificates.server_key}"
)
module(load="imtcp" streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="raw" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{folder}/messages" template="raw")
"""


class Rsyslog:
    """An rsyslog, which writes what it gets to a file, a line for each message."""

    def __init__(self, folder: Path, certificates: Certificates, driver: str) -> None:
        folder.mkdir()
        self.port = free_port()
        self._configuration = folder / "rsyslog.conf"
        self._messages = folder / "messages"
        self._pid_file = folder / "pid"
        self._configuration.write_text(
            CONFIGURATION.format(folder=folder, certificates=certificates, driver=driver, port=self.port)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._pid_file.unlink(missing_ok=True)
        command = ["/usr/sbin/rsyslogd", "-n", "-f", str(self._configuration), "-i", str(self._pid_file)]
        self._process = subprocess.Popen(command)
        wait_until(self._pid_file.exists)

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def messages(self) -> list[bytes]:
        """Return all that it has written."""
        return self._messages.read_bytes().splitlines() if self._messages.exists() else []
