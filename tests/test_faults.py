"""Orthanc is down, slow, restarted, killed, or answers garbage: both transports report it, and recover afterwards."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from strawberry.relay import to_base64

from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import FIND
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ROOT, hierarchy, load
from tests.proxy import DROPPED, GARBAGE, Fault, RecordingProxy, answering, impatient

pytestmark = pytest.mark.live

PATIENTS = "{ patients { totalCount nodes { patientId } } }"
ARCHIVE_CODES = {"ARCHIVE_UNAVAILABLE", "ARCHIVE_ERROR"}
WRONG_SHAPES = (
    "null", "5", "true", '"text"', "{}", "[]", "[null]", "[5]", '["text"]', "[[]]", "[{}]",
    '[{"ID": 5}]', '{"ID": null}', '{"Count": "many"}', '{"Count": null}', '{"CountPatients": []}',
    '{"Version": 5, "MainDicomTags": 5, "Capabilities": 5}', '{"Version": null, "MainDicomTags": {"Patient": 5}}',
    '[{"ID": "x", "Type": 5, "MainDicomTags": null}]',
    '[{"ID": "x", "Type": "Patient", "MainDicomTags": [], "Studies": null, "Series": 5}]',
    '[{"ID": "x", "Type": "Patient", "MainDicomTags": {"no tag": "x"}}]',
    '{"ID": "x", "Type": "Patient", "MainDicomTags": {"no tag": "x"}}',
    '{"x": {"0010,0010": 5}}', '{"x": null}',
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: the HTTP status, the code of an error, and when to come back."""

    status: int
    code: str | None = None
    retry_after: bool = False


WELL = Outcome(200)


class Gateway(Client):
    """A client that fails when an answer names this machine's address or one of these ports."""

    def __init__(self, *ports: int) -> None:
        super().__init__(raise_request_exception=False)
        # a port's digits may also be a part of a UID, or of the request's id
        secrets = "|".join(map(re.escape, ("127.0.0.1", *map(str, ports))))
        self._secret = re.compile(rf"(?<![\w.])({secrets})(?![\w.])")

    def request(self, **request: Any) -> Any:
        answer = super().request(**request)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
        if answer["Content-Type"] in ("application/json", "text/html"):
            told = f"{answer.headers} {content.decode()}"
            assert self._secret.findall(told) == []
        return answer

    def graphql(self, query: str) -> dict[str, Any]:
        """Answer of a query, which is always told with HTTP 200, and its errors with the request's id."""
        answer = self.post("/graphql/", {"query": query}, content_type="application/json")
        content: dict[str, Any] = answer.json()
        assert answer.status_code == 200
        for error in content.get("errors", ()):
            assert error["extensions"]["requestId"] == answer["X-Request-ID"]
            assert answer["X-Request-ID"]
        return content

    def rest(self, path: str) -> Outcome:
        answer = self.get(f"/api/orthanc/{path}")
        if answer.status_code == 200:
            return WELL
        content = answer.json()
        assert set(content) == {"detail", "code"}
        assert answer["X-Request-ID"]
        return Outcome(answer.status_code, content["code"], "Retry-After" in answer.headers)


def over_graphql(gateway: Gateway) -> Outcome:
    content = gateway.graphql(PATIENTS)
    if "errors" not in content:
        assert content["data"]["patients"]["totalCount"] == 3
        return WELL
    # `patients` can't be null
    assert content["data"] is None
    [error] = content["errors"]
    assert error["path"] == ["patients"]
    return Outcome(200, error["extensions"]["code"])


def over_rest(gateway: Gateway) -> Outcome:
    return gateway.rest("patients/")


Transport = Callable[[Gateway], Outcome]
TRANSPORTS: dict[str, Transport] = {"GraphQL": over_graphql, "REST": over_rest}
DOWN = {"GraphQL": Outcome(200, "ARCHIVE_UNAVAILABLE"), "REST": Outcome(503, "ARCHIVE_UNAVAILABLE", retry_after=True)}
SLOW = {"GraphQL": Outcome(200, "ARCHIVE_UNAVAILABLE"), "REST": Outcome(504, "ARCHIVE_UNAVAILABLE")}
REFUSED = {"GraphQL": Outcome(200, "ARCHIVE_ERROR"), "REST": Outcome(502, "ARCHIVE_ERROR")}


@pytest.fixture
def proxy(archive: LocalOrthanc, settings: Settings) -> Iterator[RecordingProxy]:
    """Before the archive; the gateway knows no other address."""
    with RecordingProxy(archive.port) as running:
        settings.ORTHANC_BASE_URL = running.base_url
        settings.ORTHANC_READ_TIMEOUT = 5.0
        yield running


@pytest.fixture
def gateway(proxy: RecordingProxy) -> Gateway:
    return Gateway(proxy.port, proxy.target)


@pytest.fixture(scope="module")
def mortal(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """An Orthanc with the same archive, to be killed."""
    orthanc = start_orthanc()
    load(orthanc, hierarchy())
    return orthanc


@pytest.fixture
def doomed(mortal: LocalOrthanc, settings: Settings) -> LocalOrthanc:
    """It, running, and the gateway's."""
    mortal.start()
    settings.ORTHANC_BASE_URL = mortal.base_url
    return mortal


@pytest.fixture(scope="module")
def ids(archive: LocalOrthanc) -> dict[str, str]:
    """The Orthanc id of a resource of each level."""
    client = OrthancClient(ConnectionOptions(archive.base_url))
    levels = ("Patient", "Study", "Series", "Instance")
    return {level: client.call(FIND, body={"Level": level, "Query": {}})[0] for level in levels}


@pytest.fixture
def queries(ids: dict[str, str]) -> dict[str, str]:
    """Queries that make every kind of call to Orthanc."""
    global_ids = ", ".join(f'"{to_base64(level, orthanc_id)}"' for level, orthanc_id in ids.items())
    return {
        "a list": "{ patients { totalCount nodes { patientId isStable labels } } }",
        "all levels": "{ patients { nodes { studies { modalities series { instances { fileSize } } } } } }",
        "upwards": "{ instances { nodes { sopClassUID series { study { patient { patientId } } } } } }",
        "tags of files": '{ instances { nodes { rows tag(keyword: "KVP") } } }',
        "by UID": f'{{ study(studyInstanceUID: "{ROOT}.1.1") {{ lastUpdate series {{ modality }} }} }}',
        "by id": f'{{ instance(orthancId: "{ids["Instance"]}") {{ sopClassUID fileSize rows }} }}',
        "by global id": f"{{ nodes(ids: [{global_ids}]) {{ id ... on Study {{ modalities instancesCount }} }} }}",
        "the server": "{ server { version patientsCount diskSize advice } }",
    }


@pytest.mark.parametrize("transport", TRANSPORTS)
class TestUnavailableOrthanc:
    def test_orthanc_killed_and_started_again(self, doomed: LocalOrthanc, transport: str) -> None:
        ask, gateway = TRANSPORTS[transport], Gateway(doomed.port)
        assert ask(gateway) == WELL
        doomed.kill()
        assert ask(gateway) == DOWN[transport]
        assert ask(gateway) == DOWN[transport]
        doomed.start()
        assert ask(gateway) == WELL

    def test_orthanc_down_when_the_gateway_starts(self, doomed: LocalOrthanc, transport: str) -> None:
        ask, gateway = TRANSPORTS[transport], Gateway(doomed.port)
        doomed.kill()
        assert ask(gateway) == DOWN[transport]
        doomed.start()
        assert ask(gateway) == WELL

    @pytest.mark.parametrize("end", [LocalOrthanc.stop, LocalOrthanc.kill], ids=["stopped", "killed"])
    def test_orthanc_restarted_between_two_requests(
        self, doomed: LocalOrthanc, transport: str, end: Callable[[LocalOrthanc], None]
    ) -> None:
        ask, gateway = TRANSPORTS[transport], Gateway(doomed.port)
        assert ask(gateway) == WELL
        end(doomed)
        doomed.start()
        assert ask(gateway) == WELL

    def test_slow_orthanc(self, proxy: RecordingProxy, gateway: Gateway, transport: str) -> None:
        proxy.keep_failing(Fault(delay=60))
        with impatient():
            assert TRANSPORTS[transport](gateway) == SLOW[transport]
        assert len(proxy.requests) == 1
        proxy.recover()
        assert TRANSPORTS[transport](gateway) == WELL

    def test_orthanc_that_is_slow_to_find_after_a_quick_start(
        self, proxy: RecordingProxy, gateway: Gateway, transport: str
    ) -> None:
        assert TRANSPORTS[transport](gateway) == WELL
        proxy.keep_failing(Fault(delay=60), on="/tools/")
        with impatient(on="/tools/"):
            assert TRANSPORTS[transport](gateway) == SLOW[transport]
        proxy.recover()
        assert TRANSPORTS[transport](gateway) == WELL

    @pytest.mark.parametrize("status", [502, 503, 504, 507])
    def test_orthanc_that_is_busy_or_full(
        self, proxy: RecordingProxy, gateway: Gateway, transport: str, status: int
    ) -> None:
        proxy.keep_failing(answering(status))
        assert TRANSPORTS[transport](gateway) == DOWN[transport]
        proxy.recover()
        assert TRANSPORTS[transport](gateway) == WELL

    @pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 500])
    def test_orthanc_that_rejects_the_call(
        self, proxy: RecordingProxy, gateway: Gateway, transport: str, status: int
    ) -> None:
        proxy.keep_failing(answering(status))
        assert TRANSPORTS[transport](gateway) == REFUSED[transport]
        proxy.recover()
        assert TRANSPORTS[transport](gateway) == WELL

    @pytest.mark.parametrize("on", ["", "/tools/find"], ids=["to everything", "to find"])
    @pytest.mark.parametrize("fault", GARBAGE)
    def test_orthanc_that_answers_garbage(
        self, proxy: RecordingProxy, gateway: Gateway, transport: str, fault: str, on: str
    ) -> None:
        ask = TRANSPORTS[transport]
        if on:
            assert ask(gateway) == WELL
        proxy.keep_failing(GARBAGE[fault], on=on)
        assert ask(gateway) in (DOWN[transport], REFUSED[transport])
        proxy.recover()
        assert ask(gateway) == WELL

    def test_orthanc_that_closes_the_connection(self, proxy: RecordingProxy, gateway: Gateway, transport: str) -> None:
        for fault in (DROPPED, Fault(cut=5)):
            proxy.keep_failing(fault)
            assert TRANSPORTS[transport](gateway) == DOWN[transport]
            proxy.recover()
            assert TRANSPORTS[transport](gateway) == WELL

    def test_orthanc_that_drops_one_connection(self, proxy: RecordingProxy, gateway: Gateway, transport: str) -> None:
        """One retry hides it."""
        for _ in range(5):
            proxy.fail(DROPPED)
            assert TRANSPORTS[transport](gateway) == WELL

    def test_server_that_is_not_orthanc(self, proxy: RecordingProxy, gateway: Gateway, transport: str) -> None:
        proxy.keep_failing(answering(404, b"<html>Not here</html>"))
        outcome = TRANSPORTS[transport](gateway)
        assert outcome == REFUSED[transport]


@pytest.mark.parametrize("shape", WRONG_SHAPES)
class TestJSONOfAnotherShape:
    ROUTES = ("/system", "/statistics", "/tools/find", "/tools/bulk-content", "/tools/count-resources", "/instances")

    def failures(self, gateway: Gateway, queries: dict[str, str]) -> list[str]:
        """Return the queries with errors other than archive errors."""
        return [
            f"{name}: {error}"
            for name, query in queries.items()
            for error in gateway.graphql(query).get("errors", ())
            if error["extensions"]["code"] not in ARCHIVE_CODES
        ]

    def test_json_of_another_shape_is_an_archive_error(
        self, proxy: RecordingProxy, gateway: Gateway, queries: dict[str, str], shape: str
    ) -> None:
        proxy.keep_failing(answering(200, shape.encode()))
        assert self.failures(gateway, queries) == []

    @pytest.mark.parametrize("route", ROUTES)
    def test_json_of_another_shape_from_one_route_is_an_archive_error(
        self, proxy: RecordingProxy, gateway: Gateway, queries: dict[str, str], shape: str, route: str
    ) -> None:
        assert over_graphql(gateway) == WELL
        proxy.keep_failing(answering(200, shape.encode()), on=route)
        assert self.failures(gateway, queries) == []


class TestNullability:
    def test_a_field_that_may_be_null_is_null_next_to_its_error(self, proxy: RecordingProxy, gateway: Gateway) -> None:
        proxy.keep_failing(DROPPED)
        content = gateway.graphql('{ patient(patientId: "P001") { patientId } study(studyInstanceUID: "1.2") { id } }')
        assert content["data"] == {"patient": None, "study": None}
        assert sorted(error["path"] for error in content["errors"]) == [["patient"], ["study"]]
        assert {error["extensions"]["code"] for error in content["errors"]} == {"ARCHIVE_UNAVAILABLE"}

    def test_one_field_fails_without_the_others(self, proxy: RecordingProxy, gateway: Gateway) -> None:
        assert over_graphql(gateway) == WELL
        proxy.keep_failing(DROPPED, on="/tools/")
        content = gateway.graphql('{ server { version } study(studyInstanceUID: "1.2") { id } }')
        assert content["data"]["server"]["version"]
        assert content["data"]["study"] is None
        assert [error["path"] for error in content["errors"]] == [["study"]]


REST_ROUTES = (
    "patients/",
    "studies/?patient_id={Patient}",
    "studies/?patient_id=P001",
    "series/?study_id={Study}",
    "instances/?series_id={Series}",
    "instances/{Instance}/file/",
    "instances/{Instance}/preview/",
    "instances/{Instance}/thumbnail/",
    "patients/{Patient}/archive/",
    "studies/{Study}/archive/",
    "series/{Series}/archive/",
    "series/{Series}/thumbnail/",
)


@pytest.mark.parametrize("route", REST_ROUTES)
class TestEveryRESTRoute:
    def test_rest_route_reports_that_orthanc_fails(
        self, proxy: RecordingProxy, gateway: Gateway, ids: dict[str, str], route: str
    ) -> None:
        path = route.format(**ids)
        proxy.keep_failing(DROPPED)
        assert gateway.rest(path) == DOWN["REST"]
        proxy.keep_failing(Fault(delay=60))
        with impatient():
            assert gateway.rest(path) == SLOW["REST"]
        proxy.keep_failing(GARBAGE["an HTML page"])
        assert gateway.rest(path) == REFUSED["REST"]
        proxy.recover()
        assert gateway.rest(path) == WELL

    @pytest.mark.parametrize("shape", ["null", "5", "[null]", "{}", '[{"ID": 5}]'])
    def test_rest_route_reports_json_of_another_shape_as_an_archive_error(
        self, proxy: RecordingProxy, gateway: Gateway, ids: dict[str, str], route: str, shape: str
    ) -> None:
        path = route.format(**ids)
        proxy.keep_failing(answering(200, shape.encode()))
        assert gateway.rest(path) == REFUSED["REST"]
