"""Requests to a gateway that runs, what became of each, and what the gateway's audit and Orthanc say of it."""

import http.client
import itertools
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orthancproxy.sandbox.gateway import LocalGateway
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.uploads.upload_client import CONTENT_TYPE, REST, File, GraphQL, asked, found, slices

SERVES_AGAIN = 5.0  # seconds after the end of a fault
FILES = 6  # of an upload
NESTED = "{ patients { nodes { patientId studies { series { instances { sopInstanceUID } } } } } }"
DELETE = "mutation($id: ID!) { deletePatient(orthancId: $id) { deletedIds instancesCount } }"
MAY_BE = "may have been deleted nevertheless."  # how the message ends if the outcome is unknown
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended: the HTTP status, 0 where the connection was cut; headers have their names in lower case."""

    request_id: str
    status: int = 0
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Mapping[str, Any]:
        """Its JSON where that is an object."""
        try:
            answer = json.loads(self.content)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else {}

    @property
    def code(self) -> str:
        """The code of its first error."""
        errors = self.json.get("errors")
        return str(errors[0]["extensions"]["code"] if errors else self.json.get("code", ""))

    @property
    def is_well(self) -> bool:
        """Whether what was asked for was done."""
        return self.status == 200 and not self.code

    @property
    def upload(self) -> Mapping[str, Any]:
        """What it says of an upload; nothing where there was none."""
        answer = self.json
        payload = (answer.get("data") or {}).get("uploadPatient") or answer
        return payload if "uploaded" in payload else {}

    @property
    def reported(self) -> int:
        """How many files it says are stored."""
        return int(self.upload.get("uploaded", 0)) + int(self.upload.get("alreadyStored", 0))


def send(
    port: int, method: str, path: str, body: bytes = b"", content_type: str = "application/json", timeout: float = 60
) -> Ending:
    """Send a request with an id of its own."""
    request_id = f"request-{os.getpid()}-{next(_numbers)}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, {"Content-Type": content_type, "X-Request-ID": request_id})
        answer = connection.getresponse()
        return Ending(
            request_id, answer.status, answer.read(), {name.lower(): value for name, value in answer.headers.items()}
        )
    except (OSError, http.client.HTTPException):
        return Ending(request_id)
    finally:
        connection.close()


def graphql(port: int, query: str, **variables: Any) -> Ending:
    """Send a query."""
    return send(port, "POST", "/graphql/", json.dumps({"query": query, "variables": variables}).encode())


def rest(port: int, path: str, method: str = "GET") -> Ending:
    """Send a request of the REST contract."""
    return send(port, method, f"/api/orthanc/{path}")


def upload(port: int, transport: REST | GraphQL, key: str, files: list[File]) -> Ending:
    """Send files with a key, which is the PatientID too."""
    path = "/graphql/" if isinstance(transport, GraphQL) else "/api/orthanc/upload-patient/"
    return send(port, "POST", path, transport.body(files, patientId=key, uploadKey=key), CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Request:
    """Something to ask for; `on` is what the gateway sends to Orthanc in the middle of it, `after` how many bytes of
    that or of its answer are about the half."""

    send: Callable[[int, "Scene", str], Ending]
    on: bytes
    up: int = 60
    down: int = 60
    is_download: bool = False
    uploads: bool = False
    deletes: bool = False


def _delete_by_graphql(port: int, scene: "Scene", name: str) -> Ending:
    return graphql(port, DELETE, id=scene.stored_patient(name))


def _delete_by_rest(port: int, scene: "Scene", name: str) -> Ending:
    return rest(port, f"patients/{scene.stored_patient(name)}/", "DELETE")


REQUESTS: Mapping[str, Request] = {
    "nested query": Request(lambda port, scene, name: graphql(port, NESTED), b"/tools/find", down=400),
    "page": Request(lambda port, scene, name: rest(port, "patients/"), b"/tools/find", down=400),
    "file": Request(
        lambda port, scene, name: rest(port, f"instances/{scene.large}/file/"), b"/file", down=900_000, is_download=True
    ),
    "archive": Request(
        lambda port, scene, name: rest(port, f"patients/{scene.large_patient}/archive/"),
        b"/archive",
        down=2_000,
        is_download=True,
    ),
    "GraphQL upload": Request(
        lambda port, scene, name: upload(port, GraphQL(), name, scene.files),
        b"POST /instances",
        up=700,
        uploads=True,
    ),
    "REST upload": Request(
        lambda port, scene, name: upload(port, REST(), name, scene.files), b"POST /instances", up=700, uploads=True
    ),
    "GraphQL delete": Request(_delete_by_graphql, b"DELETE /", deletes=True),
    "REST delete": Request(_delete_by_rest, b"DELETE /", deletes=True),
}


@dataclass(frozen=True, slots=True)
class Row:
    """An event of the audit."""

    event: str
    outcome: str
    error_code: str
    counts: Mapping[str, int]
    pk: int
    intention: int | None


@dataclass(slots=True)
class Scene:
    """An Orthanc with something in it, and a gateway before it."""

    orthanc: LocalOrthanc
    gateway: LocalGateway
    folder: Path
    files: list[File] = field(default_factory=lambda: slices(FILES))
    large: str = ""
    large_patient: str = ""

    def fill(self) -> None:
        """Store what the requests ask for."""
        pixels = os.urandom(2 * 1024 * 512)
        load(self.orthanc, [instance(1, 1, 1, number) for number in range(1, 4)])
        load(self.orthanc, [instance(2, Rows=1024, Columns=512, PixelData=pixels)])
        self.large = found(self.orthanc, "Instance", PatientID="P002")[0]["ID"]
        self.large_patient = found(self.orthanc, "Patient", PatientID="P002")[0]["ID"]

    def stored_patient(self, patient_id: str) -> str:
        """Orthanc's id of a patient with two instances, who is made where there is none."""
        if not (there := found(self.orthanc, "Patient", PatientID=patient_id)):
            uid = f"1.2.{zlib.crc32(patient_id.encode())}"
            tags: dict[str, Any] = {"PatientID": patient_id, "StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1"}
            files = [instance(number=number, SOPInstanceUID=f"{uid}.1.{number}", **tags) for number in (1, 2)]
            load(self.orthanc, files)
            there = found(self.orthanc, "Patient", PatientID=patient_id)
        return str(there[0]["ID"])

    def instances_of(self, patient_id: str) -> int:
        """How many instances of a patient Orthanc has."""
        return len(found(self.orthanc, "Instance", PatientID=patient_id))

    def count(self) -> int:
        """How many instances Orthanc has."""
        return int(asked(self.orthanc, "/statistics")["CountInstances"])

    def audit(self, request_id: str) -> list[Row]:
        """What the audit has of a request, in its order."""
        database = self.folder / "data" / "gateway.sqlite3"
        columns = "event, outcome, error_code, counts, id, intention_id"
        query = f"SELECT {columns} FROM orthancproxy_auditevent WHERE request_id = ? ORDER BY id"  # noqa: S608
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            rows = connection.execute(query, [request_id]).fetchall()
        return [Row(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5]) for row in rows]

    def check_serving(self, seconds: float = SERVES_AGAIN) -> float:
        """Wait until everything works again; return how long that took. Fails when it takes too long."""
        started = time.monotonic()
        while True:
            port = self.gateway.port
            answers = [
                send(port, "GET", "/readyz", timeout=seconds),
                graphql(port, NESTED),
                rest(port, "patients/"),
                rest(port, f"instances/{self.large}/file/"),
            ]
            took = time.monotonic() - started
            wrong = [(one.status, one.content[:300]) for one in answers if not one.is_well]
            assert took < seconds, (took, wrong, self.gateway.end_of_log())
            if not wrong:
                return took
            time.sleep(0.05)
