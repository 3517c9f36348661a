"""A proxy before an Orthanc: it remembers every request, and fails on demand as networks and servers do."""

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from urllib3.util import Timeout

from orthancproxy.orthanc.connections import OrthancConnections

HOP_BY_HOP = frozenset({"connection", "keep-alive", "content-length", "transfer-encoding"})
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request.

    `delay` are seconds to wait first. `answer` are the bytes that come instead of Orthanc's answer before the
    connection is closed; none at all where it is empty. Without it, Orthanc's own answer comes, and breaks off
    after `cut` bytes of its body.
    """

    delay: float = 0.0
    answer: bytes | None = None
    cut: int | None = None


def answering(status: int, body: bytes = b"", **headers: str) -> Fault:
    """A fault that is a well-formed answer; `headers` have underscores for dashes, and win."""
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): headers[name] for name in headers}}
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return Fault(answer="\r\n".join(lines).encode("latin-1") + body)


@contextmanager
def impatient(seconds: float = 0.5, on: str = "") -> Iterator[None]:
    """Within the block, answers that take longer are too late, to calls whose method and URL have `on` in them.

    A setting would do so to the other calls of a test, too, which may take that long on a busy machine.
    """
    send = OrthancConnections.send

    def hurried(
        connections: Any, method: str, url: str, data: Any, query: Any, headers: Any, timeout: Any, **more: Any
    ) -> Any:
        limit = Timeout(read=seconds) if on in f"{method} {url}" else timeout
        return send(connections, method, url, data, query, headers, limit, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OrthancConnections, "send", hurried)
        yield


DROPPED = Fault(answer=b"")
GARBAGE: Mapping[str, Fault] = {
    "an HTML page": answering(200, b"<html><body>Welcome to nginx!</body></html>", Content_Type="text/html"),
    "an empty body": answering(200),
    "no content": Fault(answer=b"HTTP/1.1 204 No Content\r\n\r\n"),
    "truncated JSON": answering(200, b'[{"ID": "abc'),
    "a body shorter than its length": answering(200, b"[]", Content_Length="200"),
    "a body longer than its length": answering(200, b'[{"ID": 1}]', Content_Length="5"),
    "a length that is no number": answering(200, b"<", Content_Length="many"),
    "two lengths": answering(200, b"[]", Content_Length="2, 3"),
    "broken chunks": Fault(answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n"),
    "a body that is not gzip": answering(200, b"[]", Content_Encoding="gzip"),
    "binary": Fault(answer=bytes(range(256)) * 8),
    "half a status line": Fault(answer=b"HTTP/1.1 2"),
    "another protocol": Fault(answer=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "an endless header": Fault(answer=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n[]"),
    "a thousand headers": Fault(answer=b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n[]"),
    "a binary encoding": answering(200, b"\xff\xfe[\x00]\x00"),
    "nested JSON": answering(200, b"[" * 100_000),
    "a redirect": answering(302, Location="/system"),
    "a redirect to nowhere": answering(302, Location="http://["),
    "a redirect that can't be read": answering(302, Location="\xff\xfe"),
    "a status of no meaning": answering(799),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived: `path` is what stood on its first line, undecoded, with its query."""

    method: str
    path: str
    headers: Message
    body: bytes

    def __contains__(self, text: str) -> bool:
        """Whether the text is anywhere in the request's first line or body."""
        return text.encode() in self.path.encode("latin-1") or text.encode() in self.body


class RecordingProxy:
    """Listens on a port of this machine while its `with` block runs, and passes on to `target`, another port.

    `requests` are those that came, in their order. `prefix` is a path that it answers under, and `tls` makes it
    speak HTTPS.
    """

    def __init__(self, target: int, *, prefix: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.prefix = prefix
        self.tls = tls
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, str]] = []
        self._lasting: tuple[Fault, str] | None = None
        self._server = _Server(self)
        self.port = int(self._server.server_address[1])
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{prefix}"

    def fail(self, *faults: Fault, on: str = "") -> None:
        """Let the next requests fail, one by one; those whose path has `on` in it."""
        with self._lock:
            self._faults += [(fault, on) for fault in faults]

    def keep_failing(self, fault: Fault, on: str = "") -> None:
        """Let every request fail, or those whose path has `on` in it, until `recover`."""
        with self._lock:
            self._lasting = (fault, on)

    def recover(self) -> None:
        """Be well again."""
        with self._lock:
            self._lasting = None
            self._faults.clear()

    def lines(self) -> list[str]:
        """Method and path of each request."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def received(self, request: Request) -> Fault:
        """Remember a request, and tell what goes wrong with it."""
        with self._lock:
            self.requests.append(request)
            for position, (fault, on) in enumerate(self._faults):
                if on in request.path:
                    del self._faults[position]
                    return fault
            if self._lasting and self._lasting[1] in request.path:
                return self._lasting[0]
            return Fault()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: RecordingProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.proxy.tls:
            # the handshake comes with the first byte that is read, in the connection's own thread
            connection = self.proxy.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up or refuses a certificate is what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write no log."""

    def pass_on(self) -> None:
        """Answer a request: with Orthanc's answer, or badly."""
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # not self.path, which is tidied up
        path = self.requestline.split(" ")[1]
        fault = proxy.received(Request(self.command, path, self.headers, body))
        if proxy.stopping.wait(fault.delay):
            self.close_connection = True
        elif fault.answer is not None:
            self.wfile.write(fault.answer)
            self.close_connection = True
        else:
            with closing(http.client.HTTPConnection("127.0.0.1", proxy.target)) as orthanc:
                self._relay(orthanc, path.removeprefix(proxy.prefix), body, fault.cut)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815 - the base class's names

    def _relay(self, orthanc: http.client.HTTPConnection, path: str, body: bytes, cut: int | None) -> None:
        try:
            orthanc.request(self.command, path, body or None, dict(self.headers.items()))
            answer = orthanc.getresponse()
        except (OSError, http.client.HTTPException):
            # there is no Orthanc, so there is nobody here either
            self.close_connection = True
            return
        # a length of 0 also where there is no body: HEAD, 204, 304
        in_chunks = answer.length is None
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if in_chunks:
            self.send_header("Transfer-Encoding", "chunked")
        elif "Content-Length" in answer.headers:
            self.send_header("Content-Length", answer.headers["Content-Length"])
        self.end_headers()
        while piece := answer.read1(PIECE if cut is None else min(cut, PIECE)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if in_chunks else piece)
            if cut is not None:
                cut -= len(piece)
                if not cut:
                    self.close_connection = True
                    return
        if in_chunks:
            self.wfile.write(b"0\r\n\r\n")
