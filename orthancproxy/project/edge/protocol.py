"""HTTP/1.1 of uvicorn, with a limit on request heads, time limits for clients, and errors in JSON.

It uses private attributes of uvicorn's httptools protocol (`flow`, `cycle`, `timeout_keep_alive_task`, and those for
upgrades), and was checked with uvicorn 0.54.0.
"""

import asyncio
import socket
import sys
import time

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from orthancproxy.conf import conf
from orthancproxy.http.content_security import NOTHING
from orthancproxy.http.error_responses import error_response
from orthancproxy.http.transfers import BEGUN
from orthancproxy.metrics import REJECTED_HEADS
from orthancproxy.project.edge.slow_clients import Awaited, SlowClientTimer
from orthancproxy.project.server.ending import ENDING

BODY_HEADERS = {b"content-length", b"transfer-encoding"}
MAX_HEAD_BYTES = 64 * 1024  # of a request line and headers; uvicorn's httptools has no limit, its h11 this one


class Protocol(HttpToolsProtocol):
    """A connection, which is closed if its client is too slow (`slow_clients`)."""

    _head_bytes = 0.0  # of an incomplete head; -inf within a body, where none are counted
    _timer: SlowClientTimer | None = None
    _data = b""  # that is parsed now
    _body_bytes = 0
    _heads = 0
    _pauses = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit_unacknowledged_time(transport)
        self._timer = SlowClientTimer(self.loop, self._progress, self._time_out)

    def shutdown(self) -> None:
        """End the event streams: the server waits until all responses have ended."""
        # it imports models, and uvicorn imports this module before the apps are ready
        from orthancproxy.http.event_streams import event_streams

        event_streams.close()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless the head is too long."""
        self._head_bytes += len(data)
        self._data = data
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._reject(431, "The URL and headers of the request are longer than the gateway accepts.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[BEGUN] = time.perf_counter()  # type: ignore[literal-required]  # a key of our own

    def on_headers_complete(self) -> None:
        self._head_bytes = float("-inf")
        self._heads += 1
        super().on_headers_complete()
        if ENDING.closes_connections:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect another head: clients send several requests over a connection."""
        self._head_bytes = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait until the client has read what was written."""
        self._pauses += 1
        super().pause_writing()

    def _should_upgrade(self) -> bool:
        """Whether the body of a request for another protocol, such as HTTP/2, is left: llhttp parses none."""
        names = {name for name, _ in self.headers}
        return self.scope["method"] != "CONNECT" and not names.isdisjoint(BODY_HEADERS)

    def handle_websocket_upgrade(self) -> None:
        """Ignore the Upgrade header (RFC 9110, section 7.8): parse the head again, without it, and then the body."""
        upgrade = sys.exception()
        assert upgrade is not None  # noqa: S101 - for mypy: uvicorn calls this while it handles HttpParserUpgrade
        headers = b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self.scope["method"].encode(), self.url, headers)
        self.data_received(head + self._data[upgrade.args[0] :])

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: anyone can cause uvicorn's warnings, and what they recommend does not help."""

    def send_400_response(self, msg: str) -> None:
        self._reject(400, "The request is malformed.")

    def _limit_unacknowledged_time(self, transport: asyncio.Transport) -> None:
        """Let the kernel close the connection of a host that has vanished: by default it tries for 15 minutes."""
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6) and sys.platform == "linux":
            milliseconds = round(conf.ORTHANC_CLIENT_TIMEOUT * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def _progress(self) -> tuple[Awaited | None, int]:
        if self.flow.write_paused:
            # nothing is written meanwhile: what is no longer in the buffer was read
            return Awaited("response", self._pauses), -self.transport.get_write_buffer_size()
        if self.timeout_keep_alive_task is not None or self.flow.read_paused:
            return None, 0
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            return Awaited("head", self._heads), 0
        return (Awaited("body", self._heads), self._body_bytes) if cycle.more_body else (None, 0)

    def _time_out(self, awaited: Awaited) -> None:
        if awaited.part == "head" or (awaited.part == "body" and not self.cycle.response_started):
            self._reject(408, "The request did not arrive in time.")
        else:
            # close() would wait until the client has read the rest
            self.transport.abort()

    def _reject(self, status: int, detail: str) -> None:
        # further data is no request either
        self._head_bytes = float("-inf")
        REJECTED_HEADS.labels(status).inc()
        response = error_response(status, "BAD_USER_INPUT" if status == 400 else "LIMIT_EXCEEDED", detail)
        response["Content-Length"] = str(len(response.content))
        response["Content-Security-Policy"] = NOTHING
        response["X-Content-Type-Options"] = "nosniff"
        response["Cache-Control"] = "no-store"
        response["Connection"] = "close"
        line = f"HTTP/1.1 {status} {response.reason_phrase}\r\n".encode()
        self.transport.write(line + response.serialize_headers() + b"\r\n\r\n" + response.content)
        self.transport.close()
