"""Malformed forms are rejected, and never make the gateway fail."""

import json

import pytest
from django.test import Client

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.corpus import instance
from tests.uploads.upload_client import (
    BOUNDARY,
    CONTENT_TYPE,
    GRAPHQL_PATH,
    MUTATION,
    REST_PATH,
    File,
    GraphQL,
    Part,
    Transport,
    form,
    in_process,
    slices,
)

pytestmark = pytest.mark.live

DISPOSITION = "Content-Disposition: form-data"
TYPENAME = b'{"query": "{ __typename }", "variables": {"a": null, "b": [null]}}'


def part(headers: str, content: bytes = b"x") -> bytes:
    """A form of one part."""
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def code_of(path: str, content: bytes) -> str:
    """The code of an error, in the form of either transport."""
    body = json.loads(content)
    code = body["errors"][0]["extensions"]["code"] if path == GRAPHQL_PATH else body["code"]
    assert isinstance(code, str)
    return code


@pytest.fixture(params=[REST_PATH, GRAPHQL_PATH], ids=["REST", "GraphQL"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


BODIES = {
    "nothing": b"",
    "no form": b"x" * 100,
    "a boundary alone": f"--{BOUNDARY}".encode(),
    "no part": f"--{BOUNDARY}--\r\n".encode(),
    "a part without headers": part(""),
    "a part without a name": part(DISPOSITION),
    "a file without a name of its field": part(f'{DISPOSITION}; filename="a"'),
    "a header without a colon": part("Content-Disposition form-data"),
    "a header that never ends": f"--{BOUNDARY}\r\n{DISPOSITION}; name=".encode() + b"a" * 100_000,
    "an encoding that nobody knows": part(f"{DISPOSITION}; name=\"files\"; filename*=bogus''x"),
    "a field's name in an encoding that nobody knows": part(f"{DISPOSITION}; name*=bogus''x"),
    "half a surrogate pair": part(f"{DISPOSITION}; name=\"files\"; filename*=utf-8''%ED%A0%80"),
    "a name that is not UTF-8": part(f'{DISPOSITION}; name="').replace(b'name="', b'name="\xff"'),
    "a value that is not UTF-8": part(f'{DISPOSITION}; name="patient_id"', b"\xff\xfe"),
    "a form within a form": part(f'{DISPOSITION}; name="files"\r\nContent-Type: multipart/mixed; boundary=b', b"--b--"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_malformed_form_is_rejected(orthanc: LocalOrthanc, path: str, body: bytes) -> None:
    status, headers, content = in_process(path, body)
    assert (status, code_of(path, content)) == (400, "BAD_USER_INPUT")
    assert headers["Content-Type"] == "application/json"
    assert not UploadBatch.objects.exists()


CONTENT_TYPES = {
    "no boundary": "multipart/form-data",
    "an empty boundary": "multipart/form-data; boundary=",
    "another boundary": "multipart/form-data; boundary=another",
    "a boundary of 500 characters": f"multipart/form-data; boundary={'x' * 500}",
    "a boundary beyond Latin-1": "multipart/form-data; boundary*=utf-8''%EA%B0%80",
    "a boundary with NUL": "multipart/form-data; boundary*=utf-8''%00",
}


@pytest.mark.parametrize("content_type", CONTENT_TYPES.values(), ids=CONTENT_TYPES.keys())
def test_a_form_without_a_boundary_is_rejected(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, content_type: str
) -> None:
    path = REST_PATH if transport.name == "REST" else GRAPHQL_PATH
    body = transport.body(slices(1), patientId=patient_id)
    answer = Client(raise_request_exception=False).generic("POST", path, body, content_type)
    # DRF does not know one that is so long for a form
    assert answer.status_code in (400, 415)
    assert code_of(path, answer.content) in ("BAD_USER_INPUT", "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.7, 0.99])
def test_an_incomplete_form_stores_nothing(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, kept: float
) -> None:
    path = REST_PATH if transport.name == "REST" else GRAPHQL_PATH
    body = transport.body(slices(4), patientId=patient_id)
    status, _, content = in_process(path, body[: int(len(body) * kept)])
    assert (status, code_of(path, content)) == (400, "BAD_USER_INPUT")
    assert not UploadBatch.objects.exists()


OPERATIONS = [
    b"", b"5", b"[1]", b"[]", b"null", b"{", b'"x"', b"true", b"NaN", b"{}", b"[" * 100_000, b"\xff",
    b'{"query": 5}', b'{"query": null}', b'{"query": "{ __typename }", "variables": 5}',
    b'{"query": "{ __typename }", "variables": "\\ud800"}',
]  # fmt: skip


@pytest.mark.parametrize("places", [b"{}", b'{"0": ["variables.a"]}'], ids=["to nowhere", "to a variable"])
@pytest.mark.parametrize("operations", OPERATIONS, ids=lambda operations: repr(operations[:40]))
def test_malformed_operations_are_rejected(orthanc: LocalOrthanc, operations: bytes, places: bytes) -> None:
    body = form([Part("operations", operations), Part("map", places), Part("0", b"x", "a")])
    status, _, content = in_process(GRAPHQL_PATH, body)
    assert (status, code_of(GRAPHQL_PATH, content)) == (400, "BAD_USER_INPUT")


MAPS = [
    b"", b"5", b"[1]", b"null", b"{", b'"x"', b"\xff", b"[" * 100_000,
    b'{"0": 5}', b'{"0": null}', b'{"0": [5]}', b'{"0": [null]}', b'{"0": [["variables.a"]]}',
    b'{"1": ["variables.a"]}', b'{"0": ["variables.a.b"]}', b'{"0": ["variables.b.7"]}', b'{"0": ["variables.b.x"]}',
    b'{"0": ["nowhere.a"]}', b'{"0": ["query"]}', b'{"0": ["query.0"]}', b'{"0": ["variables"]}',
    b'{"0": ["operationName"]}', b'{"0": ["extensions"]}',
]  # fmt: skip


@pytest.mark.parametrize("places", MAPS, ids=lambda places: repr(places[:40]))
def test_a_malformed_map_is_rejected(orthanc: LocalOrthanc, places: bytes) -> None:
    body = form([Part("operations", TYPENAME), Part("map", places), Part("0", b"x", "a")])
    status, _, content = in_process(GRAPHQL_PATH, body)
    assert (status, code_of(GRAPHQL_PATH, content)) == (400, "BAD_USER_INPUT")
    assert b" object at 0x" not in content


@pytest.mark.parametrize("missing", ["operations", "map"])
def test_a_graphql_form_without_operations_or_map_is_rejected(
    orthanc: LocalOrthanc, patient_id: str, missing: str
) -> None:
    parts = [Part("operations", TYPENAME), Part("map", b"{}"), Part("0", b"x", "a")]
    status, _, content = in_process(GRAPHQL_PATH, form([one for one in parts if one.name != missing]))
    assert (status, code_of(GRAPHQL_PATH, content)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("blobs", [["operations"], ["map"], ["operations", "map"]])
def test_operations_and_map_can_be_blobs(orthanc: LocalOrthanc, patient_id: str, blobs: list[str]) -> None:
    """A browser sends a Blob as a file, also if its type is JSON."""
    operations = {"query": MUTATION, "variables": {"input": {"files": [None], "patientId": patient_id}}}
    sent = {"operations": operations, "map": {"0": ["variables.input.files.0"]}}
    parts = [Part(name, json.dumps(value).encode(), "blob" if name in blobs else None) for name, value in sent.items()]
    _, _, content = in_process(GRAPHQL_PATH, form([*parts, Part("0", instance(), "a")]))
    assert json.loads(content)["data"]["uploadPatient"]["uploaded"] == 1


@pytest.mark.parametrize("content", [b"\xff", b"{", b""])
def test_blobs_that_are_not_json_are_rejected(orthanc: LocalOrthanc, content: bytes) -> None:
    body = form([Part("operations", content, "blob"), Part("map", b"{}")])
    status, _, content = in_process(GRAPHQL_PATH, body)
    assert (status, code_of(GRAPHQL_PATH, content)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "more",
    [
        Part("1", b"left out", "b.dcm"),
        Part("0", b"another", "b.dcm"),
        Part("operations", TYPENAME),
        Part("operations", TYPENAME, "blob"),
        Part("map", b"{}"),
    ],
    ids=["a file that the map leaves out", "a file of the same name", "operations", "operations as a Blob", "map"],
)
def test_a_graphql_form_with_parts_that_would_be_lost_is_rejected(
    orthanc: LocalOrthanc, patient_id: str, more: Part
) -> None:
    operations = {"query": MUTATION, "variables": {"input": {"files": [None], "patientId": patient_id}}}
    parts = [
        Part("operations", json.dumps(operations).encode()),
        Part("map", b'{"0": ["variables.input.files.0"]}'),
        Part("0", instance(), "a.dcm"),
    ]
    status, _, content = in_process(GRAPHQL_PATH, form([*parts, more]))
    assert (status, code_of(GRAPHQL_PATH, content)) == (400, "BAD_USER_INPUT")
    assert not UploadBatch.objects.exists()


@pytest.mark.parametrize("name", ["patient_id", "patient_name", "study_description", "upload_key"])
def test_a_field_sent_twice_is_rejected(orthanc: LocalOrthanc, patient_id: str, name: str) -> None:
    parts = [Part("patient_id", patient_id.encode()), Part("files", instance(), "1.dcm")]
    status, _, content = in_process(REST_PATH, form([*parts, *[Part(name, b"P1")] * (1 + (name != "patient_id"))]))
    assert (status, code_of(REST_PATH, content)) == (400, "BAD_USER_INPUT")
    assert not UploadBatch.objects.exists()


@pytest.mark.parametrize("files", [[None], [None, None], None, "text", [5], ["text"], [[None]], {}])
def test_missing_files_are_rejected(orthanc: LocalOrthanc, patient_id: str, files: object) -> None:
    """By a form and by JSON alike."""
    operations = {"query": MUTATION, "variables": {"input": {"files": files, "patientId": patient_id}}}
    sent = json.dumps(operations).encode()
    _, _, content = in_process(GRAPHQL_PATH, form([Part("operations", sent), Part("map", b"{}")]))
    assert code_of(GRAPHQL_PATH, content) == "BAD_USER_INPUT"
    answer = Client().post(GRAPHQL_PATH, sent, content_type="application/json")
    assert code_of(GRAPHQL_PATH, answer.content) == "BAD_USER_INPUT"
    assert not UploadBatch.objects.exists()


def test_a_file_mapped_to_a_text_variable_is_rejected(orthanc: LocalOrthanc, patient_id: str) -> None:
    operations = {"query": MUTATION, "variables": {"input": {"files": [None], "patientId": None}}}
    places = {"0": ["variables.input.files.0"], "1": ["variables.input.patientId"]}
    parts = [Part("operations", json.dumps(operations).encode()), Part("map", json.dumps(places).encode())]
    body = form([*parts, Part("0", instance(), "a"), Part("1", b"P", "b")])
    status, _, content = in_process(GRAPHQL_PATH, body)
    assert (status, code_of(GRAPHQL_PATH, content)) == (200, "BAD_USER_INPUT")


def test_one_file_can_be_mapped_to_several_variables(orthanc: LocalOrthanc, patient_id: str) -> None:
    operations = {"query": MUTATION, "variables": {"input": {"files": [None, None], "patientId": patient_id}}}
    places = {"0": ["variables.input.files.0", "variables.input.files.1"]}
    parts = [Part("operations", json.dumps(operations).encode()), Part("map", json.dumps(places).encode())]
    _, _, content = in_process(GRAPHQL_PATH, form([*parts, Part("0", instance(), "a")]))
    payload = json.loads(content)["data"]["uploadPatient"]
    assert (payload["uploaded"], payload["alreadyStored"]) == (1, 1)


def test_the_files_of_a_graphql_form_can_have_any_order(orthanc: LocalOrthanc, patient_id: str) -> None:
    body = GraphQL().body(slices(12), patientId=patient_id)
    parts = body.split(f"--{BOUNDARY}\r\n".encode())[1:]
    last, end = parts[-1].split(f"--{BOUNDARY}--".encode())
    turned = [*reversed([*parts[2:-1], last]), parts[0], parts[1]]
    sent = b"".join(f"--{BOUNDARY}\r\n".encode() + one for one in turned) + f"--{BOUNDARY}--".encode() + end
    _, _, content = in_process(GRAPHQL_PATH, sent)
    assert json.loads(content)["data"]["uploadPatient"]["uploaded"] == 12


@pytest.mark.parametrize("name", ["patient_id", "patient_name", "study_description", "series_path", "upload_key"])
def test_a_text_field_sent_as_a_file_is_rejected(orthanc: LocalOrthanc, patient_id: str, name: str) -> None:
    parts = [Part("patient_id", patient_id.encode())] if name != "patient_id" else []
    body = form([*parts, Part("files", instance(), "1.dcm"), Part(name, b"text", "a")])
    status, _, content = in_process(REST_PATH, body)
    assert (status, code_of(REST_PATH, content)) == (400, "BAD_USER_INPUT")
    assert b" object at 0x" not in content
    assert not UploadBatch.objects.exists()


def test_files_sent_as_text_are_rejected(orthanc: LocalOrthanc, patient_id: str) -> None:
    body = form([Part("patient_id", patient_id.encode()), Part("files", b"text")])
    status, _, content = in_process(REST_PATH, body)
    assert (status, code_of(REST_PATH, content)) == (400, "BAD_USER_INPUT")


def test_a_file_field_without_a_chosen_file_is_ignored(orthanc: LocalOrthanc, patient_id: str) -> None:
    """A browser sends it with an empty name and no bytes."""
    empty = Part("files", b"", "")
    patient = Part("patient_id", patient_id.encode())
    status, _, content = in_process(REST_PATH, form([patient, empty]))
    assert (status, code_of(REST_PATH, content)) == (400, "BAD_USER_INPUT")
    _, _, content = in_process(REST_PATH, form([patient, empty, Part("files", instance(), "1.dcm")]))
    assert json.loads(content)["uploaded"] == 1


def test_an_empty_file_with_a_name_is_a_file(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    outcome = transport([File(b"", "a", "empty.dcm")], patientId=patient_id)
    assert outcome.codes == ["EMPTY"]


def test_unknown_fields_are_ignored(orthanc: LocalOrthanc, patient_id: str) -> None:
    parts = [Part("patient_id", patient_id.encode()), Part("files", instance(), "1.dcm"), Part("other", b"x")]
    body = form([*parts, Part("another", b"x" * 1000, "file"), Part("", b"x")])
    status, _, content = in_process(REST_PATH, body)
    assert (status, json.loads(content)["uploaded"]) == (200, 1)


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain", ""])
def test_an_upload_with_another_content_type_is_rejected(
    orthanc: LocalOrthanc, patient_id: str, content_type: str
) -> None:
    answer = Client(raise_request_exception=False).generic(
        "POST", REST_PATH, f'{{"patient_id": "{patient_id}"}}', content_type
    )
    assert answer.status_code in (400, 415)
    assert set(answer.json()) == {"detail", "code"}


def test_an_empty_body_is_rejected(orthanc: LocalOrthanc) -> None:
    answer = Client(raise_request_exception=False).post(REST_PATH, b"", content_type=CONTENT_TYPE)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")
