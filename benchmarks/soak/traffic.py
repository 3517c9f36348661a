"""The requests of the soak's clients, and their notes."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from benchmarks.servers import session
from benchmarks.soak.model import File, Study
from orthancproxy.sandbox.gateway import LocalGateway

NOT_FOUND = "NOT_FOUND"
UPLOAD = """
mutation($input: UploadInput!) {
  uploadPatient(input: $input) { uploaded alreadyStored failed { code message } study { orthancId } }
}
"""
_TIMEOUT = 120.0  # seconds
_REST = "/api/orthanc/"


@dataclass(slots=True)
class Answer:
    """A response of the gateway: `code` is the error's, empty without an error."""

    status: int
    code: str
    content: bytes
    data: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change reported by the gateway."""

    request_id: str
    event: str
    instances: int | None  # None if other clients may have changed the same


@dataclass(slots=True)
class Notes:
    """The observations of clients: seconds by kind of operation, errors by code, and problems."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def add(self, other: Notes) -> None:
        """Add the observations of another client."""
        for kind, seconds in other.seconds.items():
            self.seconds[kind] += seconds
        self.errors += other.errors
        self.expected += other.expected
        self.problems += other.problems
        self.changes += other.changes

    def quantiles(self) -> dict[str, tuple[int, float, float, float]]:
        """Return the number of each kind, and the 50th, 95th and 99th percentile in milliseconds."""
        return {kind: (len(one), *_quantiles(one)) for kind, one in sorted(self.seconds.items())}


def _quantiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [*seconds] * 99
    return cuts[49] * 1000, cuts[94] * 1000, cuts[98] * 1000


class Traffic:
    """The requests of one client. Each has an id, by which the audit is compared."""

    def __init__(self, gateway: LocalGateway, name: str) -> None:
        self._gateway = gateway
        self._name = name
        self._number = 0
        self._session = session()
        self.notes = Notes()
        self.request_id = ""

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def graphql(self, kind: str, query: str, allowed: Collection[str] = (), **variables: Any) -> Answer:
        """Send a query; `allowed` are the acceptable error codes."""
        body = {"query": query, "variables": variables}
        return self._send(kind, allowed, "POST", "/graphql/", json=body)

    def rest(
        self, kind: str, path: str, allowed: Collection[str] = (), method: str = "GET", **parameters: str
    ) -> Answer:
        """Call a route of the REST API."""
        return self._send(kind, allowed, method, _REST + path, params=parameters)

    def upload_by_graphql(self, kind: str, study: Study, files: Sequence[File]) -> Answer:
        """Upload files over GraphQL."""
        given = {
            "files": [None] * len(files),
            "seriesPaths": [file.folder for file in files],
            "patientId": study.patient_id,
            "uploadKey": study.key,
        }
        form = {
            "operations": json.dumps({"query": UPLOAD, "variables": {"input": given}}),
            "map": json.dumps({str(index): [f"variables.input.files.{index}"] for index in range(len(files))}),
        }
        parts = [(str(index), (f"{index}.dcm", file.content)) for index, file in enumerate(files)]
        answer = self._send(kind, (), "POST", "/graphql/", data=form, files=parts)
        if not answer.code:
            answer.data = answer.data["uploadPatient"]
        return answer

    def upload_by_rest(self, kind: str, study: Study, files: Sequence[File]) -> Answer:
        """Upload files over REST; the answer has GraphQL's names."""
        parts: list[tuple[str, Any]] = [("patient_id", (None, study.patient_id)), ("upload_key", (None, study.key))]
        for index, file in enumerate(files):
            parts += [("files", (f"{index}.dcm", file.content)), ("series_path", (None, file.folder))]
        answer = self._send(kind, (), "POST", f"{_REST}upload-patient/", files=parts)
        if not answer.code:
            body = json.loads(answer.content)
            study_id = body["studyId"]
            answer.data = {
                "uploaded": body["uploaded"],
                "alreadyStored": body["alreadyStored"],
                "failed": body["failedFiles"],
                "study": study_id and {"orthancId": study_id},
            }
        return answer

    def changed(self, event: str, instances: int | None) -> None:
        """Note that the last request changed the archive."""
        self.notes.changes.append(Change(self.request_id, event, instances))

    def problem(self, text: str) -> None:
        """Note a problem."""
        self.notes.problems.append(f"{self.request_id}: {text}")

    def break_off_download(self, kind: str, path: str) -> None:
        """Disconnect after the first bytes of a response."""
        started = time.perf_counter()
        try:
            with self._session.get(f"{self._gateway.address}{_REST}{path}", stream=True, timeout=_TIMEOUT) as answer:
                answer.raw.read(100)
                if answer.status_code != 200:
                    self._error(kind, f"HTTP {answer.status_code}", ())
        except requests.RequestException as error:
            self._error(kind, type(error).__name__, ())
        self.notes.seconds[kind].append(time.perf_counter() - started)

    def break_off_upload(self, kind: str, study: Study, files: Sequence[File]) -> None:
        """Disconnect before the last bytes of an upload."""
        started = time.perf_counter()
        parts = [("files", (f"{index}.dcm", file.content)) for index, file in enumerate(files)]
        address = f"{self._gateway.address}{_REST}upload-patient/"
        headers = {"X-Request-ID": self._next_id()}
        fields = {"patient_id": study.patient_id, "upload_key": study.key}
        request = requests.Request("POST", address, headers=headers, data=fields, files=parts).prepare()
        body = request.body
        assert isinstance(body, bytes)  # noqa: S101 - the form is in memory
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        head = "\r\n".join([f"POST {request.path_url} HTTP/1.1", "Host: localhost", *lines, "", ""])
        with socket.create_connection(("127.0.0.1", self._gateway.port), timeout=_TIMEOUT) as connection:
            connection.sendall(head.encode() + body[: len(body) * 2 // 3])
        self.notes.seconds[kind].append(time.perf_counter() - started)

    def _send(self, kind: str, allowed: Collection[str], method: str, path: str, **options: Any) -> Answer:
        headers = {"X-Request-ID": self._next_id(), "Accept": "*/*"}
        started = time.perf_counter()
        try:
            response = self._session.request(
                method, self._gateway.address + path, headers=headers, timeout=_TIMEOUT, **options
            )
            answer = _read(response)
        except requests.RequestException as error:
            answer = Answer(0, type(error).__name__, repr(error).encode())
        self.notes.seconds[kind].append(time.perf_counter() - started)
        if answer.code:
            self._error(kind, answer.code, allowed, answer.content[:500].decode(errors="replace"))
        return answer

    def _error(self, kind: str, code: str, allowed: Collection[str], text: str = "") -> None:
        if code in allowed:
            self.notes.expected[code] += 1
        else:
            self.notes.errors[code] += 1
            self.problem(f"{kind}: {code} {text}")

    def _next_id(self) -> str:
        self._number += 1
        self.request_id = f"{self._name}-{self._number}"
        return self.request_id


def _read(response: requests.Response) -> Answer:
    """Parse a response as an answer or an error."""
    status, content = response.status_code, response.content
    if "json" not in response.headers.get("Content-Type", ""):
        return Answer(status, "" if status == 200 else f"HTTP {status}", content)
    try:
        body = json.loads(content)
    except ValueError:
        return Answer(status, "not JSON", content)
    if isinstance(body, dict) and body.get("errors"):
        return Answer(status, body["errors"][0]["extensions"]["code"], content, body.get("data"))
    if status != 200:
        return Answer(status, body.get("code", f"HTTP {status}") if isinstance(body, dict) else "", content)
    return Answer(status, "", content, body.get("data") if isinstance(body, dict) else body)
