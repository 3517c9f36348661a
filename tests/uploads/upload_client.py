"""A client that uploads over both transports, and returns the outcome in one form for both."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol
from zipfile import ZIP_DEFLATED, ZipFile

from django.test import Client
from pydicom import dcmread
from pydicom.dataset import FileDataset

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance

BOUNDARY = "a-boundary-that-no-file-has-in-it"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
TWO_STUDIES = "The files have 2 studies, and became one study: check that they are of one patient."
REST_PATH = "/api/orthanc/upload-patient/"
GRAPHQL_PATH = "/graphql/"
MUTATION = """
mutation Upload($input: UploadInput!) {
  uploadPatient(input: $input) {
    uploadKey uploaded alreadyStored seriesIds warnings
    failed { index name seriesPath code message }
    study { orthancId studyInstanceUID description instancesCount patient { patientId patientName } }
  }
}
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file to send, and the folder that it belongs to."""

    content: bytes
    folder: str = ""
    name: str = "1.dcm"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form: a file if it has a file name."""

    name: str
    content: bytes
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that was not stored."""

    index: int
    name: str
    folder: str
    code: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an upload; `code` is that of the error if the request was rejected as a whole."""

    status: int
    body: Any
    code: str | None = None
    key: str = ""
    uploaded: int = 0
    already_stored: int = 0
    failed: tuple[Failed, ...] = ()
    messages: tuple[str, ...] = ()
    study_id: str | None = None
    study_uid: str | None = None
    series_ids: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Uploaded, already stored, failed."""
        return self.uploaded, self.already_stored, len(self.failed)

    @property
    def codes(self) -> list[str]:
        """The codes of the failures, in their order."""
        return [failure.code for failure in self.failed]


Answer = tuple[int, Mapping[str, str], bytes]


class Poster(Protocol):
    """Sends a body to a path of the gateway."""

    def __call__(self, path: str, body: bytes, headers: Mapping[str, str] = ..., /) -> Answer: ...


def in_process(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a body to the gateway in this process."""
    return posted(Client(raise_request_exception=False), path, body, headers or {})


def posted(client: Client, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send a body with a client, which can have cookies."""
    answer = client.post(path, body, content_type=CONTENT_TYPE, headers=dict(headers))
    return answer.status_code, dict(answer.headers), answer.content


def over_http(port: int) -> Poster:
    """Return a function that sends a body to a gateway on a port of this machine."""

    def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request("POST", path, body, {"Content-Type": CONTENT_TYPE, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    return post


def form(parts: Sequence[Part]) -> bytes:
    """Return the body of a form (RFC 7578)."""
    body = BytesIO()
    for part in parts:
        body.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{part.name}"'.encode())
        if part.filename is not None:
            body.write(f'; filename="{part.filename}"\r\nContent-Type: application/octet-stream'.encode())
        body.write(b"\r\n\r\n" + part.content + b"\r\n")
    body.write(f"--{BOUNDARY}--\r\n".encode())
    return body.getvalue()


@dataclass(frozen=True, slots=True)
class REST:
    """`POST upload-patient/`."""

    post: Poster = in_process
    name = "REST"

    def __call__(self, files: Sequence[File], *, with_folders: bool = True, **values: Any) -> Outcome:
        """Upload files; the values are named as in the GraphQL contract."""
        status, answered, content = self.post(REST_PATH, self.body(files, with_folders=with_folders, **values), {})
        body = json.loads(content)
        if "uploadKey" not in body:
            assert set(body) - {"requestId"} == {"detail", "code"}, body
            return Outcome(status, body, body["code"], headers=answered)
        assert status == (200 if body["studyId"] else 400)
        return Outcome(
            status,
            body,
            key=body["uploadKey"],
            uploaded=body["uploaded"],
            already_stored=body["alreadyStored"],
            failed=tuple(_failed(failure) for failure in body["failedFiles"]),
            messages=tuple(failure["message"] for failure in body["failedFiles"]),
            study_id=body["studyId"],
            study_uid=body["studyUid"],
            series_ids=tuple(body["orthancSeriesIds"]),
            warnings=tuple(body["warnings"]),
            headers=answered,
        )

    def body(self, files: Sequence[File], *, with_folders: bool = True, **values: Any) -> bytes:
        """Return the form: text fields, then each file and its folder."""
        names = {"patientId": "patient_id", "patientName": "patient_name", "studyDescription": "study_description"}
        fields = {names.get(name, "upload_key"): value for name, value in values.items()}
        parts = [
            Part(name, value.encode("utf-8", "surrogatepass")) for name, value in fields.items() if value is not None
        ]
        for file in files:
            parts.append(Part("files", file.content, file.name))
            if with_folders:
                parts.append(Part("series_path", file.folder.encode()))
        return form(parts)


@dataclass(frozen=True, slots=True)
class GraphQL:
    """`uploadPatient`, by the GraphQL multipart request specification."""

    post: Poster = in_process
    name = "GraphQL"

    def __call__(self, files: Sequence[File], *, with_folders: bool = True, **values: Any) -> Outcome:
        """Upload files."""
        status, answered, content = self.post(GRAPHQL_PATH, self.body(files, with_folders=with_folders, **values), {})
        body = json.loads(content)
        code = body["errors"][0]["extensions"]["code"] if "errors" in body else None
        payload = (body.get("data") or {}).get("uploadPatient")
        if payload is None:
            return Outcome(status, body, code, headers=answered)
        study = payload["study"]
        return Outcome(
            status,
            body,
            code,
            key=payload["uploadKey"],
            uploaded=payload["uploaded"],
            already_stored=payload["alreadyStored"],
            failed=tuple(_failed(failure) for failure in payload["failed"]),
            messages=tuple(failure["message"] for failure in payload["failed"]),
            study_id=study and study["orthancId"],
            study_uid=study and study["studyInstanceUID"],
            series_ids=tuple(payload["seriesIds"]),
            warnings=tuple(payload["warnings"]),
            headers=answered,
        )

    def body(self, files: Sequence[File], *, with_folders: bool = True, **values: Any) -> bytes:
        """Return the form: operations, map, then the files."""
        given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        given["files"] = [None] * len(files)
        if with_folders:
            given["seriesPaths"] = [file.folder for file in files]
        operations = {"query": MUTATION, "variables": {"input": given}}
        places = {str(index): [f"variables.input.files.{index}"] for index in range(len(files))}
        parts = [Part("operations", json.dumps(operations).encode()), Part("map", json.dumps(places).encode())]
        return form([*parts, *(Part(str(index), file.content, file.name) for index, file in enumerate(files))])


Transport = REST | GraphQL
TRANSPORTS: Mapping[str, type[REST] | type[GraphQL]] = {"REST": REST, "GraphQL": GraphQL}


def _failed(failure: Mapping[str, Any]) -> Failed:
    assert failure["message"]
    return Failed(failure["index"], failure["name"], failure["seriesPath"], failure["code"])


def slices(count: int, folder: str = "ct", **tags: Any) -> list[File]:
    """CT slices of one series."""
    return [File(instance(number=number, **tags), folder, f"{number}.dcm") for number in range(1, count + 1)]


def zipped(members: Mapping[str, bytes], compression: int = ZIP_DEFLATED) -> bytes:
    """Return a ZIP; a path that ends in a slash is a directory."""
    file = BytesIO()
    with ZipFile(file, "w", compression) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return file.getvalue()


def asked(orthanc: LocalOrthanc, path: str) -> Any:
    """Return the response of Orthanc to a GET request."""
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, (path, answer.status)
    return json.loads(content)


def found(orthanc: LocalOrthanc, level: str, **query: str) -> list[dict[str, Any]]:
    """Return the resources that Orthanc finds."""
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    connection.request("POST", "/tools/find", json.dumps({"Level": level, "Query": query, "Expand": True}))
    answer: list[dict[str, Any]] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def count_instances(orthanc: LocalOrthanc) -> int:
    """Return the number of instances in an Orthanc, by its own statistics."""
    return int(asked(orthanc, "/statistics")["CountInstances"])


def stored_files(orthanc: LocalOrthanc, study_id: str | None) -> list[FileDataset]:
    """Return the files of a study as Orthanc stores them, by InstanceNumber."""
    assert study_id
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    files = []
    for one in asked(orthanc, f"/studies/{study_id}/instances"):
        connection.request("GET", f"/instances/{one['ID']}/file")
        content = connection.getresponse().read()
        # Orthanc closes connections that are idle for a second: the next request opens another
        connection.close()
        files.append(dcmread(BytesIO(content)))
    return sorted(files, key=lambda file: int(file.get("InstanceNumber") or 0))


def uids_of(orthanc: LocalOrthanc, study_id: str | None) -> set[tuple[str, str, str]]:
    """Return the study, series and instance UID of each file of a study."""
    return {
        (str(file.StudyInstanceUID), str(file.SeriesInstanceUID), str(file.SOPInstanceUID))
        for file in stored_files(orthanc, study_id)
    }


def delete_study(orthanc: LocalOrthanc, study_id: str | None) -> None:
    """Delete a study from an Orthanc."""
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    connection.request("DELETE", f"/studies/{study_id}")
    assert connection.getresponse().status == 200
    connection.close()


def is_stored(orthanc: LocalOrthanc, patient_id: str) -> bool:
    """Whether an Orthanc has a patient of this PatientID."""
    return bool(found(orthanc, "Patient", PatientID=patient_id))
