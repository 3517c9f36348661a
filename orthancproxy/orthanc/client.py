"""The HTTP client for Orthanc: one pooled session, typed errors, one retry for what may be repeated.

Orthanc closes an idle connection after a second (`Keep-Alive: timeout=1`), so that a call now and then meets a
connection that just died: calls that only read, or store what is stored once, are made once more (ADR 0003).
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import requests
from msgspec import DecodeError, ValidationError
from msgspec.json import Decoder
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError, ProtocolError

from orthancproxy.errors import (
    ArchiveError,
    ArchiveProtocolError,
    ArchiveRejected,
    ArchiveTimeout,
    ArchiveUnavailable,
    NotFound,
    NotRenderable,
)
from orthancproxy.orthanc.calls import Call, record
from orthancproxy.orthanc.capabilities import Capabilities, discover
from orthancproxy.orthanc.deadline import clip_to_deadline
from orthancproxy.orthanc.endpoints import SYSTEM, Endpoint
from orthancproxy.orthanc.payloads import JSON_DECODER
from orthancproxy.orthanc.render_delete_lock import RenderDeleteLock
from orthancproxy.orthanc.response_body import CHUNK_BYTES, ResponseBody, timed_out

logger = logging.getLogger("orthancproxy.orthanc")

RETRY_AFTER_SECONDS = 0.2
BUSY = frozenset({502, 503, 504})
TRANSIENT = frozenset({502, 503})
STORAGE_FULL = 507
# FileStorageCannotWrite: two files that Orthanc stores at once make the same folder, and one of them fails (1.10.1)
CANNOT_WRITE = 2001


class RequestBody(Protocol):
    """Bytes to send, of a known number, which can be iterated over again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes | memoryview]: ...


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Where Orthanc is and how to talk to it. Timeouts are in seconds."""

    base_url: str
    username: str = ""
    password: str = ""
    ca_bundle: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    pool_size: int = 32
    log_calls: bool = False


class OrthancClient:
    """Calls Orthanc. Safe to share between threads.

    Raises NotFound for a missing resource, NotRenderable for what Orthanc can't draw, and ArchiveUnavailable,
    ArchiveTimeout, ArchiveRejected or ArchiveProtocolError; no exception of requests leaves it.
    """

    def __init__(self, connection: ConnectionOptions) -> None:
        self._connection = connection
        self._base_url = connection.base_url.rstrip("/")
        # No Session: its cookies, hooks and redirects take as long as the call itself, and it heeds the environment.
        # Neither a proxy, a .netrc nor a CA bundle of that may come between the gateway and Orthanc.
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connection.pool_size)
        # as bytes: requests would encode str as Latin-1
        self._auth = (
            HTTPBasicAuth(connection.username.encode(), connection.password.encode()) if connection.username else None
        )
        self._turns = RenderDeleteLock(self._base_url)
        self._lock = threading.Lock()
        self._failures = 0
        self._learnt: tuple[int, Capabilities] | None = None
        self._learning = threading.Lock()

    def capabilities(self) -> Capabilities:
        """What this Orthanc can do: learnt once, and again when it comes back after it could not be reached."""
        learnt = self._learnt
        if learnt is not None and learnt[0] == self._failures:
            return learnt[1]
        # one thread asks; the others wait, but not for one that waits for an Orthanc that is down
        waited = self._learning.acquire(timeout=self._connection.connect_timeout)
        try:
            return self._learn()
        finally:
            if waited:
                self._learning.release()

    def _learn(self) -> Capabilities:
        learnt = self._learnt
        if learnt is not None and learnt[0] == self._failures:
            return learnt[1]
        before, tolerated = self._failures, 0

        def tolerate() -> None:
            nonlocal tolerated
            tolerated += 1

        found = discover(self.call, tolerate)
        self._learnt = (before + tolerated, found)
        return found

    def ping(self) -> None:
        """Return when Orthanc answers as Orthanc does. Raises ArchiveError."""
        try:
            system = self.call(SYSTEM)
        except NotFound:
            # there is a server, but no Orthanc at this base path
            system = None
        if not isinstance(system, dict) or "Version" not in system:
            raise ArchiveProtocolError("The archive does not answer as Orthanc does.")

    def call(
        self,
        endpoint: Endpoint,
        *,
        body: Mapping[str, Any] | None = None,
        content: RequestBody | None = None,
        query: str = "",
        decoder: Decoder[Any] = JSON_DECODER,
        **parts: str | int,
    ) -> Any:
        """Return Orthanc's answer, from JSON, as what `answer` decodes it to.

        `content` is a DICOM file, `query` a query string, sent as it is.
        """
        url = self._base_url + endpoint.path(**parts)
        data = content if body is None else orjson.dumps(body)
        response = self._send(endpoint, url, data, query, "application/json", stream=False)
        # Orthanc sends JSON with no or a text Content-Type: the content decides
        try:
            return decoder.decode(response.content)
        except ValidationError as error:
            raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error
        except (DecodeError, RecursionError) as error:
            raise ArchiveProtocolError("The archive's answer is not JSON.") from error

    def open(
        self,
        endpoint: Endpoint,
        *,
        body: Mapping[str, Any] | None = None,
        query: str = "",
        accept: str = "*/*",
        **parts: str | int,
    ) -> ResponseBody:
        """Begin an answer of any size, and return its body, which is read piece by piece. The caller closes it."""
        url = self._base_url + endpoint.path(**parts)
        data = None if body is None else orjson.dumps(body)
        return ResponseBody(self._send(endpoint, url, data, query, accept, stream=True), self._translate)

    def _send(
        self,
        endpoint: Endpoint,
        url: str,
        data: bytes | RequestBody | None,
        query: str,
        accept: str,
        stream: bool,
    ) -> requests.Response:
        for last_try in (False, True) if endpoint.repeatable else (True,):
            started = time.perf_counter()
            response = None
            try:
                with self._turns.hold(endpoint):
                    response = self._request(endpoint, url, data, query, accept, stream)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                translated = self._translate(error)
                # what was too slow once is not asked again
                if last_try or type(translated) is not ArchiveUnavailable:
                    raise translated from error
            finally:
                self._record(endpoint, response, time.perf_counter() - started, stream)
            if response is not None:
                if last_try or not _is_passing(response):
                    self._raise_for_status(response)
                    return response
                response.close()
            time.sleep(RETRY_AFTER_SECONDS)
        raise AssertionError("unreachable")  # pragma: no cover

    def _request(
        self, endpoint: Endpoint, url: str, data: bytes | RequestBody | None, query: str, accept: str, stream: bool
    ) -> requests.Response:
        request = requests.Request(
            endpoint.method,
            url,
            # gzip on one host costs more than it saves (1.10.1: 1.4 s against 1.2 s for 10,000 instances)
            headers={"Accept": accept, "Accept-Encoding": "identity"},
            data=data,
            # as it is: Orthanc does not decode what requests would encode
            params=query,
            auth=self._auth,
        ).prepare()
        response = self._adapter.send(
            request,
            stream=stream,
            timeout=(
                clip_to_deadline(self._connection.connect_timeout),
                clip_to_deadline(self._connection.read_timeout),
            ),
            verify=self._connection.ca_bundle or True,
        )
        if not stream:
            # where requests keeps what it has read
            response._content = _read(response)
        return response

    def _translate(self, error: Exception) -> ArchiveError:
        match error:
            case _ if timed_out(error):
                self._count_failure()
                return ArchiveTimeout("The archive did not answer in time.")
            case requests.exceptions.SSLError():
                self._count_failure()
                return ArchiveUnavailable("The archive's certificate is not trusted.")
            case requests.ConnectionError() | ProtocolError() | OSError():
                self._count_failure()
                return ArchiveUnavailable("The archive can't be reached.")
            case _:
                return ArchiveProtocolError("The archive's answer can't be understood.")

    def _count_failure(self) -> None:
        with self._lock:
            self._failures += 1

    def _raise_for_status(self, response: requests.Response) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        try:
            answer = _error(response)
        finally:
            response.close()
        if status == 404:
            raise NotFound("There is no such resource in the archive.")
        if status == 415:
            raise NotRenderable("Orthanc can't draw this instance.")
        if status in BUSY:
            self._count_failure()
            raise ArchiveUnavailable("The archive is busy or restarting.")
        if status == STORAGE_FULL:
            raise ArchiveUnavailable("The archive has no room.")
        if answer.get("OrthancStatus") == CANNOT_WRITE:
            raise ArchiveUnavailable("The archive can't write to its storage.")
        if status in (401, 403):
            raise ArchiveRejected("The archive does not accept the gateway's credentials.")
        if 300 <= status < 400:
            raise ArchiveProtocolError("The archive redirects, which Orthanc does not do.")
        # Orthanc's own words, which hold no address and no patient data
        message = answer.get("Message")
        reason = message if isinstance(message, str) and message else f"HTTP status {status}"
        raise ArchiveRejected(f"The archive refused: {reason}.")

    def _record(self, endpoint: Endpoint, response: requests.Response | None, seconds: float, stream: bool) -> None:
        status = response.status_code if response is not None else 0
        size = len(response.content) if response is not None and not stream else 0
        record(Call(endpoint.method, endpoint.template, status, seconds, size))
        if self._connection.log_calls:
            logger.info(
                "orthanc call",
                extra={
                    "orthanc_method": endpoint.method,
                    "orthanc_path": endpoint.template,
                    "orthanc_status": status,
                    "orthanc_ms": round(seconds * 1000, 1),
                    "orthanc_bytes": size,
                },
            )


def _read(response: requests.Response) -> bytes:
    """Read an answer as it comes: one that trickles in would go on for as long as each byte is in time."""
    pieces = []
    try:
        while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
            clip_to_deadline(0)
            pieces.append(piece)
    except Exception:
        response.close()
        raise
    return b"".join(pieces)


def _is_passing(response: requests.Response) -> bool:
    """Whether the same call may well succeed when it is made again at once."""
    if response.status_code in TRANSIENT:
        return True
    return response.status_code == 500 and _error(response).get("OrthancStatus") == CANNOT_WRITE


def _error(response: requests.Response) -> Mapping[str, Any]:
    """What Orthanc says of an error (`Message`, `OrthancStatus`); nothing where it says nothing."""
    try:
        answer = orjson.loads(response.content)
    except (orjson.JSONDecodeError, requests.RequestException):
        answer = None
    return answer if isinstance(answer, dict) else {}
