"""What is no GraphQL request is told so, in the form of an answer, and a failing archive is in the log."""

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import free_port
from tests.logs import logged

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
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    answer = post(body, **{"X-Request-ID": "abc"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/json"
    content = answer.json()
    assert set(content) == {"errors"}
    [error] = content["errors"]
    assert error["message"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "requestId": "abc"}


@pytest.mark.parametrize("variables", ["5", "[", "[" * NESTED, '"x"'])
def test_variables_of_an_address_that_are_none_are_refused(variables: str) -> None:
    query = {"query": "{ __typename }", "variables": variables}
    answer = Client(raise_request_exception=False).get("/graphql/", query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_without_our_middleware_there_is_no_request_id(settings: Settings) -> None:
    settings.MIDDLEWARE = []
    [error] = post(b"5").json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


class TestLog:
    def test_names_the_cause_when_the_archive_fails(self, settings: Settings) -> None:
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
        with logged() as lines:
            post(json.dumps({"query": "{ patients { totalCount } }"}).encode(), **{"X-Request-ID": "abc"})
        [line] = [line for line in lines if line["level"] == "warning"]
        assert (line["event"], line["request_id"]) == ("archive failed", "abc")
        assert (line["code"], line["error"]) == ("ARCHIVE_UNAVAILABLE", "ArchiveUnavailable")
        assert line["cause"].startswith("ConnectionError from ")
        assert line["cause"].endswith("ConnectionRefusedError")
        assert "127.0.0.1" not in json.dumps(lines)

    @pytest.mark.parametrize("query", ["{", "{ nothing }", "{ patients(first: -1) { totalCount } }"])
    def test_has_nothing_of_the_callers_own_mistakes(self, query: str) -> None:
        with logged() as lines:
            assert "errors" in post(json.dumps({"query": query}).encode()).json()
        assert [line["event"] for line in lines if line["level"] != "debug"] == ["request"]
