"""Store data sets in an Orthanc."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from pydicom.dataset import Dataset

from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.orthanc import SandboxError


def is_empty(base_url: str, headers: Mapping[str, str]) -> bool:
    """Whether an Orthanc has no instances."""
    connection = _connect(base_url)
    try:
        statistics = _answer(connection, "GET", "/statistics", headers)
        return statistics["CountInstances"] == 0
    finally:
        connection.close()


def load(datasets: Iterable[Dataset], base_url: str, headers: Mapping[str, str]) -> Iterator[str]:
    """Store data sets one by one; yield the Orthanc id of each after it is stored."""
    connection = _connect(base_url)
    try:
        for dataset in datasets:
            body = encode(dataset)
            try:
                answer = _answer(connection, "POST", "/instances", headers, body)
            except (http.client.RemoteDisconnected, ConnectionError):
                # Orthanc closes connections that are idle for a second; storing a file again changes nothing
                connection.close()
                answer = _answer(connection, "POST", "/instances", headers, body)
            yield str(answer["ID"])
    finally:
        connection.close()


def _connect(base_url: str) -> http.client.HTTPConnection:
    address = urlsplit(base_url)
    return http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=60)


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> dict[str, object]:
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise SandboxError(f"Orthanc responded to {method} {path} with status {response.status}: {content[:200]!r}")
    answer: dict[str, object] = json.loads(content)
    return answer
