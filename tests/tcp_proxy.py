"""A proxy that knows nothing of HTTP, and does to connections what networks do to them."""

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from tests.waiting import POLL_SECONDS

PIECE = 64 * 1024
AT_ONCE = 0.05  # seconds between the drops of a trickle
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a socket that is closed so sends RST


@dataclass(frozen=True, slots=True)
class TCPFault:
    """What happens to connections, from the moment when the client has sent `on`.

    Each piece is late by `latency` seconds, or, if the fault `holds` them, until there is another one; a trickle has
    `rate` bytes a second. After `after` bytes in one direction,
    `up` to the server or `down` to the client, what `then` says happens: both sides are closed ("fin", "rst"), nothing
    more comes that way while the other stays open ("half-close"), what comes is noise ("garbage"), or it is swallowed
    ("hang").
    """

    on: bytes = b""
    latency: float = 0.0
    holds: bool = False
    rate: int | None = None
    direction: Literal["up", "down"] = "down"
    after: int | None = None
    then: Literal["fin", "rst", "half-close", "garbage", "hang"] = "fin"


WELL = TCPFault()


class TCPProxy:
    """Listens on a port of this machine while its `with` block runs, and passes on to `target`, another port."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.fault = WELL
        self.met = threading.Event()  # whether a connection met the fault
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}"

    def suffer(self, fault: TCPFault) -> None:
        """Let this happen from now on, to connections that are open too; `WELL` ends it."""
        self.met.clear()
        self.fault = fault

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    # there is no server, so there is nobody here either
                    client.close()
                    continue
                _Connection(self, client, server)


class _Connection:
    def __init__(self, proxy: TCPProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._both = client, server
        self._met: TCPFault | None = None  # the fault that this connection has met
        self._ended = False
        self._passed = 0  # bytes in the fault's direction since then
        for one in self._both:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, direction in ((client, server, "up"), (server, client, "down")):
            threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                fault = self._proxy.fault
                if direction == "up" and fault is not WELL and fault is not self._met and fault.on in data:
                    self._met, self._passed = fault, 0
                    self._proxy.met.set()
                self._pass_on(data, sink, direction, fault if fault is self._met else WELL)
            if not self._ended:
                sink.shutdown(socket.SHUT_WR)
            return
        if not self._ended:
            self._end(reset=False)

    def _pass_on(self, data: bytes, sink: socket.socket, direction: str, fault: TCPFault) -> None:
        time.sleep(fault.latency)
        while fault.holds and self._proxy.fault is fault:
            time.sleep(POLL_SECONDS)
        if fault.after is not None and fault.direction == direction:
            room = max(fault.after - self._passed, 0)
            self._passed += len(data)
            if len(data) > room:
                self._send(data[:room], sink, fault.rate)
                self._break(data[room:], sink, fault)
                return
        self._send(data, sink, fault.rate)

    def _send(self, data: bytes, sink: socket.socket, rate: int | None) -> None:
        drop = len(data) if rate is None else max(int(rate * AT_ONCE), 1)
        for start in range(0, len(data), drop or 1):
            sink.sendall(data[start : start + drop])
            if rate is not None:
                time.sleep(AT_ONCE)

    def _break(self, rest: bytes, sink: socket.socket, fault: TCPFault) -> None:
        match fault.then:
            case "fin" | "rst":
                self._end(reset=fault.then == "rst")
                raise OSError
            case "half-close":
                sink.shutdown(socket.SHUT_WR)
            case "garbage":
                sink.sendall(random.Random(len(rest)).randbytes(len(rest)))

    def _end(self, *, reset: bool) -> None:
        self._ended = True
        for one in self._both:
            with suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                # wakes up the other thread, without which the kernel does not close it
                one.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        for one in self._both:
            one.close()
