"""The object budget of a request counts resources as the response shows them, and limits what is fetched."""

import json
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.errors import LimitExceeded
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

WHOLE = "{ patients(first: 1000) { nodes { studies { series { instances { id } } } } } }"


@pytest.fixture
def proxy(archive: LocalOrthanc, settings: Settings) -> Iterator[RecordingProxy]:
    with RecordingProxy(archive.port) as proxy:
        settings.ORTHANC_BASE_URL = proxy.base_url
        connect.cache_clear()
        yield proxy
    connect.cache_clear()


def objects(answer: object) -> int:
    """The number of patients, studies, series and instances in a part of a response."""
    if isinstance(answer, list):
        return sum(map(objects, answer))
    if isinstance(answer, dict):
        return ("nodes" not in answer) + sum(map(objects, answer.values()))
    return 0


def exactly(graphql: GraphQL, query: str) -> tuple[str, int]:
    """The query with a page as large as its list, and the number of objects in its response."""
    data = graphql(query)
    [connection] = data.values()
    return query.replace("first: 1000", f"first: {len(connection['nodes'])}"), objects(connection)


@pytest.mark.parametrize("charge", [ObjectBudget.reserve, ObjectBudget.check_fetch])
def test_the_maximum_itself_is_within_the_budget(charge: Callable[[ObjectBudget, int], None]) -> None:
    charge(ObjectBudget(3), 3)
    with pytest.raises(LimitExceeded, match="maxObjects"):
        charge(ObjectBudget(3), 4)


@pytest.mark.parametrize(
    "query",
    [
        WHOLE,
        "{ instances(first: 1000) { nodes { series { study { patient { id } } } } } }",
        "{ instances(first: 1000) { nodes { series { instances { series { instances { id } } } } } } }",
        "{ patients(first: 1000) { nodes { a: studies { id } b: studies { series { id } } } } }",
    ],
    ids=["down", "up", "to and fro", "aliases"],
)
def test_a_response_contains_at_most_the_maximum_of_objects(
    query: str, proxy: RecordingProxy, graphql: GraphQL, settings: Settings
) -> None:
    query, shown = exactly(graphql, query)
    assert shown > 20
    settings.ORTHANC_MAX_OBJECTS = shown
    graphql(query)
    settings.ORTHANC_MAX_OBJECTS = shown - 1
    error = graphql.error(query)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "server.limits.maxObjects" in error["message"]
    assert str(shown - 1) in error["message"]


def test_all_operations_of_a_request_share_the_budget(
    proxy: RecordingProxy, graphql: GraphQL, settings: Settings
) -> None:
    whole, shown = exactly(graphql, WHOLE)
    settings.ORTHANC_MAX_OBJECTS = shown
    answer = graphql.answer(f"{whole[:-1]} again: patients(first: 1) {{ nodes {{ id }} }} }}")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["LIMIT_EXCEEDED"]


def test_at_most_the_budget_is_fetched(proxy: RecordingProxy, graphql: GraphQL, settings: Settings) -> None:
    settings.ORTHANC_MAX_OBJECTS = 10
    assert graphql.error("{ patients(first: 2) { nodes { studies { series { instances { id } } } } } }")
    fetches = [json.loads(request.body) for request in proxy.requests if b"Short" in request.body]
    # of an Orthanc that says how many there are, they are not even fetched
    assert [body["Limit"] for body in fetches if body["Level"] == "Instance"] in ([], [11])
    assert "Series" in {body["Level"] for body in fetches}


def test_legacy_lists_are_limited_too(
    proxy: RecordingProxy, graphql: GraphQL, client: Client, settings: Settings
) -> None:
    [series] = graphql("{ seriesList(first: 1) { nodes { orthancId } } }")["seriesList"]["nodes"]
    path = f"/api/orthanc/instances/?series_id={series['orthancId']}"
    shown = len(client.get(path).json())
    assert shown > 1
    settings.ORTHANC_MAX_OBJECTS = shown - 1
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (413, "LIMIT_EXCEEDED")
