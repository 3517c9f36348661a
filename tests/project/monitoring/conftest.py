"""A gateway as it is deployed, with two workers, and what Prometheus reads of it."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, free_port
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc

JSON = {"Content-Type": "application/json"}


def ask(port: int, path: str, body: bytes | None = None, method: str = "", **headers: str) -> tuple[int, str]:
    """Send a request over a connection of its own; return status and body. `headers` have underscores for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def query(port: int, text: str, **headers: str) -> Any:
    """Send a GraphQL query; return the answer."""
    body = json.dumps({"query": text}).encode()
    return json.loads(ask(port, "/graphql/", body, Content_Type="application/json", **headers)[1])


@dataclass(frozen=True, slots=True)
class Monitored:
    """A gateway with its Orthanc, and the port of its metrics."""

    gateway: LocalGateway
    orthanc: LocalOrthanc
    metrics_port: int

    @property
    def port(self) -> int:
        return self.gateway.port

    def scrape(self) -> "Scrape":
        status, text = ask(self.metrics_port, "/metrics")
        assert status == 200
        return Scrape(text)


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def all(self, name: str, **labels: str) -> list[Mapping[str, str]]:
        """The labels of all samples with this name and these labels."""
        return [
            one.labels
            for one in self.samples
            if one.name == f"orthanc_gateway_{name}" and labels.items() <= one.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples with this name and these labels."""
        return sum(
            one.value
            for one in self.samples
            if one.name == f"orthanc_gateway_{name}" and labels.items() <= one.labels.items()
        )

    @property
    def pids(self) -> set[int]:
        """The ids of the workers."""
        return {int(labels["pid"]) for labels in self.all("process_start_time_seconds")}


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, [instance(number=number) for number in (1, 2, 3)])
    return orthanc


@pytest.fixture(scope="module")
def monitored(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    port = free_port()
    settings = {"ORTHANC_METRICS_ADDRESS": f"127.0.0.1:{port}"}
    with serving(orthanc.base_url, tmp_path_factory.mktemp("gateway"), workers=2, settings=settings) as gateway:
        yield Monitored(gateway, orthanc, port)
