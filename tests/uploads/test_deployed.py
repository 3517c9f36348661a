"""Uploads to a deployed gateway: parallel chunks, and an Orthanc that is killed."""

import http.client
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance
from tests.dicom.references import OUTSIDE, UPLOADED, linked_upload, nested_uids, series_of
from tests.hostile_requests import request
from tests.proxy import RecordingProxy
from tests.uploads.upload_client import (
    CONTENT_TYPE,
    GRAPHQL_PATH,
    REST,
    REST_PATH,
    TRANSPORTS,
    TWO_STUDIES,
    Answer,
    File,
    GraphQL,
    Outcome,
    Poster,
    Transport,
    asked,
    count_instances,
    delete_study,
    is_stored,
    over_http,
    slices,
    stored_files,
    uids_of,
    zipped,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

STATE = '{ "query": "{ uploads { nodes { uploadKey state uploaded failed studyOrthancId } } }" }'


def chunks(files: Sequence[File], size: int) -> list[Sequence[File]]:
    return [files[start : start + size] for start in range(0, len(files), size)]


def batch_of(gateway: LocalGateway, key: str) -> dict[str, object]:
    """What `uploads` tells of an upload."""
    _, _, content = over_http(gateway.port)(GRAPHQL_PATH, STATE.encode(), {"Content-Type": "application/json"})
    [batch] = [one for one in json.loads(content)["data"]["uploads"]["nodes"] if one["uploadKey"] == key]
    assert isinstance(batch, dict)
    return batch


def send_at_once(send: Callable[[Sequence[File]], Outcome], parts: Sequence[Sequence[File]]) -> list[Outcome]:
    """Send the parts in threads that begin together."""
    barrier = threading.Barrier(len(parts))

    def one(part: Sequence[File]) -> Outcome:
        barrier.wait(30)
        return send(part)

    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(one, parts))


@pytest.mark.parametrize("name", TRANSPORTS)
def test_parallel_chunks_make_the_same_study_as_one_request(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str, name: str
) -> None:
    transport: Transport = TRANSPORTS[name](over_http(deployed.port))
    files = slices(24, "a") + slices(24, "나", series=2)
    random.Random(1).shuffle(files)

    def send(part: Sequence[File]) -> Outcome:
        return transport(part, patientId=patient_id, uploadKey=patient_id)

    outcomes = send_at_once(send, chunks(files, 6))
    assert [outcome.counts for outcome in outcomes] == [(6, 0, 0)] * 8
    [study_id] = {outcome.study_id for outcome in outcomes}
    in_parallel = uids_of(receiving_orthanc, study_id)
    assert len(in_parallel) == 48
    assert len({series for _, series, _ in in_parallel}) == 2
    batch = {"uploadKey": patient_id, "state": "COMPLETE", "uploaded": 48, "failed": 0, "studyOrthancId": study_id}
    assert batch_of(deployed, patient_id) == batch

    assert send(files).counts == (0, 48, 0)
    delete_study(receiving_orthanc, study_id)
    assert send(files).counts == (48, 0, 0)
    assert uids_of(receiving_orthanc, study_id) == in_parallel
    assert batch_of(deployed, patient_id) == batch


def test_a_chunk_sent_concurrently_several_times_is_stored_once(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str
) -> None:
    files = slices(10)

    def send(part: Sequence[File]) -> Outcome:
        return REST(over_http(deployed.port))(part, patientId=patient_id, uploadKey=patient_id)

    outcomes = send_at_once(send, [files] * 4)
    assert [sum(outcome.counts) for outcome in outcomes] == [10] * 4
    assert sum(outcome.uploaded for outcome in outcomes) == 10
    assert [outcome.failed for outcome in outcomes] == [()] * 4
    assert len(stored_files(receiving_orthanc, outcomes[0].study_id)) == 10


def test_patients_in_parallel_chunks_are_all_counted(deployed: LocalGateway, patient_id: str) -> None:
    """The chunk that ends last warns of all of them."""

    def send(part: Sequence[File]) -> Outcome:
        return REST(over_http(deployed.port))(part, patientId=patient_id, uploadKey=patient_id)

    files = [File(instance(number=number, PatientID=f"P{number}")) for number in range(8)]
    outcomes = send_at_once(send, chunks(files, 1))
    warnings = {warning for outcome in outcomes for warning in outcome.warnings}
    assert "The files have 8 patient IDs, and became one study: check that they are of one patient." in warnings


@pytest.mark.parametrize("round_", range(3))
def test_references_are_updated_across_parallel_chunks(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str, round_: int
) -> None:
    """Each file in a request of its own, several times over, since it depends on who comes first."""
    files = [File(content, series_of(name), name) for name, content in linked_upload().items()]
    random.Random(round_).shuffle(files)

    def send(part: Sequence[File]) -> Outcome:
        return GraphQL(over_http(deployed.port))(part, patientId=patient_id, uploadKey=patient_id)

    outcomes = send_at_once(send, chunks(files, 1))
    assert [outcome.counts for outcome in outcomes] == [(1, 0, 0)] * len(files)
    assert {warning for outcome in outcomes for warning in outcome.warnings} <= {TWO_STUDIES}
    check_references(receiving_orthanc, next(outcome.study_id for outcome in outcomes if outcome.study_id))
    assert batch_of(deployed, patient_id)["state"] == "COMPLETE"


def test_references_are_updated_in_any_order_of_chunks(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str
) -> None:
    files = [File(content, series_of(name), name) for name, content in linked_upload().items()]
    transport = REST(over_http(deployed.port))
    for file in reversed(files):
        outcome = transport([file], patientId=patient_id, uploadKey=patient_id)
        assert outcome.counts == (1, 0, 0)
    check_references(receiving_orthanc, outcome.study_id)


def check_references(orthanc: LocalOrthanc, study_id: str | None) -> None:
    """The linked upload is there as one study, and all its references are followed."""
    stored = stored_files(orthanc, study_id)
    assert len(stored) == len(linked_upload())
    references = {uid for file in stored for _, uid in nested_uids(file)}
    assert references & UPLOADED == set()
    assert references >= OUTSIDE
    assert references >= {str(file.SOPInstanceUID) for file in stored if file.Modality == "CT" and "Rows" in file}


SLICES = slices(6)
# one of each kind, and one that refers to a later one
MIXED = [
    *SLICES,
    *(File(file.content, "나") for file in SLICES[:2]),
    *SLICES[:1],
    *(File(content, series_of(name), name) for name, content in linked_upload().items()),
    File(zipped({"in/1.dcm": SLICES[0].content, "in/.DS_Store": b"x", "2.dcm": b"text"}), "zip", "a.zip"),
    File(b"Rar!\x1a\x07" + b"x" * 1000, "", "a.rar"),
    File(SLICES[1].content[:-70], "cut"),
    File(b"", "empty"),
    File(b"x" * 100_000, "", ".DS_Store"),
    File(b"", "", "folder"),
    File(SLICES[2].content, ".Trashes"),
]


@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_form_that_arrives_slowly_has_the_same_outcome_as_at_once(
    deployed: LocalGateway, orthanc: LocalOrthanc, patient_id: str, name: str
) -> None:
    """The gateway of this process gets whole bodies, as under WSGI."""
    slow, at_once = TRANSPORTS[name](slowly(deployed.port)), TRANSPORTS[name]()
    early = slow(MIXED, patientId=patient_id, uploadKey=patient_id)
    stored = uids_of(orthanc, early.study_id)
    late = at_once(MIXED, patientId=patient_id, uploadKey=patient_id)
    assert early.uploaded == len(stored) > 10
    assert late.counts == (0, early.uploaded + early.already_stored, len(early.failed))
    assert (late.failed, late.messages) == (early.failed, early.messages)
    assert tuple(warning for warning in late.warnings if "in the archive" not in warning) == early.warnings
    assert (late.study_uid, late.series_ids) == (early.study_uid, early.series_ids)
    assert uids_of(orthanc, late.study_id) == stored


def slowly(port: int, pieces: int = 20) -> Poster:
    """Send a body in pieces, so that a part of it is parsed before the next arrives."""

    def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(
            "POST", path, paced(body, pieces), {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body))}
        )
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.headers), content

    return post


def paced(body: bytes, pieces: int) -> Iterator[bytes]:
    size = len(body) // pieces + 1
    for start in range(0, len(body), size):
        yield body[start : start + size]
        time.sleep(0.005)


@contextmanager
def unfinished(gateway: LocalGateway, body: bytes) -> Iterator[None]:
    """An upload of which a part has been sent."""
    head = request("POST", REST_PATH, body, f"Content-Type: {CONTENT_TYPE}", length=str(2 * len(body)))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as connection:
        connection.sendall(head)
        yield


def test_an_upload_that_breaks_off_stores_nothing_and_leaves_no_file_open(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str
) -> None:
    body = REST().body(slices(200), patientId=patient_id)
    before = spools(deployed)
    with unfinished(deployed, body[:-1000]):
        wait_until(lambda: spools(deployed) - before)
    wait_until(lambda: not spools(deployed) - before)
    assert not is_stored(receiving_orthanc, patient_id)


@pytest.mark.parametrize("name", TRANSPORTS)
def test_an_upload_that_is_malformed_after_a_hundred_files_stores_nothing_and_leaves_no_file_open(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str, name: str
) -> None:
    transport = TRANSPORTS[name]()
    body = transport.body(slices(100), patientId=patient_id)
    path = REST_PATH if name == "REST" else GRAPHQL_PATH
    before = spools(deployed)
    status, _, content = slowly(deployed.port)(path, body[: body.rindex(b"Content-Disposition")] + b"x" * 100_000)
    assert (status, b"BAD_USER_INPUT" in content) == (400, True)
    wait_until(lambda: not spools(deployed) - before)
    assert not is_stored(receiving_orthanc, patient_id)


def test_slow_uploads_hold_no_thread(deployed: LocalGateway, patient_id: str) -> None:
    """Of any pool: there are more of them than threads."""
    body = REST().body(slices(200), patientId=patient_id)
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(unfinished(deployed, body[:-1000]))
        for name in TRANSPORTS:
            outcome = TRANSPORTS[name](slowly(deployed.port))(slices(20), patientId=f"{patient_id}{name}")
            assert outcome.counts == (20, 0, 0)


def test_a_chunked_body_without_content_length_is_accepted(
    deployed: LocalGateway, receiving_orthanc: LocalOrthanc, patient_id: str
) -> None:
    """As a client sends it that does not know how much there will be."""
    for name in TRANSPORTS:
        outcome = TRANSPORTS[name](in_chunks(deployed.port))(slices(2), patientId=f"{patient_id}{name}")
        assert outcome.counts == (2, 0, 0)


def in_chunks(port: int) -> Poster:
    """Send it with `Transfer-Encoding: chunked`, as http.client does with a file."""

    def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", path, BytesIO(body), {"Content-Type": CONTENT_TYPE})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.headers), content

    return post


def test_the_log_of_a_deployed_gateway_holds_no_patient_data(deployed: LocalGateway, patient_id: str) -> None:
    """Not in the warnings of a library either, which go to standard error past the log."""
    secret = "Secretperson"
    awkward = [
        File(
            instance(PatientName=f"{secret}^{secret}", StudyDate=f"{secret}", StudyTime=secret), secret, f"{secret}.dcm"
        ),
        File(
            instance(number=2, PatientBirthDate=secret, KVP=secret, SliceThickness=f"{secret}{secret}"), secret, secret
        ),
        File(instance(number=3, SpecificCharacterSet=secret, InstitutionName="서울병원"), secret, secret),
        File(instance(number=4, SOPInstanceUID=secret, SeriesInstanceUID=f"{secret}.1", InstanceNumber=secret), secret),
        File(instance(number=5)[:-70], secret, secret),
        File(secret.encode(), secret, secret),
    ]
    for name in TRANSPORTS:
        transport: Transport = TRANSPORTS[name](over_http(deployed.port))
        outcome = transport(awkward, patientId=f"{secret}-{patient_id}", studyDescription=secret, patientName=secret)
        assert sum(outcome.counts) == len(awkward)
        assert outcome.uploaded
        assert len(outcome.failed) >= 2
    written = deployed.log.read_text()
    assert '"event": "upload"' in written
    assert secret.lower() not in written.lower()
    assert patient_id not in written


def test_an_upload_interrupted_by_a_crash_of_orthanc_is_completed_by_a_retry(
    start_orthanc: Callable[..., LocalOrthanc], tmp_path: Path, patient_id: str
) -> None:
    orthanc = start_orthanc()
    files = slices(200)
    with RecordingProxy(orthanc.port) as proxy, serving(proxy.base_url, tmp_path) as gateway:
        transport = REST(over_http(gateway.port))

        def send() -> Outcome:
            return transport(files, patientId=patient_id, uploadKey=patient_id)

        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(send)
            while sum(request.method == "POST" and request.path == "/instances" for request in proxy.requests) < 67:
                assert not first.done()
                time.sleep(0.002)
            orthanc.kill()
            broken_off = first.result()
        assert broken_off.status == 200
        assert 30 < broken_off.uploaded < 170
        assert sum(broken_off.counts) == 200
        assert set(broken_off.codes) == {"ARCHIVE_UNAVAILABLE"}
        assert batch_of(gateway, patient_id)["state"] == "INCOMPLETE"

        orthanc.start()
        completed = send()
        assert sum(completed.counts) == 200
        assert completed.failed == ()
        assert completed.study_id == broken_off.study_id
        assert batch_of(gateway, patient_id)["state"] == "COMPLETE"
    assert len(asked(orthanc, "/studies")) == 1
    assert count_instances(orthanc) == 200
    numbers = [int(file.InstanceNumber) for file in stored_files(orthanc, completed.study_id)]
    assert numbers == list(range(1, 201))


def test_an_upload_leaves_no_file_open(deployed: LocalGateway, patient_id: str) -> None:
    """The disk that a file takes is free only when nobody has it open."""
    transport = REST(over_http(deployed.port))
    zips = [
        File(zipped({"1.dcm": SLICES[0].content, "2.dcm": b"text"})),
        File(zipped({"3.dcm": SLICES[1].content})[:-9]),
    ]
    for sent in (slices(5), [File(b"text")], [*slices(2), File(b"")], zips):
        for send in (transport, GraphQL(over_http(deployed.port))):
            send(sent, patientId=patient_id)
    # Django closes a body after it has answered
    wait_until(lambda: not spools(deployed))


def spools(gateway: LocalGateway) -> set[str]:
    """The files without a name that the processes of a gateway have open."""
    processes = [gateway.pid, *children(gateway.pid)]
    return {file for process in processes for file in open_files(process) if file.endswith("(deleted)")}


def children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in found.split()]


def open_files(process: int) -> list[str]:
    """What a process has open: paths, and `(deleted)` behind those that have none any more."""
    found = []
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    return found
