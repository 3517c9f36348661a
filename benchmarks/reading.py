"""Fetch and parse JSON from a local server, over one connection."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import orjson
import requests

from benchmarks.servers import ORTHANC_TIMEOUT, session


class Reader:
    """A client with its own connection, for the duration of a `with` block."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session = session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._session.close()

    def get(self, path: str) -> Any:
        """Return the parsed response to a GET."""
        return orjson.loads(self._content("GET", path))

    def post(self, path: str, body: object) -> Any:
        """Return the parsed response to a POST that only reads."""
        return orjson.loads(self.post_for_bytes(path, body))

    def post_for_bytes(self, path: str, body: object) -> bytes:
        """Return the same without parsing."""
        return self._content("POST", path, orjson.dumps(body))

    def size(self, path: str) -> int:
        """Return the size of the response to a GET in bytes, read in chunks."""
        with self._session.get(f"{self._address}{path}", stream=True, timeout=ORTHANC_TIMEOUT) as answer:
            answer.raise_for_status()
            return sum(len(piece) for piece in answer.iter_content(256 * 1024))

    def _content(self, method: str, path: str, data: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"} if data is not None else None
        for last_try in (False, True):
            try:
                answer = self._session.request(
                    method, f"{self._address}{path}", data=data, headers=headers, timeout=ORTHANC_TIMEOUT
                )
            except requests.ConnectionError:
                # Orthanc closes a connection after one idle second, which may be now
                if last_try:
                    raise
            else:
                answer.raise_for_status()
                return answer.content
        raise AssertionError("unreachable")
