"""Names and descriptions that are built to do harm reach answers, headers and logs as text, and nothing else."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.test import Client
from structlog.stdlib import ProcessorFormatter

from orthancproxy.logs import logging_config
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import instance, load

NAMES = {
    "HTML": '<img src=x onerror="window.hit=1"></script><script>window.hit=1</script>',
    "ANSI": "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "right to left": "\u202ecod.exe\u202c\u200f",
    "a path": "../../etc/passwd",
    "a format": "%s%n{0.__class__}${jndi:ldap://x}",
    "quotes": "'\"; filename=evil.html",
}
LINES = "first\r\nX-Evil: yes\r\n\r\n<html>"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
DISPOSITION = re.compile(r'(attachment|inline); filename="[A-Za-z0-9_-][A-Za-z0-9._-]+"')


@pytest.fixture(scope="module")
def hostile(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    orthanc = start_orthanc()
    texts = [*NAMES.values(), LINES]
    load(
        orthanc,
        [
            instance(
                number, PatientName=text, StudyDescription=text[:64], SeriesDescription=text[:64], StudyID=text[:16]
            )
            for number, text in enumerate(texts, 1)
        ],
    )
    return orthanc


@contextmanager
def written(log_format: str) -> Iterator[io.StringIO]:
    """Yield the log in one of its formats."""
    arguments = dict(logging_config(log_format)["formatters"]["structured"])
    arguments.pop("()")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(ProcessorFormatter(**arguments))
    logging.getLogger().addHandler(handler)
    try:
        yield handler.stream
    finally:
        logging.getLogger().removeHandler(handler)


@pytest.mark.live
class TestOfTheArchive:
    @pytest.fixture(autouse=True)
    def _before_it(self, hostile: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(hostile)

    def test_are_unchanged_in_responses(self, graphql: GraphQL, client: Client) -> None:
        nodes = graphql("{ patients { nodes { patientName studies { description } } } }")["patients"]["nodes"]
        assert {node["patientName"] for node in nodes} >= set(NAMES.values())
        answer = client.get("/api/orthanc/patients/")
        assert {patient["patientName"] for patient in answer.json()} >= set(NAMES.values())
        assert not CONTROL.search(answer.content.decode())
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Type"] == "application/json"

    def test_are_in_no_header_but_the_name_of_the_file(self, graphql: GraphQL, client: Client) -> None:
        query = "{ instances { nodes { orthancId series { orthancId study { orthancId patient { orthancId } } } } } }"
        nodes = graphql(query)["instances"]["nodes"]
        assert len(nodes) >= len(NAMES)
        for node in nodes:
            series, study = node["series"], node["series"]["study"]
            for path in (
                f"instances/{node['orthancId']}/file/",
                f"instances/{node['orthancId']}/preview/",
                f"series/{series['orthancId']}/archive/",
                f"studies/{study['orthancId']}/archive/",
                f"patients/{study['patient']['orthancId']}/archive/",
            ):
                answer = client.get(f"/api/orthanc/{path}")
                # the preview of such a file may well fail
                assert answer.status_code == 200 or path.endswith("/preview/")
                if answer.status_code == 200:
                    assert DISPOSITION.fullmatch(answer["Content-Disposition"]), answer["Content-Disposition"]
                    del answer["Content-Disposition"]
                assert "evil" not in str(answer.headers).lower()
                answer.close()

    @pytest.mark.parametrize("log_format", ["json", "console"])
    @pytest.mark.parametrize("text", [*NAMES.values(), LINES], ids=[*NAMES, "lines"])
    def test_are_in_no_log(self, log_format: str, text: str, graphql: GraphQL, client: Client) -> None:
        with written(log_format) as log:
            graphql.answer("query($name: String) { patients(filter: {patientName: $name}) { totalCount } }", name=text)
            graphql.answer(f"query {json.dumps(text)}")
            client.get("/api/orthanc/studies/", {"patient_id": text})
        told = log.getvalue()
        assert "request" in told
        assert text not in told
        assert not CONTROL.search(told)


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("text", [*NAMES.values(), LINES], ids=[*NAMES, "lines"])
def test_control_characters_of_a_url_are_escaped_in_the_log(log_format: str, text: str, client: Client) -> None:
    with written(log_format) as log:
        client.generic("GET", f"/{text}/", HTTP_X_REQUEST_ID=text)
    [line] = log.getvalue().splitlines()
    assert "request" in line
    assert not CONTROL.search(line)
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", line)
