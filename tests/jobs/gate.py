"""A DICOM server that takes what is sent to it only once it may: a job to it goes on for as long as a test wants."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

from tests.waiting import wait_until

CHUNK_BYTES = 65_536


@dataclass
class Gate:
    """Connections to `port`, which wait until the gate is opened or closed."""

    port: int
    _target: int
    _decided: Event = field(default_factory=Event)
    _is_open: bool = False
    _sockets: list[socket.socket] = field(default_factory=list)

    def open(self) -> None:
        """Let connections reach the server, those that wait and later ones."""
        self._is_open = True
        self._decided.set()

    def close(self) -> None:
        """Break off all connections."""
        self._is_open = False
        self._decided.set()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Return when something has connected: a job that goes on."""
        wait_until(lambda: self._sockets)

    def accept(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._keep(client)
                Thread(target=self._connect, args=[client], daemon=True).start()

    def _keep(self, one: socket.socket) -> None:
        # as in `tests.jobs.servers`
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets.append(one)

    def _connect(self, client: socket.socket) -> None:
        self._decided.wait()
        if not self._is_open:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        self._keep(server)
        Thread(target=self._pass, args=[server, client], daemon=True).start()
        self._pass(client, server)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def gate_to(port: int) -> Iterator[Gate]:
    """A gate in front of a server on this machine; it is closed at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = Gate(listener.getsockname()[1], port)
        Thread(target=gate.accept, args=[listener], daemon=True).start()
        yield gate
        gate.close()
