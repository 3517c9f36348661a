"""A syslog receiver with mutual TLS, which keeps what it reads and can fail."""

import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import Self

from tests.audit.certificates import Certificates

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a socket that is closed so sends RST


class SyslogReceiver:
    """Listens on a port of this machine while its `with` block runs.

    `max_messages`: after so many on one connection, it closes that without reading on, once. `ends_after_each`: it
    ends each connection after its first message. `holds`: it does not end connections that the sender has ended.
    """

    def __init__(self, certificates: Certificates, port: int = 0) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.server, certificates.server_key)
        self._context.load_verify_locations(certificates.authority)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.messages: list[bytes] = []
        self.connections = 0
        self.max_messages: int | None = None
        self.resets = False
        self.ends_after_each = False
        self.holds = threading.Event()
        self._held: list[ssl.SSLSocket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on."""
        with suppress(OSError):
            # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[accepted], daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError):
            accepted.settimeout(20)
            connection = self._context.wrap_socket(accepted, server_side=True)
            with connection, connection.makefile("rb") as stream:
                read = 0
                while length := _length(stream):
                    if read == self.max_messages:
                        self.max_messages = None
                        if self.resets:
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        return
                    self.messages.append(stream.read(length))
                    read += 1
                    if self.ends_after_each:
                        return
                if self.holds.is_set():
                    self._held.append(connection)
                    threading.Event().wait(20)
                    return
                with suppress(OSError):
                    connection.unwrap()


def _length(stream: object) -> int:
    digits = b""
    while (digit := stream.read(1)) not in (b"", b" "):  # type: ignore[attr-defined]
        digits += digit
    return int(digits or b"0")
