"""HTTP on the wire: uvicorn's, with a limit on what comes before a body, and with errors in JSON.

uvicorn --http orthancproxy.project.edge.protocol:Protocol …
"""

from orthancproxy.http.content_security import NOTHING
from orthancproxy.http.error_responses import error_response
from orthancproxy.project.edge.slow_clients import TimedProtocol

MOST = 64 * 1024  # bytes of a request line and headers; uvicorn's httptools has no limit, its h11 this one


class Protocol(TimedProtocol):
    """One connection."""

    # bytes of a head that is not complete; none are counted within a body
    _head = 0.0

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head never ends."""
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST and not self.transport.is_closing():
            self._refuse(431, "The request's address and headers are longer than the gateway accepts.")

    def on_headers_complete(self) -> None:
        """Count no more."""
        self._head = float("-inf")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Count anew: clients send several requests over a connection."""
        self._head = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(400, "The request can't be understood.")

    def _refuse(self, status: int, detail: str) -> None:
        # the rest of it, if more comes, is no request either
        self._head = float("-inf")
        response = error_response(status, "BAD_USER_INPUT" if status == 400 else "LIMIT_EXCEEDED", detail)
        response["Content-Length"] = str(len(response.content))
        response["Content-Security-Policy"] = NOTHING
        response["X-Content-Type-Options"] = "nosniff"
        response["Cache-Control"] = "no-store"
        response["Connection"] = "close"
        line = f"HTTP/1.1 {status} {response.reason_phrase}\r\n".encode()
        self.transport.write(line + response.serialize_headers() + b"\r\n\r\n" + response.content)
        self.transport.close()
