"""Event streams of a deployed gateway, from the first byte to the end."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from socket import SHUT_RDWR

import pytest
import requests

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance
from tests.event_streams import CHANGES, GRAPHQL, ServerSentEvent, parse_event
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

EVENT_STREAM = {"Accept": "text/event-stream"}
QUERY = "subscription { archiveChanges(levels: [STUDY]) { cursor kind orthancId study { description } } }"
COMPLETE = ServerSentEvent("complete")
MAX_STREAMS = 200  # of which one caller has 20

pytestmark = [pytest.mark.live, pytest.mark.once]


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture(scope="module")
def gateway(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    settings = {"ORTHANC_MAX_STREAMS": str(MAX_STREAMS)}
    with serving(orthanc.base_url, tmp_path_factory.mktemp("gateway"), settings=settings) as running:
        yield running


class Following:
    """A stream that is read in a thread."""

    def __init__(self, gateway: LocalGateway, method: str, path: str, headers: Mapping[str, str], body: str) -> None:
        connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.connect()
        self._socket = connection.sock
        connection.request(method, path, body, {**EVENT_STREAM, "Content-Type": "application/json", **headers})
        self.response = connection.getresponse()
        assert (self.response.status, self.response.getheader("Content-Type")) == (200, "text/event-stream")
        assert self.response.readline() == b"retry: 2000\n"
        self.events: list[ServerSentEvent] = []
        self.is_complete = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        block = ""
        with suppress(OSError, IncompleteRead):
            while line := self.response.readline().decode():
                block += line
                if line == "\n":
                    self.events += [event] if (event := parse_event(block)) else []
                    block = ""
            self.is_complete = True

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)
        self.reader.join()
        self.response.close()
        self._socket.close()


Follow = Callable[..., Following]


@pytest.fixture
def follow() -> Iterator[Callable[..., Following]]:
    """Open streams of GraphQL, or of the REST API without a query."""
    with ExitStack() as stack:

        def open_stream(gateway: LocalGateway, query: str | None = None, **headers: str) -> Following:
            method, path = ("POST", GRAPHQL) if query else ("GET", CHANGES)
            stream = Following(gateway, method, path, headers, json.dumps({"query": query}) if query else "")
            stack.callback(stream.close)
            return stream

        yield open_stream


def upload(gateway: LocalGateway, patient_id: str) -> str:
    """Upload a study; return its Orthanc id."""
    form = {"patient_id": patient_id, "study_description": "Told"}
    files = {"files": ("1.dcm", instance())}
    answer = requests.post(f"{gateway.address}/api/orthanc/upload-patient/", form, files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["studyId"])


def test_an_upload_and_a_deletion_are_told_to_those_who_follow(gateway: LocalGateway, follow: Follow) -> None:
    of_graphql, of_rest = follow(gateway, QUERY), follow(gateway)
    study = upload(gateway, "Followed")

    def told(kind: str) -> tuple[list[ServerSentEvent], list[ServerSentEvent]]:
        graphql = [one for one in of_graphql.events if one.data["data"]["archiveChanges"]["orthancId"] == study]
        rest = [one for one in of_rest.events if one.data["orthancId"] == study]
        return (
            [one for one in graphql if one.data["data"]["archiveChanges"]["kind"] == kind],
            [one for one in rest if one.data["kind"] == kind.lower()],
        )

    wait_until(lambda: all(told("ADDED")))
    [of_query], [event] = told("ADDED")
    assert of_query.name == "next"
    assert of_query.data["data"]["archiveChanges"]["study"] == {"description": "Told"}
    assert of_query.id == event.id == event.data["cursor"] == of_query.data["data"]["archiveChanges"]["cursor"]
    assert (event.data["level"], event.data["patientId"]) == ("study", "Followed")
    requests.delete(f"{gateway.address}/api/orthanc/studies/{study}/", timeout=60).raise_for_status()
    wait_until(lambda: all(told("DELETED")))
    [of_query], _ = told("DELETED")
    assert of_query.data["data"]["archiveChanges"]["study"] is None

    # all of it again, and nothing from before
    again = [follow(gateway, query, **{"Last-Event-ID": event.id}) for query in (QUERY, None)]
    wait_until(lambda: all(one.events for one in again))
    assert all(int(one.events[0].id) > int(event.id) for one in again)


def test_headers_let_events_through_proxies_at_once(gateway: LocalGateway, follow: Follow) -> None:
    for query in (QUERY, None):
        stream = follow(gateway, query, **{"Accept-Encoding": "gzip"})
        headers = stream.response.headers
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["Cache-Control"] == "private, no-store, no-transform"
        assert "Accept" in headers["Vary"]
        assert "Content-Encoding" not in headers


@pytest.mark.parametrize(
    ("after", "code"), [("9999999999", "CURSOR_EXPIRED"), ("x", "BAD_USER_INPUT"), ("-1", "BAD_USER_INPUT")]
)
def test_a_cursor_that_cannot_be_continued_is_an_error(gateway: LocalGateway, after: str, code: str) -> None:
    query = f'{{ archiveChanges(after: "{after}") {{ nodes {{ cursor }} }} }}'
    answer = requests.post(f"{gateway.address}{GRAPHQL}", json={"query": query}, timeout=60).json()
    assert answer["errors"][0]["extensions"]["code"] == code
    query = f'subscription {{ archiveChanges(after: "{after}") {{ cursor }} }}'
    answer = requests.post(f"{gateway.address}{GRAPHQL}", json={"query": query}, headers=EVENT_STREAM, timeout=60)
    first, last, _ = map(parse_event, answer.text.split("\n\n"))
    assert first
    assert first.data["errors"][0]["extensions"]["code"] == code
    assert last == COMPLETE
    for headers in ({}, EVENT_STREAM):
        rest = requests.get(f"{gateway.address}{CHANGES}?after={after}", headers=headers, timeout=60)
        assert (rest.status_code, rest.json()["code"]) == (410 if code == "CURSOR_EXPIRED" else 400, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { archiveChanges { nothing } }", "BAD_USER_INPUT"),
        ("subscription { a: archiveChanges { cursor } b: archiveChanges { cursor } }", "BAD_USER_INPUT"),
        (f"subscription {{ archiveChanges {{ {'study { patient { studies { id ' * 12 + '} } }' * 12} }} }}", "LIMIT"),
        (f"{QUERY} # {'x' * 8192}", "LIMIT"),
    ],
)
def test_the_limits_of_queries_apply_to_subscriptions(gateway: LocalGateway, query: str, code: str) -> None:
    answer = requests.post(f"{gateway.address}{GRAPHQL}", json={"query": query}, headers=EVENT_STREAM, timeout=60)
    event = parse_event(answer.text.partition("\n\n")[0])
    assert event
    assert event.data["errors"][0]["extensions"]["code"].startswith(code)


def test_a_stream_keeps_no_large_variables(gateway: LocalGateway) -> None:
    body = {"query": QUERY, "variables": {"unused": "x" * 8192}}
    answer = requests.post(f"{gateway.address}{GRAPHQL}", json=body, headers=EVENT_STREAM, timeout=60)
    event = parse_event(answer.text.partition("\n\n")[0])
    assert event
    [error] = event.data["errors"]
    assert error["message"] == "The request for an event stream has more than 8,192 bytes."


def test_a_subscription_is_rejected_where_the_client_accepts_no_stream(gateway: LocalGateway) -> None:
    headers = {"Accept": "application/json"}
    answer = requests.post(f"{gateway.address}{GRAPHQL}", json={"query": QUERY}, headers=headers, timeout=60).json()
    assert answer["errors"][0]["message"] == "Send subscriptions with the header `Accept: text/event-stream`."


def test_a_query_is_a_stream_of_one_event_if_the_client_prefers_that(gateway: LocalGateway) -> None:
    def ask(accept: str) -> requests.Response:
        query = {"query": "{ server { version } }"}
        return requests.post(f"{gateway.address}{GRAPHQL}", json=query, headers={"Accept": accept}, timeout=60)

    first, last, _ = ask("text/event-stream").text.split("\n\n")
    assert parse_event(last) == COMPLETE
    # of urql, for all operations
    every = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
    assert parse_event(first) == ServerSentEvent("next", "", ask(every).json())


def test_pages_end_where_the_log_ends(gateway: LocalGateway) -> None:
    upload(gateway, "Paged")
    found, after = [], ""
    while True:
        page = requests.get(f"{gateway.address}{CHANGES}?limit=2{after}", timeout=60).json()
        found += page["changes"]
        after = f"&after={page['next']}"
        if not page["hasNext"]:
            break
        assert len(page["changes"]) == 2
    assert len({one["cursor"] for one in found}) == len(found) >= 3
    assert page["next"] == found[-1]["cursor"]
    query = "{ archiveChanges(first: 1000) { nodes { cursor globalId orthancId } pageInfo { endCursor hasNextPage } } }"
    of_query = requests.post(f"{gateway.address}{GRAPHQL}", json={"query": query}, timeout=60).json()["data"]
    cursors = [node["cursor"] for node in of_query["archiveChanges"]["nodes"]]
    assert cursors[: len(found)] == [one["cursor"] for one in found]
    for limit in ("x", "-1", "1001", ""):
        assert requests.get(f"{gateway.address}{CHANGES}?limit={limit}", timeout=60).status_code == 400


def test_open_streams_are_limited_and_take_nothing_from_queries(gateway: LocalGateway, follow: Follow) -> None:
    before = threads_of(gateway)
    streams = [follow(gateway) for _ in range(MAX_STREAMS // 10)]
    answer = requests.get(f"{gateway.address}{CHANGES}", headers=EVENT_STREAM, timeout=60)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json() == {
        "detail": "Too many of your event streams are open. Close one, or try again later.",
        "code": "GATEWAY_UNAVAILABLE",
    }
    # 12 of a client may be in progress
    answer = requests.get(f"{gateway.address}/api/orthanc/patients/", timeout=5)
    assert answer.status_code == 200
    assert threads_of(gateway) - before < 10
    for stream in streams:
        stream.close()

    def can_be_opened() -> bool:
        with requests.get(f"{gateway.address}{CHANGES}", headers=EVENT_STREAM, stream=True, timeout=60) as response:
            return response.status_code == 200

    wait_until(can_be_opened)


def threads_of(gateway: LocalGateway) -> int:
    return len(list(Path(f"/proc/{gateway.pid}/task").iterdir()))


def test_shutting_down_ends_streams_at_once(orthanc: LocalOrthanc, tmp_path: Path, follow: Follow) -> None:
    with serving(orthanc.base_url, tmp_path, settings={"ORTHANC_DRAIN_SECONDS": "60"}) as gateway:
        streams = [follow(gateway, query) for query in (QUERY, None)]
        os.kill(gateway.pid, signal.SIGTERM)
        for stream in streams:
            # long before requests in progress would be broken off
            stream.reader.join(20)
            # whole, and without `complete`: the client is to connect again
            assert (stream.is_complete, stream.events) == (True, [])
