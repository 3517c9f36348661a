"""Uploads in chunks: in any order, they make the same study as one request, for one patient only."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.dicom.references import OUTSIDE, UPLOADED, linked_upload, nested_uids, series_of
from tests.proxy import DROPPED, Fault, RecordingProxy, Request, answering
from tests.uploads.upload_client import (
    REST,
    TWO_STUDIES,
    File,
    Transport,
    asked,
    delete_study,
    is_stored,
    slices,
    stored_files,
    uids_of,
)

pytestmark = [pytest.mark.live, pytest.mark.once]

LINKED = tuple(File(content, series_of(name), name) for name, content in linked_upload().items())
KINDS = tuple(dict.fromkeys(file.folder for file in LINKED))
SHUFFLED = [random.Random(seed).sample(LINKED, len(LINKED)) for seed in range(5)]
ONE_FIRST = [
    [*(file for file in LINKED if file.folder == kind), *(file for file in LINKED if file.folder != kind)]
    for kind in KINDS
]


def bytes_of(orthanc: LocalOrthanc, study_id: str | None) -> set[bytes]:
    """Everything of the files of a study but their group lengths."""
    return {repr(file).encode() + bytes(file.get("PixelData") or b"") for file in stored_files(orthanc, study_id)}


def check_references(orthanc: LocalOrthanc, study_id: str | None) -> None:
    """The linked upload is there as a whole, and its references lead to its new UIDs, or outside as before."""
    stored = stored_files(orthanc, study_id)
    assert len(stored) == len(LINKED)
    references = {uid for file in stored for _, uid in nested_uids(file)}
    assert references & UPLOADED == set()
    assert references >= OUTSIDE
    assert {str(file.SOPInstanceUID) for file in stored if file.Modality == "CT"} <= references


def send_in_turn(orthanc: LocalOrthanc, transport: Transport, patient_id: str, files: Sequence[File]) -> str | None:
    """Send each file with a request of its own; what came is there right afterwards."""
    study_id = None
    for count, file in enumerate(files, start=1):
        outcome = transport([file], patientId=patient_id, uploadKey=patient_id)
        assert outcome.counts == (1, 0, 0)
        assert set(outcome.warnings) <= {TWO_STUDIES}
        study_id = outcome.study_id
        assert len(asked(orthanc, f"/studies/{study_id}/instances")) == count
    return study_id


def test_chunks_in_another_order_make_the_same_study(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    files = slices(6, "a") + slices(6, "b", series=2)
    whole = transport(files, patientId=patient_id, uploadKey=patient_id)
    expected = uids_of(orthanc, whole.study_id)
    delete_study(orthanc, whole.study_id)
    random.Random(2).shuffle(files)
    for start in (6, 0, 3, 9):
        outcome = transport(files[start : start + 3], patientId=patient_id, uploadKey=patient_id)
        assert outcome.counts == (3, 0, 0)
    assert uids_of(orthanc, whole.study_id) == expected
    assert UploadBatch.objects.get(upload_key=patient_id).state == "COMPLETE"


@pytest.mark.parametrize("files", [*ONE_FIRST, *SHUFFLED])
def test_references_are_updated_in_any_order_of_chunks(
    orthanc: LocalOrthanc, patient_id: str, files: Sequence[File]
) -> None:
    study_id = send_in_turn(orthanc, REST(), patient_id, files)
    check_references(orthanc, study_id)
    in_chunks = bytes_of(orthanc, study_id)
    delete_study(orthanc, study_id)
    assert REST()(LINKED, patientId=patient_id, uploadKey=patient_id).counts == (len(LINKED), 0, 0)
    assert bytes_of(orthanc, study_id) == in_chunks


def test_references_are_updated_across_transports(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    check_references(orthanc, send_in_turn(orthanc, transport, patient_id, LINKED[::-1]))


@pytest.mark.parametrize("kind", KINDS)
def test_references_are_updated_when_the_whole_folder_follows_a_part(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, kind: str
) -> None:
    """As a client does that does not know how far it came."""
    part = [file for file in LINKED if file.folder == kind]
    assert transport(part, patientId=patient_id, uploadKey=patient_id).counts == (len(part), 0, 0)
    outcome = transport(LINKED, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (len(LINKED) - len(part), len(part), 0)
    check_references(orthanc, outcome.study_id)


def test_references_are_updated_when_the_response_to_a_part_was_lost(
    proxy: RecordingProxy, orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    """Orthanc stored the file, and the gateway does not know."""
    [structure_set] = [file for file in LINKED if file.folder == "rtstruct"]
    proxy.keep_failing(Fault(cut=5), on="/instances")
    first = transport([structure_set], patientId=patient_id, uploadKey=patient_id)
    assert sum(first.counts) == 1
    proxy.recover()
    rest = [file for file in LINKED if file != structure_set]
    assert transport(rest, patientId=patient_id, uploadKey=patient_id).uploaded == len(rest)
    outcome = transport(LINKED, patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (0, len(LINKED), 0)
    check_references(orthanc, outcome.study_id)


@pytest.mark.parametrize("on", ["GET", "DELETE", "POST"])
def test_references_left_by_an_outage_are_updated_by_the_next_request(
    orthanc: LocalOrthanc, proxy: RecordingProxy, patient_id: str, monkeypatch: pytest.MonkeyPatch, on: str
) -> None:
    """An outage while a file is stored again: when it is read, taken out, or put back."""
    [structure_set] = [file for file in LINKED if file.folder == "rtstruct"]
    rest = [file for file in LINKED if file != structure_set]
    first = REST()([structure_set], patientId=patient_id, uploadKey=patient_id)
    [old] = asked(orthanc, f"/studies/{first.study_id}/instances")

    def received(request: Request, passed_on: Callable[[Request], Fault] = proxy.received) -> Fault:
        # not by the number of files: Orthanc can answer one with an error that passes
        touches = b"RTSTRUCT" in request.body if on == "POST" else f"/instances/{old['ID']}" in request.path
        return DROPPED if request.method == on and touches else passed_on(request)

    monkeypatch.setattr(proxy, "received", received)
    second = REST()(rest, patientId=patient_id, uploadKey=patient_id)
    assert second.counts == (len(rest), 0, 0)
    assert any("send them again" in warning for warning in second.warnings) == (on == "POST")
    assert UploadBatch.objects.get().state == ("INCOMPLETE" if on == "POST" else "COMPLETE")
    monkeypatch.undo()
    last = REST()([structure_set], patientId=patient_id, uploadKey=patient_id)
    assert (sum(last.counts), last.failed) == (1, ())
    check_references(orthanc, last.study_id)
    assert UploadBatch.objects.get().state == "COMPLETE"


def test_a_deleted_file_is_not_stored_again_for_its_references(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    """Though the file that it refers to comes now."""
    [structure_set] = [file for file in LINKED if file.folder == "rtstruct"]
    rest = [file for file in LINKED if file != structure_set]
    first = transport([structure_set], patientId=patient_id, uploadKey=patient_id)
    delete_study(orthanc, first.study_id)
    second = transport(rest, patientId=patient_id, uploadKey=patient_id)
    assert (second.counts, second.warnings) == ((len(rest), 0, 0), (TWO_STUDIES,))
    assert len(stored_files(orthanc, second.study_id)) == len(rest)


def test_a_deleted_study_can_be_sent_again(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    first = transport(slices(3), patientId=patient_id, uploadKey=patient_id)
    delete_study(orthanc, first.study_id)
    second = transport(slices(3), patientId=patient_id, uploadKey=patient_id)
    assert (second.counts, second.study_id) == ((3, 0, 0), first.study_id)


@pytest.mark.parametrize(
    "other",
    [{"patientId": "another"}, {"patientName": "Lee^Another"}, {"studyDescription": "Another"}],
    ids=lambda other: next(iter(other)),
)
def test_an_upload_key_with_another_patient_name_or_description_is_rejected(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, other: dict[str, str]
) -> None:
    values: dict[str, Any] = {
        "patientId": patient_id,
        "patientName": "Kim^A",
        "studyDescription": "A",
        "uploadKey": patient_id,
    }
    first = transport(slices(1), **values)
    changed = values | {name: f"{patient_id}{value}" for name, value in other.items()}
    outcome = transport(slices(2), **changed)
    assert outcome.code == "BAD_USER_INPUT"
    assert len(stored_files(orthanc, first.study_id)) == 1
    assert not is_stored(orthanc, f"{patient_id}another")
    assert transport(slices(2), **values).counts == (1, 1, 0)
    assert transport(slices(2), patientId=patient_id, uploadKey=patient_id).counts == (0, 2, 0)


def test_a_blank_patient_name_counts_as_none_in_each_chunk(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    for counts in ((1, 0, 0), (0, 1, 0)):
        outcome = transport(slices(1), patientId=patient_id, patientName=" ", uploadKey=patient_id)
        assert (outcome.code, outcome.counts) == (None, counts)
    [file] = stored_files(orthanc, outcome.study_id)
    assert file.PatientName == patient_id


def test_an_upload_is_incomplete_after_an_outage_and_complete_after_the_retry(
    orthanc: LocalOrthanc, proxy: RecordingProxy, transport: Transport, patient_id: str
) -> None:
    proxy.keep_failing(answering(503), on="/instances")
    outcome = transport(slices(3), patientId=patient_id, uploadKey=patient_id)
    assert outcome.codes == ["ARCHIVE_UNAVAILABLE"] * 3
    assert UploadBatch.objects.get().state == "INCOMPLETE"
    proxy.recover()
    outcome = transport(slices(3), patientId=patient_id, uploadKey=patient_id)
    assert outcome.counts == (3, 0, 0)
    assert UploadBatch.objects.get().state == "COMPLETE"
    assert UploadBatch.objects.get().study_orthanc_id == outcome.study_id
