"""Failures of Orthanc during an upload: each file fails with a reason, and none is stored twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from django.db import connections
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from orthancproxy.uploads.models import UploadBatch
from tests.proxy import DROPPED, GARBAGE, Fault, RecordingProxy, Request, answering
from tests.test_faults import WRONG_SHAPES
from tests.uploads.upload_client import REST, File, GraphQL, Transport, slices, stored_files

pytestmark = pytest.mark.live

STORE = "/instances"


class MortalProxy(RecordingProxy):
    """Drops every connection once it has passed on so many files."""

    def __init__(self, target: int, files: int) -> None:
        super().__init__(target)
        self.files = files
        self.is_dead = False
        self._stored = 0
        self._counting = Lock()

    def received(self, request: Request) -> Fault:
        fault = super().received(request)
        # another thread may have received the next file meanwhile
        with self._counting:
            if request.method == "POST" and request.path == STORE:
                self._stored += 1
                self.is_dead |= self._stored > self.files
            return DROPPED if self.is_dead else fault


@pytest.fixture
def mortal_proxy(orthanc: LocalOrthanc, settings: Settings) -> Iterator[MortalProxy]:
    with MortalProxy(orthanc.port, files=20) as running:
        settings.ORTHANC_BASE_URL = running.base_url
        yield running


def check_retry(orthanc: LocalOrthanc, transport: Transport, patient_id: str, files: list[File]) -> None:
    """Sending it again completes the study, and nothing is there twice."""
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert (outcome.failed, sum(outcome.counts)) == ((), len(files))
    numbers = [int(file.InstanceNumber) for file in stored_files(orthanc, outcome.study_id)]
    assert numbers == list(range(1, len(files) + 1))
    assert UploadBatch.objects.get(upload_key=patient_id).state == "COMPLETE"


PASSING = {
    "503": answering(503),
    "502": answering(502),
    "dropped": DROPPED,
    # Orthanc 1.10.1, when two files that are stored at once make the same folder
    "storage": answering(500, b'{"Message": "Unable to create a subdirectory", "OrthancStatus": 2001}'),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_one_fault_is_hidden_by_a_retry(
    orthanc: LocalOrthanc,
    proxy: RecordingProxy,
    settings: Settings,
    transport: Transport,
    patient_id: str,
    fault: Fault,
) -> None:
    # with several threads, the retry of one file would meet the fault that is meant for another
    settings.ORTHANC_UPLOAD_THREADS = 1
    files = slices(12)
    proxy.fail(*[fault, Fault(), Fault(), Fault()] * 3, on=STORE)
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (12, 0, 0)
    check_retry(orthanc, transport, patient_id, files)


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_persistent_fault_fails_only_its_file(
    orthanc: LocalOrthanc,
    proxy: RecordingProxy,
    settings: Settings,
    transport: Transport,
    patient_id: str,
    fault: Fault,
) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 1
    files = slices(6)
    proxy.fail(Fault(), Fault(), fault, fault, on=STORE)
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (5, 0, 1)
    assert [(one.index, one.name, one.folder, one.code) for one in outcome.failed] == [
        (2, "3.dcm", "ct", "ARCHIVE_UNAVAILABLE")
    ]
    assert UploadBatch.objects.get().state == "INCOMPLETE"
    check_retry(orthanc, transport, patient_id, files)


def test_a_lost_response_stores_no_file_twice(
    orthanc: LocalOrthanc, proxy: RecordingProxy, transport: Transport, patient_id: str
) -> None:
    """Orthanc has stored the file when its answer breaks off."""
    files = slices(6)
    proxy.fail(Fault(cut=5), Fault(cut=5), Fault(cut=5), on=STORE)
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert sum(outcome.counts) == 6
    check_retry(orthanc, transport, patient_id, files)


def test_orthanc_going_away_fails_the_rest_without_waiting_file_by_file(
    orthanc: LocalOrthanc, mortal_proxy: MortalProxy, settings: Settings, transport: Transport, patient_id: str
) -> None:
    files = slices(80)
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.uploaded == 20
    assert outcome.codes == ["ARCHIVE_UNAVAILABLE"] * 60
    # besides those of the files: what is asked at the beginning and at the end, and whether Orthanc is there
    assert len(
        [request for request in mortal_proxy.requests if request.method == "POST" and request.path == STORE]
    ) <= (20 + 2 * settings.ORTHANC_UPLOAD_THREADS)
    assert len(mortal_proxy.requests) < 60
    assert UploadBatch.objects.get().state == "INCOMPLETE"
    settings.ORTHANC_BASE_URL = orthanc.base_url
    check_retry(orthanc, transport, patient_id, files)


def test_orthanc_going_away_leaves_the_graphql_outcomes_of_the_files(
    orthanc: LocalOrthanc, mortal_proxy: MortalProxy, patient_id: str
) -> None:
    """The study can't be looked up then, and is the only thing that is missing."""
    answer = GraphQL()(slices(30), patientId=patient_id).body
    assert answer["data"]["uploadPatient"]["uploaded"] == 20
    assert answer["data"]["uploadPatient"]["study"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["ARCHIVE_UNAVAILABLE"]
    assert [error["path"] for error in answer["errors"]] == [["uploadPatient", "study"]]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (answering(400, b'{"Message": "Bad file format"}'), "REJECTED"),
        (answering(401), "REJECTED"),
        (answering(403), "REJECTED"),
        (answering(404), "REJECTED"),
        (answering(409), "REJECTED"),
        (answering(413), "REJECTED"),
        (answering(415), "REJECTED"),
        (answering(429), "REJECTED"),
        (answering(500, b"<html>"), "REJECTED"),
        (answering(302, Location="http://example.org/"), "REJECTED"),
        (answering(200, b'{"Status": "FilteredOut"}'), "REJECTED"),
        (answering(200, b'{"ID": "x", "Status": "Failure"}'), "REJECTED"),
        (answering(504), "ARCHIVE_UNAVAILABLE"),
        (answering(507), "ARCHIVE_UNAVAILABLE"),
    ],
)
def test_a_rejection_by_orthanc_fails_its_file(
    orthanc: LocalOrthanc,
    proxy: RecordingProxy,
    settings: Settings,
    patient_id: str,
    fault: Fault,
    code: str,
) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 1
    files = slices(3)
    proxy.fail(Fault(), fault, on=STORE)
    outcome = REST()(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (2, 0, 1)
    assert [(one.name, one.code) for one in outcome.failed] == [("2.dcm", code)]
    assert "127.0.0.1" not in str(outcome.body)
    check_retry(orthanc, REST(), patient_id, files)


def test_unexpected_json_from_orthanc_fails_its_file(
    orthanc: LocalOrthanc, proxy: RecordingProxy, settings: Settings, transport: Transport, patient_id: str
) -> None:
    settings.ORTHANC_UPLOAD_THREADS = 1
    files = slices(len(WRONG_SHAPES) + 1)
    proxy.fail(*(answering(200, shape.encode()) for shape in WRONG_SHAPES), on=STORE)
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (1, 0, len(WRONG_SHAPES))
    assert set(outcome.codes) == {"REJECTED"}
    check_retry(orthanc, transport, patient_id, files)


@pytest.mark.parametrize("fault", GARBAGE)
def test_garbage_from_orthanc_fails_its_file(
    orthanc: LocalOrthanc, proxy: RecordingProxy, patient_id: str, fault: str
) -> None:
    files = slices(3)
    proxy.keep_failing(GARBAGE[fault], on=STORE)
    outcome = REST()(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (0, 0, 3)
    assert set(outcome.codes) <= {"REJECTED", "ARCHIVE_UNAVAILABLE"}
    proxy.recover()
    check_retry(orthanc, REST(), patient_id, files)


def test_a_slow_orthanc_fails_the_file(
    orthanc: LocalOrthanc, proxy: RecordingProxy, settings: Settings, transport: Transport, patient_id: str
) -> None:
    # also of the calls that are not held
    settings.ORTHANC_READ_TIMEOUT = 3.0
    settings.ORTHANC_UPLOAD_THREADS = 1
    files = slices(3)
    proxy.fail(Fault(delay=60), on=STORE)
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (2, 0, 1)
    assert outcome.codes == ["ARCHIVE_UNAVAILABLE"]
    del settings.ORTHANC_READ_TIMEOUT
    check_retry(orthanc, transport, patient_id, files)


def test_an_upload_is_rejected_if_orthanc_is_down_at_the_start(
    orthanc: LocalOrthanc, settings: Settings, transport: Transport, patient_id: str
) -> None:
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
    outcome = transport(slices(3), patientId=patient_id)
    assert outcome.code == "ARCHIVE_UNAVAILABLE"
    assert not UploadBatch.objects.exists()
    if transport.name == "REST":
        assert outcome.status == 503
        assert int(outcome.headers["Retry-After"]) > 0
    else:
        assert outcome.status == 200


def test_a_batch_keeps_its_study_when_a_request_that_stored_nothing_ends_last(
    orthanc: LocalOrthanc, proxy: RecordingProxy, patient_id: str
) -> None:
    """The slow request began before the study was there."""

    def slow() -> None:
        try:
            REST()(slices(1, "slow"), patientId=patient_id, uploadKey=patient_id)
        finally:
            connections.close_all()

    proxy.fail(Fault(delay=0.8, answer=answering(400).answer), on=STORE)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow)
        while f"POST {STORE}" not in proxy.lines():
            assert not first.done()
        second = REST()(slices(2), patientId=patient_id, uploadKey=patient_id)
        first.result()
    assert second.uploaded == 2
    assert UploadBatch.objects.get().study_orthanc_id == second.study_id
