"""Requests that are none, or that nobody in their right mind would send, to a real gateway: each is told so in JSON."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

import pytest

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.hostile_requests import (
    ADDRESSES,
    DICOMWEB_REQUESTS,
    FORM,
    FORMS,
    GRAPHQL,
    GRAPHQL_BODIES,
    NOT_HTTP,
    QUERY,
    REST,
    REST_REQUESTS,
    UPLOAD,
    get,
    request,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.live

ORIGIN = "https://viewer.example.org"
INDEX_STATE = b'{"query": "{ server { index { state } } }"}'


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


Send = Callable[[bytes], Answer]


@pytest.fixture(scope="module")
def gateway(archive: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    settings = {"ORTHANC_MAX_UPLOAD_BYTES": "1000000", "ORTHANC_CORS_ORIGINS": ORIGIN}
    with serving(archive.base_url, tmp_path_factory.mktemp("gateway"), settings=settings) as gateway:
        yield gateway


@pytest.fixture
def send(gateway: LocalGateway) -> Iterator[Send]:
    """Sends bytes and reads the one answer to them; whatever they were, the gateway has met nothing unforeseen."""

    def exchange(data: bytes) -> Answer:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
            connection.sendall(data)
            response = HTTPResponse(connection)
            response.begin()
            body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body)

    yield exchange
    log = gateway.log.read_text()
    assert "Traceback" not in log
    assert exchange(get("/livez")).status == 200


def problems_of(answer: Answer, is_graphql: bool) -> list[str]:
    """What is wrong with the answer to a bad request."""
    found = []
    if not 400 <= answer.status < 500:
        found.append(f"status {answer.status}")
    if answer.headers["content-type"] not in ("application/json", "application/graphql-response+json"):
        found.append(answer.headers["content-type"])
    found += [
        f"no {name}"
        for name in ("content-security-policy", "x-content-type-options", "cache-control")
        if name not in answer.headers
    ]
    content = json.loads(answer.body)
    if not isinstance(content, dict):
        return [*found, "another form: a list"]
    if "errors" in content and is_graphql:
        [error] = content["errors"]
        told = (error["message"], error["extensions"]["code"])
    elif set(content) == {"detail", "code"} and not is_graphql:
        told = (content["detail"], content["code"])
    else:
        told = ("", f"another form: {content}")
    return found + [f"code {told[1]}"] * (not told[0] or not told[1].isupper())


@pytest.mark.parametrize(
    ("requests", "is_graphql"),
    [(GRAPHQL_BODIES, True), (FORMS, True), (ADDRESSES, True), (REST_REQUESTS, False), (NOT_HTTP, False)],
    ids=["GraphQL bodies", "GraphQL forms", "GraphQL addresses", "other requests", "what is not HTTP"],
)
def test_every_malformed_request_is_answered_in_json(
    send: Send, requests: Mapping[str, bytes], is_graphql: bool
) -> None:
    found = {name: problems_of(send(data), is_graphql) for name, data in requests.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_malformed_dicomweb_request_costs_orthanc_nothing(send: Send, gateway: LocalGateway) -> None:
    def index_state() -> str:
        body = send(request("POST", GRAPHQL, INDEX_STATE, "Content-Type: application/json")).body
        return str(json.loads(body)["data"]["server"]["index"]["state"])

    # a list from a ready index asks Orthanc for changes
    wait_until(lambda: index_state() != "BUILDING")
    # the gateway asks Orthanc for its capabilities once
    assert send(get("/dicom-web/studies?limit=1")).status == 200

    def logged() -> list[dict[str, Any]]:
        lines = map(json.loads, gateway.log.read_bytes().splitlines())
        return [line for line in lines if line["event"] == "request" and "/dicom-web" in line["path"]]

    # a response is logged after it was sent
    wait_until(logged)
    before = len(logged())
    found = {name: problems_of(send(data), is_graphql=False) for name, data in DICOMWEB_REQUESTS.items()}
    assert {name: problems for name, problems in found.items() if problems} == {}
    wait_until(lambda: len(logged()) >= before + len(DICOMWEB_REQUESTS))
    requests = logged()[before:]
    assert [(line["path"], line["status"], line["orthanc_calls"]) for line in requests if line["orthanc_calls"]] == []


def test_valid_request_is_accepted(send: Send) -> None:
    answer = send(request("POST", GRAPHQL, QUERY, "Content-Type: application/json"))
    assert json.loads(answer.body) == {"data": {"__typename": "Query"}}
    assert send(get(f"{REST}patients/")).status == 200


CHUNKED = "Transfer-Encoding: chunked"
MEGABYTE = b"100000\r\n" + b" " * 2**20 + b"\r\n"


@pytest.mark.parametrize(
    "data",
    [
        request("POST", GRAPHQL, b"{", "Content-Type: application/json", length=str(10**15)),
        request("POST", GRAPHQL, b"--b", f"Content-Type: {FORM}", length=str(10**15)),
        request("POST", UPLOAD, b"--b", f"Content-Type: {FORM}", length=str(10**15)),
        request("DELETE", f"{REST}patients/x/", b"", length=str(10**15)),
        request("POST", GRAPHQL, MEGABYTE * 3, "Content-Type: application/json", CHUNKED).replace(
            b"Content-Length", b"X"
        ),
    ],
    ids=["GraphQL", "a GraphQL form", "an upload", "a deletion", "in pieces"],
)
def test_too_long_body_is_rejected_unread_and_logged(send: Send, gateway: LocalGateway, data: bytes) -> None:
    is_graphql = GRAPHQL.encode() in data[:40]
    request_id = f"long-{time.monotonic_ns()}"
    first, _, rest = data.partition(b"\r\n")
    answer = send(first + f"\r\nOrigin: {ORIGIN}\r\nX-Request-ID: {request_id}\r\n".encode() + rest)
    assert answer.status == 413
    assert problems_of(answer, is_graphql) == []
    assert b"LIMIT_EXCEEDED" in answer.body
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["x-request-id"] == request_id
    assert answer.headers["connection"] == "close"
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if request_id in line]
    assert [(line["event"], line["status"], line["orthanc_calls"]) for line in lines] == [("request", 413, 0)]


def test_get_request_with_a_body_is_rejected_unread(send: Send) -> None:
    answer = send(request("GET", f"{REST}patients/", b"{}", length="2000000"))
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert problems_of(answer, is_graphql=False) == []


def test_endless_head_is_not_kept_in_memory(gateway: LocalGateway) -> None:
    before = gateway.peak_memory()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(b"x" * 100_000_000)
    assert gateway.peak_memory() - before < 20_000_000


def test_long_body_does_not_count_as_head(send: Send) -> None:
    """Also where its end comes with the beginning of another request."""
    body = b"[" + b" " * 2_000_000 + b"]"
    first = request("POST", GRAPHQL, body, "Content-Type: application/json", "Connection: keep-alive")
    second = request("POST", GRAPHQL, body, "Content-Type: application/json", "Connection: close")
    assert send(first + second).status == 400
