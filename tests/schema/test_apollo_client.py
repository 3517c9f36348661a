"""What Apollo Client sends besides queries: hashes of persisted queries, its own headers, and WebSockets."""

import json
from typing import Any

import pytest
from django.test import Client

PERSISTED = {"persistedQuery": {"version": 1, "sha256Hash": "a" * 64}}
QUERY = "{ viewer { username } }"


def send(method: str, data: dict[str, Any], **headers: str) -> Any:
    if method == "GET":
        parameters = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
        return Client().get("/graphql/", parameters, headers=headers)
    return Client().post("/graphql/", data, content_type="application/json", headers=headers)


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_persisted_query_is_not_supported_until_the_query_is_sent(method: str, accept: str) -> None:
    answer = send(method, {"extensions": PERSISTED, "variables": {}}, Accept=accept)
    assert answer.status_code == 200
    [error] = answer.json()["errors"]
    assert error["message"] == "PersistedQueryNotSupported"
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
    again = send(method, {"extensions": PERSISTED, "query": QUERY}, Accept=accept)
    assert again.json() == {"data": {"viewer": {"username": None}}}


@pytest.mark.parametrize("extensions", [None, {}, {"clientLibrary": {"name": "@apollo/client"}}])
def test_request_without_query_and_hash_is_malformed(extensions: Any) -> None:
    answer = send("POST", {"extensions": extensions})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("accept", [None, "*/*", "text/html"])
def test_websocket_is_rejected_with_a_message(accept: str | None) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Protocol": "graphql-transport-ws"}
    answer = Client().get("/graphql/", headers=headers | ({"Accept": accept} if accept else {}))
    assert answer.status_code == 400
    assert "WebSockets are not supported" in answer.json()["errors"][0]["message"]
