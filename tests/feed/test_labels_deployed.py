"""Labels that one gateway has changed are there at once for the other, in lists, filters, counts and event streams."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.browser.users import User, create_token, make
from tests.corpus import hierarchy, load
from tests.deletion.deletion_client import resource_at
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0")]

MANAGER = User("manager", ["Manager"])
LEVELS = ("patients", "studies", "seriesList", "instances")
PLACES = {"PATIENT": (1,), "STUDY": (1, 1), "SERIES": (1, 1, 1), "INSTANCE": (1, 1, 1, 1)}
NESTED = """{ patients { nodes { labels studies { labels series { labels instances { labels rows } } } } }
    labels { label count } }"""
FILTERED = (
    "query($labels: LabelFilter) {"
    + "".join(
        f"{name}(filter: {{labels: $labels}}, first: 1000) {{ totalCount nodes {{ orthancId labels }} }} "
        for name in LEVELS
    )
    + "}"
)


@pytest.fixture(scope="module")
def gateways(
    start_orthanc: StartOrthanc, postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[list[LocalGateway], str]]:
    """Yield two gateways over one PostgreSQL, with an index and two workers each, and the token of a Manager."""
    orthanc: LocalOrthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, hierarchy())
    folder = tmp_path_factory.mktemp("gateways")
    settings = {"DATABASE_URL": postgresql, "DJANGO_SECRET_KEY": "one for both" * 5}
    with (
        serving(orthanc.base_url, folder / "first", workers=2, settings=settings) as first,
        serving(orthanc.base_url, folder / "second", workers=2, settings=settings) as second,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("DATABASE_URL", postgresql)
        make(Path(folder / "first"), MANAGER)
        yield [first, second], create_token(Path(folder / "first"), MANAGER)


def graphql(gateway: LocalGateway, token: str, query: str, **variables: Any) -> Any:
    # a new connection, which any worker may accept
    answer = requests.post(
        f"{gateway.address}/graphql/",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {token}", "Connection": "close"},
        timeout=60,
    ).json()
    assert "errors" not in answer, answer
    return answer["data"]


def test_all_workers_show_and_filter_by_labels_at_once(gateways: tuple[list[LocalGateway], str]) -> None:
    both, token = gateways
    # fill the caches of every worker
    for gateway in both * 3:
        graphql(gateway, token, NESTED)
        graphql(gateway, token, FILTERED, labels={"any": ["urgent"]})
    for step, (level, place) in enumerate(PLACES.items()):
        orthanc_id, here = resource_at(place).orthanc_id, both[step % 2]
        name = LEVELS[step]
        for field, number in (("addLabels", 1), ("removeLabels", 0)):
            change = f"""mutation($id: ID!) {{ {field}(level: {level}, orthancId: $id, labels: ["urgent"]) {{
                labels }} }}"""
            graphql(here, token, change, id=orthanc_id)
            for gateway in both * 2:
                found = graphql(gateway, token, FILTERED, labels={"any": ["urgent"]})
                assert [found[one]["totalCount"] for one in LEVELS] == [number * (one == name) for one in LEVELS]
                assert [one["orthancId"] for one in found[name]["nodes"]] == [orthanc_id] * number
                nested = graphql(gateway, token, NESTED)
                assert json.dumps(nested["patients"]).count('"urgent"') == number
                assert nested["labels"] == [{"label": "urgent", "count": 1}] * number


def test_event_stream_of_the_other_gateway_tells_of_labels(gateways: tuple[list[LocalGateway], str]) -> None:
    (first, second), token = gateways
    study = resource_at((2, 1)).orthanc_id
    told: list[Any] = []
    begun = threading.Event()
    subscription = "subscription { archiveChanges { kind level orthancId study { labels } } }"
    response = requests.post(
        f"{second.address}/graphql/",
        json={"query": subscription},
        headers={"Authorization": f"Bearer {token}", "Accept": "text/event-stream"},
        stream=True,
        timeout=60,
    )
    # an error has lines, too, and no event would follow
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream"), response.text

    def listen() -> None:
        for line in response.iter_lines(chunk_size=1):
            begun.set()
            if line.startswith(b"data: {"):
                told.append(json.loads(line[6:]))
                return

    listener = threading.Thread(target=listen)
    listener.start()
    assert begun.wait(30)
    labelling = 'mutation($id: ID!) { addLabels(level: STUDY, orthancId: $id, labels: ["urgent"]) { labels } }'
    graphql(first, token, labelling, id=study)
    wait_until(lambda: bool(told))
    listener.join(10)
    response.close()
    change = {"kind": "LABELLED", "level": "STUDY", "orthancId": study, "study": {"labels": ["urgent"]}}
    assert told == [{"data": {"archiveChanges": change}}]
