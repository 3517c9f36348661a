"""Syslog messages over TLS: RFC 5425 frames of RFC 5424 messages, as PS3.15 section A.6 profiles them.

Syslog has no acknowledgements. What stands in for one is the end of the connection: a receiver that gets the sender's
close_notify answers with its own (RFC 5425 section 4.4; rsyslog with GnuTLS does not) and closes its socket. If it is
killed or closes the socket without having read everything, its kernel resets the connection instead, or does not
acknowledge what arrives later.
"""

import fcntl
import re
import socket
import ssl
import sys
import termios
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

DEFAULT_PORT = 6514
APP_NAME = "orthanc-graphql-gateway"
MESSAGE_ID = "DICOM+RFC3881"
FACILITY = 10  # security/authorization messages
NOTICE, WARNING = 5, 4
MAX_HOSTNAME_CHARACTERS = 255
SECONDS_PER_STEP = 10.0
"""For connecting, for the handshake, for each part that is sent, and for the end."""
BYTES_PER_SEND = 64 * 1024

_NOT_PRINTABLE = re.compile("[^\x21-\x7e]")


class Unanswered(OSError):
    """The receiver did not end a connection that the sender ended."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A syslog receiver, the PEM files of its authorities (if empty, the system's) and of the client's certificate.

    The key may be in the file of the certificate.
    """

    host: str
    port: int
    ca_bundle: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def url(self) -> str:
        """Its URL as in `ORTHANC_AUDIT_SYSLOG`, `tls://host:port`; an IPv6 address is in brackets."""
        return f"tls://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_url(url: str) -> tuple[str, int]:
    """Return host and port of a URL such as `tls://audit.example.org:6514`. Raises ValueError."""
    parts = urlsplit(url)
    has_more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "tls" or not parts.hostname or parts.port == 0 or has_more:
        raise ValueError(url)
    return parts.hostname, parts.port or DEFAULT_PORT


def syslog_message(text: str, at: datetime, source: str, *, severity: int = NOTICE) -> bytes:
    """Return a message with its header, such that the same event gives the same bytes whoever sends it."""
    timestamp = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    hostname = _NOT_PRINTABLE.sub("-", source)[:MAX_HOSTNAME_CHARACTERS] or "-"
    header = f"<{FACILITY * 8 + severity}>1 {timestamp} {hostname} {APP_NAME} - {MESSAGE_ID} - "
    return f"{header}\ufeff{text}".encode()


class SyslogConnection:
    """A connection to a receiver, in a `with` block. Messages have arrived if `end` returns.

    Everything raises OSError, of which `ssl.SSLError` is a kind.
    """

    def __init__(self, receiver: Receiver) -> None:
        context = ssl.create_default_context(cafile=receiver.ca_bundle or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if receiver.certificate:
            # without a password, OpenSSL would ask for it on the terminal
            context.load_cert_chain(receiver.certificate, receiver.key or None, password="")
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        # not a socket of its own: the end of TLS and that of TCP are told apart
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=receiver.host)
        self._socket = socket.create_connection((receiver.host, receiver.port), SECONDS_PER_STEP)

    def __enter__(self) -> Self:
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                    self._read()
            self._flush()
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, message: bytes) -> None:
        """Send a message, or put it with those that are sent next."""
        self._tls.write(b"%d " % len(message) + message)
        if self._to_send.pending >= BYTES_PER_SEND:
            self._flush()

    def end(self) -> None:
        """End the connection, and return once the receiver has ended it too: it has read all messages.

        Raises Unanswered if it does not, and ConnectionError or `ssl.SSLError` if it has not read all.
        """
        self._end_tls()
        self._flush()
        try:
            while data := self._socket.recv(BYTES_PER_SEND):
                self._received.write(data)
                self._end_tls()
        except TimeoutError as error:
            message = f"it did not end a connection within {SECONDS_PER_STEP:g} seconds (RFC 5425 section 4.4)"
            raise Unanswered(message) from error
        # a socket that is closed acknowledges what was read from it before, not what arrives later
        if _unacknowledged_bytes(self._socket) or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionResetError("it closed the connection without having read all")

    def _end_tls(self) -> None:
        """Make the close_notify, and read what the receiver has sent: raises `ssl.SSLError` for its alerts.

        Its own close_notify is no proof. It may have been sent before.
        """
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()

    def _flush(self) -> None:
        if self._to_send.pending:
            self._socket.sendall(self._to_send.read())

    def _read(self) -> None:
        data = self._socket.recv(BYTES_PER_SEND)
        if not data:
            raise ConnectionAbortedError("it closed the connection during the handshake")
        self._received.write(data)


def _unacknowledged_bytes(connected: socket.socket) -> int:
    """Return the number of bytes that the other side's kernel has not acknowledged (Linux: SIOCOUTQ)."""
    answer = fcntl.ioctl(connected, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)
