"""A connection to a server of this machine that is kept open."""

import http.client
import json
from typing import Any


class Connection:
    """Calls a server on a port."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Return the status and the body of a response; what is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        try:
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            # it was restarted, or closed what was idle
            self._connection.close()
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
        return response.status, response.read()
