"""The load of the drill: clients that upload, delete, query and view, and repeat what fails, as users do."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import requests

from benchmarks.servers import session
from benchmarks.soak.model import Study, new_study, patient_orthanc_id
from benchmarks.soak.traffic import UPLOAD

EXPECTED = frozenset({"ARCHIVE_TIMEOUT", "ARCHIVE_UNAVAILABLE", "GATEWAY_UNAVAILABLE"})
"""The codes that callers may get while something fails: each says to try again later."""
FULL = "INSUFFICIENT_STORAGE"
"""The further code while a disk is full."""
RETRY_SECONDS = 0.3
GIVE_UP_SECONDS = 120.0
MOST_STUDIES = 3
TIMEOUT_SECONDS = 60.0

COUNT = "query($id: ID!) { study(orthancId: $id) { instancesCount series { instances { orthancId } } } }"
LIST = "query($id: String!) { patients(filter: {patientId: $id}) { nodes { studies { orthancId instancesCount } } } }"
PAGE = "{ studies(first: 20) { nodes { orthancId instancesCount series { orthancId } } } }"
DELETE = "mutation($id: ID!) { deleteStudy(orthancId: $id) { instancesCount } }"


@dataclass(frozen=True, slots=True)
class Success:
    """A request that was answered: its kind, and when it began and ended (monotonic)."""

    kind: str
    began: float
    ended: float


@dataclass(slots=True)
class Notes:
    """What clients saw. `acknowledged` are the changes that the gateway reported, by request id, with their event."""

    successes: list[Success] = field(default_factory=list)
    expected: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    broken: int = 0
    misreported: list[str] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)

    def add(self, other: Notes) -> None:
        """Add those of another client."""
        self.successes += other.successes
        self.expected += other.expected
        self.unexpected += other.unexpected
        self.broken += other.broken
        self.misreported += other.misreported
        self.acknowledged |= other.acknowledged


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: the code of its error, empty without one, and its data."""

    code: str
    data: Any = None
    request_id: str = ""


class Client:
    """One client, with patients of its own and the studies that it knows to exist."""

    def __init__(self, name: str, address: str, rng: Random, token: str = "") -> None:
        self.name = name
        self.notes = Notes()
        self.studies: list[Study] = []
        self.rng = rng
        self._address = address
        self._session = session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._number = 0

    @property
    def patient_id(self) -> str:
        """The patient of its own."""
        return f"DRILL-{self.name}"

    def step(self) -> None:
        """Upload and check a study, or delete one."""
        if len(self.studies) >= MOST_STUDIES:
            self._delete(self.rng.choice(self.studies))
            return
        self._number += 1
        self._upload(new_study(f"drill-{self.name}-{self._number}", self.patient_id, self.rng))

    def read(self) -> None:
        """Read the first page, a patient and a picture of another client's, which may be deleted meanwhile."""
        answer = self.graphql("query", PAGE)
        if answer.code:
            time.sleep(RETRY_SECONDS)
            return
        nodes = answer.data["studies"]["nodes"]
        series = [one["orthancId"] for node in nodes for one in node["series"]]
        if series:
            self._send("picture", "GET", f"/api/orthanc/series/{self.rng.choice(series)}/thumbnail/", {"NOT_FOUND"})

    def graphql(self, kind: str, query: str, allowed: Sequence[str] = (), **variables: Any) -> Answer:
        """Send a query."""
        return self._send(kind, "POST", "/graphql/", set(allowed), json={"query": query, "variables": variables})

    def check(self) -> None:
        """Compare what the gateway shows with what it has acknowledged."""
        expected = {study.orthanc_id: len(study.stored) for study in self.studies}
        answer = self._until_answered("query", LIST, id=self.patient_id)
        nodes = answer.data["patients"]["nodes"]
        found = {one["orthancId"]: one["instancesCount"] for node in nodes for one in node["studies"]}
        if found != expected:
            self.notes.misreported.append(f"{answer.request_id}: shows {found}, acknowledged {expected}")

    def _upload(self, study: Study) -> None:
        slots = [slot for chunk in study.chunks for slot in chunk]
        files = study.files(slots)
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
        stored = 0

        def send() -> Answer:
            nonlocal stored
            answer = self._send("upload", "POST", "/graphql/", set(), data=form, files=parts)
            if answer.code:
                return answer
            result = answer.data["uploadPatient"]
            failed = {one["code"] for one in result["failed"]}
            if result["uploaded"] + result["alreadyStored"] + len(result["failed"]) != len(files):
                self.notes.misreported.append(f"{answer.request_id}: {result} of {len(files)} files")
            stored += result["uploaded"]
            if result["uploaded"]:
                self.notes.acknowledged[answer.request_id] = "IMPORT"
            if failed:
                return self._failed("upload", failed.pop(), set(), str(result))
            return answer

        answer = self._repeat(send)
        study.orthanc_id = answer.data["uploadPatient"]["study"]["orthancId"]
        study.stored.update(slots)
        self.studies.append(study)
        found = self._until_answered("query", COUNT, id=study.orthanc_id).data["study"]
        count = found and sum(len(series["instances"]) for series in found["series"])
        if not found or count != len(slots) or found["instancesCount"] != len(slots):
            self.notes.misreported.append(f"{study.key}: shows {found}, acknowledged {len(slots)}")
        self.check()

    def _delete(self, study: Study) -> None:
        attempts = 0

        def send() -> Answer:
            nonlocal attempts
            attempts += 1
            # an earlier attempt may have deleted it
            return self.graphql("delete", DELETE, ["NOT_FOUND"] if attempts > 1 else [], id=study.orthanc_id)

        answer = self._repeat(send, "NOT_FOUND")
        self.studies.remove(study)
        if not answer.code:
            self.notes.acknowledged[answer.request_id] = "DELETION"
            count = answer.data["deleteStudy"]["instancesCount"]
            if attempts == 1 and count != len(study.stored):
                self.notes.misreported.append(f"{answer.request_id}: deleted {count} of {len(study.stored)}")
        gone = self._until_answered("query", COUNT, id=study.orthanc_id)
        if gone.data["study"]:
            self.notes.misreported.append(f"{study.key}: shown after its deletion")
        self.check()

    def _until_answered(self, kind: str, query: str, **variables: Any) -> Answer:
        return self._repeat(lambda: self.graphql(kind, query, **variables))

    def _repeat(self, send: Callable[[], Answer], end: str = "") -> Answer:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            answer = send()
            if not answer.code or answer.code == end:
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} gave up: {answer.code}")
            time.sleep(RETRY_SECONDS)

    def _send(self, kind: str, method: str, path: str, allowed: set[str], **options: Any) -> Answer:
        self._number += 1
        request_id = f"drill-{self.name}-{self._number}"
        began = time.monotonic()
        try:
            response = self._session.request(
                method,
                self._address + path,
                headers={"X-Request-ID": request_id, "Accept": "*/*"},
                timeout=TIMEOUT_SECONDS,
                **options,
            )
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
            # a response that had begun; its client sees that it is not whole
            self.notes.broken += 1
            return Answer("BROKEN", request_id=request_id)
        except requests.RequestException as error:
            return self._failed(kind, type(error).__name__, allowed, repr(error))
        code, data = _read(response)
        if code:
            return self._failed(kind, code, allowed, f"{response.status_code} {response.text[:300]}")
        self.notes.successes.append(Success(kind, began, time.monotonic()))
        return Answer("", data, request_id)

    def _failed(self, kind: str, code: str, allowed: set[str], text: str) -> Answer:
        if code in EXPECTED or code in allowed or (code == FULL and kind == "upload"):
            self.notes.expected[code] += 1
        else:
            self.notes.unexpected.append(f"{self.name} {kind}: {code} {text}")
        return Answer(code)


def _read(response: requests.Response) -> tuple[str, Any]:
    if "json" not in response.headers.get("Content-Type", ""):
        return ("" if response.status_code == 200 else f"HTTP {response.status_code}"), None
    body = response.json()
    if isinstance(body, dict) and "errors" in body:
        return body["errors"][0]["extensions"]["code"], None
    if response.status_code != 200:
        return str(body.get("code", f"HTTP {response.status_code}")), None
    return "", body.get("data") if isinstance(body, dict) else body


class Load:
    """Runs the clients in threads, until it is told to end."""

    def __init__(self, writers: Sequence[Client], readers: Sequence[Client]) -> None:
        self.clients = [*writers, *readers]
        self._is_over = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._run, args=(one, one.step)) for one in writers),
            *(threading.Thread(target=self._run, args=(one, one.read)) for one in readers),
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Return when each client has ended what it was doing."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def notes(self) -> Notes:
        """Return what all clients saw."""
        notes = Notes()
        for client in self.clients:
            notes.add(client.notes)
        return notes

    def expected(self) -> dict[str, dict[str, int]]:
        """Return the instances of each study that must exist, by Orthanc's id of its patient."""
        return {
            patient_orthanc_id(client.patient_id): {one.orthanc_id: len(one.stored) for one in client.studies}
            for client in self.clients
        }

    def _run(self, client: Client, step: Callable[[], None]) -> None:
        while not self._is_over.is_set():
            try:
                step()
            except Exception as error:  # noqa: BLE001 - a finding like any other
                client.notes.unexpected.append(f"{client.name}: {type(error).__name__} {error}")
                return
