"""What no real server produces: one that ignores what it is asked for, and answers that cannot be understood."""

from io import BytesIO
from typing import Any

import orjson
import pytest

from orthancproxy.archive.sources import begin_retrieving, find_studies
from orthancproxy.errors import SourceFailed
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import Endpoint
from orthancproxy.orthanc.responses import JSON_DECODER

QUERY = {"ID": "01234567-89ab-4def-8123-456789abcdef"}


class OddServer(OrthancClient):
    """An Orthanc that has these answers to each query."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__(ConnectionOptions("http://127.0.0.1:1"))
        self.called: list[Endpoint] = []
        self._answers = answers

    def call(self, endpoint: Endpoint, *, query: str = "", decoder: Any = JSON_DECODER, **_: Any) -> Any:
        self.called.append(endpoint)
        listed = list(self._answers) if query else [str(number) for number in range(len(self._answers))]
        return decoder.decode(orjson.dumps(listed if endpoint is endpoints.QUERY_ANSWERS else QUERY))

    def open(self, endpoint: Endpoint, **_: Any) -> Any:
        self.called.append(endpoint)
        return BytesIO()


def test_a_server_that_answers_with_other_studies_sends_nothing() -> None:
    client = OddServer({"StudyInstanceUID": "1.2.3"}, {"StudyInstanceUID": "1.2.4"})
    with pytest.raises(SourceFailed):
        begin_retrieving(client, "PACS", ["1.2.3"], None, "token")
    assert endpoints.RETRIEVE_ANSWERS not in client.called
    assert client.called[-1] is endpoints.DELETE_QUERY


def test_answers_are_understood_as_far_as_they_can_be() -> None:
    odd: dict[str, Any] = {
        "StudyInstanceUID": "1.2.3\0",
        "PatientName": None,
        "StudyDate": [],
        "ModalitiesInStudy": "CT\\MR\\CT",
    }
    client = OddServer(odd, {"PatientID": "without a study"}, {"StudyInstanceUID": None})
    [found] = find_studies(client, "PACS", {"PatientID": "x"})
    assert (found.uid, found.patient_id, found.patient.name, found.study.study_date) == ("1.2.3", "", None, None)
    assert found.study.modalities == ["CT", "MR"]
