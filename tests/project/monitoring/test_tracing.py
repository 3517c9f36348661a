"""Traces of a gateway as it is deployed, as a receiver of OTLP over HTTP gets them."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from orthancproxy.project.monitoring.variables import is_traced
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.project.monitoring.conftest import ask, query
from tests.proxy import RecordingProxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
STUDIES = "query Of_KimMinsu { patients { nodes { patientName studies { description } } } server { version } }"


class Receiver:
    """A receiver of traces: all spans that it got."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.credentials: set[str | None] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                receiver.credentials.add(self.headers["Authorization"])
                for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                    receiver.resources.append({pair.key: pair.value.string_value for pair in one.resource.attributes})
                    receiver.spans += [span for scope in one.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id.hex() == trace]


@dataclass(frozen=True, slots=True)
class Traced:
    gateway: LocalGateway
    receiver: Receiver
    orthanc: RecordingProxy

    def trace(self, number: int) -> str:
        """Return the id of a trace of its own."""
        return f"{number:032x}"


@pytest.fixture(scope="module")
def traced(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    receiver = Receiver()
    folder = tmp_path_factory.mktemp("traced")
    # as docker-compose.yml has it: a variable would be in `docker inspect`
    (folder / "otlp-headers").write_text("Authorization=Basic%20YTpi\n")
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(folder / "otlp-headers"),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with RecordingProxy(orthanc.port) as proxy, serving(proxy.base_url, folder, settings=settings) as gateway:
        yield Traced(gateway, receiver, proxy)
    receiver.server.shutdown()
    receiver.server.server_close()


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes}


def root_of(spans: list[Span]) -> Span:
    [root] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    return root


def test_a_request_continues_the_clients_trace_down_to_orthanc(traced: Traced) -> None:
    traced.orthanc.requests.clear()
    answer = query(traced.gateway.port, STUDIES, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert "errors" not in answer
    wait_until(lambda: any(span.kind == Span.SPAN_KIND_SERVER for span in traced.receiver.of(TRACE)))
    spans = traced.receiver.of(TRACE)
    by_id = {span.span_id: span for span in spans}
    root = root_of(spans)
    assert (root.name, root.parent_span_id.hex()) == ("POST /graphql/", PARENT)
    assert attributes(root) == {"http.request.method": "POST", "http.response.status_code": 200}
    operations = {span.name: span for span in spans if span.parent_span_id == root.span_id}
    assert {"patients", "server"} <= operations.keys()
    calls = [span for span in spans if span.name == "POST /tools/find"]
    assert len(calls) >= 2
    for call in calls:
        # the pool's thread has the context of the operation
        assert by_id[call.parent_span_id].name == "patients"
        assert call.kind == Span.SPAN_KIND_CLIENT
        assert attributes(call) == {
            "http.request.method": "POST",
            "url.template": "/tools/find",
            "http.response.status_code": 200,
        }
    statements = [span for span in spans if span.name.startswith("sqlite ")]
    assert {"sqlite INSERT"} <= {span.name for span in statements}
    # Orthanc gets the span of its call as the parent
    sent = {one.headers["traceparent"] for one in traced.orthanc.requests if one.headers["traceparent"]}
    assert {f"00-{TRACE}-{call.span_id.hex()}-01" for call in calls} <= sent
    assert {resource["service.name"] for resource in traced.receiver.resources} == {"orthanc-graphql-gateway"}


def test_the_receiver_gets_the_headers_of_the_file(traced: Traced) -> None:
    query(traced.gateway.port, "{ server { version } }")
    wait_until(lambda: bool(traced.receiver.credentials))
    assert traced.receiver.credentials == {"Basic YTpi"}
    assert "YTpi" not in traced.gateway.log.read_text()


def test_spans_have_no_data_of_patients_and_no_ids(traced: Traced) -> None:
    trace = traced.trace(1)
    header = f"00-{trace}-{PARENT}-01"
    study = query(traced.gateway.port, "{ studies { nodes { orthancId } } }")["data"]["studies"]["nodes"][0][
        "orthancId"
    ]
    assert ask(traced.gateway.port, f"/api/orthanc/studies/{study}/archive", traceparent=header)[0] == 200
    wait_until(lambda: any(span.kind == Span.SPAN_KIND_SERVER for span in traced.receiver.of(trace)))
    assert root_of(traced.receiver.of(trace)).name == "GET /api/orthanc/studies/{orthanc_id}/archive"
    text = " ".join(str(span) for span in traced.receiver.spans)
    assert study not in text
    assert "Kim" not in text
    assert "P001" not in text


def test_failures_have_codes_and_no_messages(traced: Traced) -> None:
    trace = traced.trace(2)
    header = f"00-{trace}-{PARENT}-01"
    missing = "11111111-11111111-11111111-11111111-11111111"
    assert ask(traced.gateway.port, f"/api/orthanc/instances/{missing}/file", traceparent=header)[0] == 404
    wait_until(lambda: any(span.kind == Span.SPAN_KIND_SERVER for span in traced.receiver.of(trace)))
    spans = traced.receiver.of(trace)
    assert attributes(root_of(spans))["error.type"] == "NOT_FOUND"
    [operation] = [span for span in spans if span.name == "GET /api/orthanc/instances/{orthanc_id}/file"][-1:]
    assert operation.status.code == Status.STATUS_CODE_ERROR
    assert not any(span.events for span in spans)
    assert not any(span.status.message for span in spans)


def test_the_span_of_an_event_stream_ends_when_the_stream_begins(traced: Traced) -> None:
    trace = traced.trace(3)
    connection = http.client.HTTPConnection("127.0.0.1", traced.gateway.port, timeout=30)
    with closing(connection):
        headers = {
            "traceparent": f"00-{trace}-{PARENT}-01",
            "Accept": "text/event-stream",
            "Content-Type": "application/json",
        }
        body = json.dumps({"query": "subscription { archiveChanges { kind } }"})
        connection.request("POST", "/graphql/", body, headers)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.readline().startswith(b"retry")
        wait_until(lambda: any(span.kind == Span.SPAN_KIND_SERVER for span in traced.receiver.of(trace)))
        root = root_of(traced.receiver.of(trace))
        assert root.end_time_unix_nano < time.time_ns()


def test_the_background_has_no_spans(traced: Traced) -> None:
    # it follows Orthanc every second
    calls = len(traced.orthanc.requests)
    wait_until(lambda: len(traced.orthanc.requests) > calls + 2)
    # once all are there, each is a part of a request
    wait_until(lambda: {span.trace_id for span in traced.receiver.spans} == _traces_of_requests(traced.receiver))
    assert not any(one.headers["traceparent"] for one in traced.orthanc.requests[calls:])


def _traces_of_requests(receiver: Receiver) -> set[bytes]:
    return {span.trace_id for span in receiver.spans if span.kind == Span.SPAN_KIND_SERVER}


def test_an_unsampled_trace_is_not_recorded(traced: Traced) -> None:
    trace, sampled = traced.trace(4), traced.trace(5)
    query(traced.gateway.port, STUDIES, traceparent=f"00-{trace}-{PARENT}-00")
    query(traced.gateway.port, STUDIES, traceparent=f"00-{sampled}-{PARENT}-01")
    wait_until(lambda: any(span.kind == Span.SPAN_KIND_SERVER for span in traced.receiver.of(sampled)))
    assert traced.receiver.of(trace) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_spans_are_sent_when_the_gateway_ends(workers: int, orthanc: LocalOrthanc, tmp_path: Path) -> None:
    receiver = Receiver()
    settings = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    with serving(orthanc.base_url, tmp_path, workers=workers, settings=settings) as gateway:
        query(gateway.port, STUDIES, traceparent=f"00-{TRACE}-{PARENT}-01")
        assert receiver.spans == []
    assert root_of(receiver.of(TRACE)).name == "POST /graphql/"


PRINT_IMPORTED = "import sys; import orthancproxy.project.asgi; print('opentelemetry' in sys.modules)"


def imported(folder: Path, script: str = PRINT_IMPORTED, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "DJANGO_DATA_DIR": str(folder), **variables}
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )


def test_opentelemetry_is_imported_only_if_it_is_configured(tmp_path: Path) -> None:
    assert imported(tmp_path).stdout == "False\n"
    assert (
        imported(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_SDK_DISABLED="true").stdout
        == "False\n"
    )
    assert imported(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1").stdout == "True\n"


def test_without_the_package_the_gateway_starts_and_says_what_is_missing(tmp_path: Path) -> None:
    # None in sys.modules makes an import fail like that of a missing package
    script = "import sys; sys.modules['opentelemetry'] = None; import orthancproxy.project.asgi"
    started = imported(tmp_path, script, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    [line] = [json.loads(line) for line in started.stderr.splitlines() if "OTEL" in line]
    assert line["event"].endswith("install orthanc-graphql-gateway[tracing].")


def test_what_turns_traces_on() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    assert is_traced(endpoint)
    assert is_traced({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"})
    assert not is_traced({})
    assert not is_traced({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    assert not is_traced({**endpoint, "OTEL_TRACES_EXPORTER": "none"})
    assert not is_traced({**endpoint, "OTEL_SDK_DISABLED": "True"})
