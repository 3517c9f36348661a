"""Malformed requests get GraphQL errors, and a failing archive is logged."""

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.orthanc.calls import recording
from orthancproxy.sandbox.orthanc import free_port
from orthancproxy.schema.view import GraphQLView
from tests.log_capture import logged

NESTED = 30_000


def post(body: bytes, **headers: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.post("/graphql/", body, content_type="application/json", headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        b"5",
        b"null",
        b"true",
        b'"x"',
        b"[]",
        b"[1]",
        b"[{}]",
        b"{}",
        b"{",
        pytest.param(b"[" * NESTED + b"]" * NESTED, id="nested lists"),
        pytest.param(b'{"query":' * NESTED + b"1" + b"}" * NESTED, id="nested objects"),
        pytest.param(
            b'{"query": "{ __typename }", "variables": ' + b'{"a":' * NESTED + b"1" + b"}" * (NESTED + 1),
            id="nested variables",
        ),
        b'{"query": "\xff"}',
        b"\xff\xfe",
        b"1" * 5000,
        b'{"query": 5}',
        b'{"query": null}',
        b'{"query": "{ __typename }", "variables": 5}',
        b'{"query": "{ __typename }", "extensions": []}',
        b'{"query": "{ __typename }", "operationName": "\\ud800"}',
    ],
)
def test_a_malformed_body_is_rejected(body: bytes) -> None:
    answer = post(body, **{"X-Request-ID": "abc"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/json"
    content = answer.json()
    assert set(content) == {"errors"}
    [error] = content["errors"]
    assert error["message"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "requestId": "abc"}


@pytest.mark.parametrize("variables", ["5", "[", "[" * NESTED, '"x"'])
def test_malformed_variables_in_a_url_are_rejected(variables: str) -> None:
    query = {"query": "{ __typename }", "variables": variables}
    answer = Client(raise_request_exception=False).get("/graphql/", query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_without_our_middleware_there_is_no_request_id(settings: Settings) -> None:
    settings.MIDDLEWARE = []
    [error] = post(b"5").json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


MUTATION = 'mutation M { deletePatient(orthancId: "a-b") { instancesCount } }'
BOTH = "query Q { __typename } " + MUTATION


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
@pytest.mark.parametrize(
    ("parameters", "headers"),
    [
        ({"query": MUTATION}, {}),
        ({"query": MUTATION.replace(" M", "")}, {}),
        ({"query": MUTATION, "operationName": "M"}, {}),
        ({"query": MUTATION, "operationName": ""}, {}),
        ({"query": BOTH, "operationName": "M"}, {}),
        ({"query": f"{MUTATION} query Q {{ __typename }}"}, {}),
        ({"query": [MUTATION, "{ __typename }"], "operationName": "M"}, {}),
        ({"query": ["{ __typename }", MUTATION]}, {}),
        ({"query": MUTATION, "extensions": '{"persistedQuery": {"version": 1, "sha256Hash": "x"}}'}, {}),
        ({"query": f"# query\n\ufeff{MUTATION}"}, {}),
        ({"query": 'fragment F on Mutation { deletePatient(orthancId: "a-b") { dryRun } } mutation { ...F }'}, {}),
        ({"query": MUTATION}, {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"}),
        ({"query": MUTATION, "_method": "POST"}, {}),
        ({"query": MUTATION}, {"Content-Type": "application/json"}),
    ],
)
def test_get_never_runs_a_mutation(parameters: dict[str, str], headers: dict[str, str], accept: str) -> None:
    with recording() as calls:
        answer = Client().get("/graphql/", parameters, headers={**headers, "accept": accept})
    assert answer.status_code == 400
    assert answer.json().get("data") is None
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "path" not in error
    assert calls.count == 0


def test_the_body_of_a_get_is_not_looked_at() -> None:
    with recording() as calls:
        body = json.dumps({"query": MUTATION})
        answer = Client().generic("GET", "/graphql/?query=%7B__typename%7D", body, content_type="application/json")
    assert answer.json() == {"data": {"__typename": "Query"}}
    assert calls.count == 0


JSON, CURRENT = "application/json", "application/graphql-response+json"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (CURRENT, CURRENT),
        (f"{CURRENT}, {JSON};q=0.9", CURRENT),  # Apollo
        (f"{CURRENT}, {JSON}, multipart/mixed", CURRENT),  # urql
        (f"{CURRENT};charset=utf-8, {JSON};charset=utf-8;q=0.9", JSON),
        (f"{JSON}, {CURRENT}", JSON),
        (f"{CURRENT};q=0.5, {JSON}", JSON),
        (f"{CURRENT};q=0, */*", JSON),
        ("text/plain", JSON),
        ("", JSON),
        (f"{CURRENT}; q*=x''1", JSON),
    ],
)
@pytest.mark.parametrize(
    ("query", "status"),
    [("{ __typename }", 200), ("{", 400), ("{ nothing }", 400), ("query ($a: Int!) { __typename }", 400)],
)
def test_the_media_type_is_what_was_asked_for(accept: str | None, media_type: str, query: str, status: int) -> None:
    headers = {} if accept is None else {"accept": accept}
    answer = Client().post("/graphql/", {"query": query}, content_type="application/json", headers=headers)
    assert answer["Content-Type"] == media_type
    assert "Accept" in answer["Vary"]
    assert answer["Cache-Control"] == "private, no-store"
    # frontends that exist know 200 only
    assert answer.status_code == (status if media_type == CURRENT else 200)
    content = json.loads(answer.content)
    assert ("data" in content) is (status == 200 or media_type == JSON)
    assert ("errors" in content) is (status != 200)
    assert all(error["extensions"]["code"] for error in content.get("errors", ()))


@pytest.mark.parametrize("accept", [JSON, CURRENT])
def test_what_was_executed_has_data_and_the_status_200(settings: Settings, accept: str) -> None:
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
    for query in ("{ patients { totalCount } }", '{ patient(patientId: "x") { id } }'):
        answer = post(json.dumps({"query": query}).encode(), accept=accept)
        assert answer.status_code == 200
        content = json.loads(answer.content)
        assert "data" in content
        assert content["errors"][0]["extensions"]["code"] == "ARCHIVE_UNAVAILABLE"


def test_other_methods_are_told_which_there_are() -> None:
    answer = Client().put("/graphql/")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, POST")


class TestLog:
    def test_names_the_cause_when_the_archive_fails(self, settings: Settings) -> None:
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
        with logged() as lines:
            post(json.dumps({"query": "{ patients { totalCount } }"}).encode(), **{"X-Request-ID": "abc"})
        [line] = [line for line in lines if line["level"] == "warning"]
        assert (line["event"], line["request_id"]) == ("archive failed", "abc")
        assert (line["code"], line["error"]) == ("ARCHIVE_UNAVAILABLE", "ArchiveUnavailable")
        assert line["cause"] == "NewConnectionError from ConnectionRefusedError"
        # but that of the client
        assert "127.0.0.1" not in json.dumps([{**line, "address": ""} for line in lines])

    @pytest.mark.parametrize("query", ["{", "{ nothing }", "{ patients(first: -1) { totalCount } }"])
    def test_has_nothing_of_the_callers_own_mistakes(self, query: str) -> None:
        with logged() as lines:
            assert "errors" in post(json.dumps({"query": query}).encode()).json()
        assert [line["event"] for line in lines if line["level"] != "debug"] == ["request"]


def test_a_failure_of_the_gateway_has_the_form_of_a_graphql_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows one that gets past the view; a bug would."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("Kim^Minsu")

    monkeypatch.setattr(GraphQLView, "process_result", fail)

    answer = post(b'{"query": "{ __typename }"}')

    assert answer.status_code == 500
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": answer["X-Request-ID"]}
    assert "Kim" not in answer.content.decode()
