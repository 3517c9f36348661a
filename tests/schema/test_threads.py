"""A GraphQL request is handled whole in one thread, and none of it on the event loop (ADR 0013)."""

import threading
from typing import Any

import pytest
from django.test import Client

from orthancproxy.resolvers.context import RequestContext
from orthancproxy.schema import context, limits
from orthancproxy.schema.execution import CompiledExecutor
from orthancproxy.schema.view import GraphQLView


def test_a_graphql_request_is_authenticated_executed_audited_and_encoded_in_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: dict[str, set[str]] = {}

    def watch(place: Any, name: str) -> None:
        original = getattr(place, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return original(*args, **kwargs)

        monkeypatch.setattr(place, name, watched)

    watch(context, "authenticate")
    watch(limits, "_cached_check")
    watch(CompiledExecutor, "execute_field")
    watch(RequestContext, "__exit__")
    watch(GraphQLView, "parse_http_body")
    watch(GraphQLView, "encode_json")
    query = '{ viewer { username } study(studyInstanceUID: "1.2") { description } }'
    Client().post("/graphql/", {"query": query}, content_type="application/json")
    assert threads.keys() == {
        "parse_http_body",
        "authenticate",
        "_cached_check",
        "execute_field",
        "__exit__",
        "encode_json",
    }
    [thread] = set().union(*threads.values())
    assert thread.startswith("graphql")
