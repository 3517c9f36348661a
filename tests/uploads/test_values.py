"""Values that DICOM does not allow are rejected before Orthanc gets a file; folders and names are only labels."""

import unicodedata
from typing import Any

import pytest

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.corpus import instance
from tests.proxy import RecordingProxy
from tests.uploads.upload_client import File, Transport, slices, stored_files

pytestmark = pytest.mark.live

BAD_TEXTS = {
    "a backslash": "a\\b",
    "a line break": "a\nb",
    "NUL": "a\0",
    "an escape": "\x1b$)C",
    "a C1 control": "a\x85b",
    "delete": "a\x7f",
    "a lone surrogate": "a\ud800",
    "no width": "a\u200bb",
    "another direction": "a\u202eb",
    "a line separator": "a\u2028b",
    "no character": "a\ufffeb",
}
BAD = {
    **{f"patientId: {name}": {"patientId": text} for name, text in BAD_TEXTS.items()},
    **{f"patientName: {name}": {"patientName": text} for name, text in BAD_TEXTS.items()},
    **{f"studyDescription: {name}": {"studyDescription": text} for name, text in BAD_TEXTS.items()},
    **{
        f"uploadKey: {name}": {"uploadKey": text}
        for name, text in BAD_TEXTS.items()
        if name in ("NUL", "a line break", "a lone surrogate")
    },
    "patientId: empty": {"patientId": ""},
    "patientId: blanks": {"patientId": "   "},
    "patientId: ideographic blanks": {"patientId": "\u3000"},
    "patientId: a path": {"patientId": "../system"},
    "patientId: 65 characters": {"patientId": "x" * 65},
    "patientId: 65 letters of Hangul": {"patientId": "가" * 65},
    "patientId: four groups": {"patientId": "a=b=c=d"},
    "patientName: 65 characters": {"patientName": "x" * 65},
    "patientName: a long second group": {"patientName": "a=" + "x" * 65},
    "patientName: four groups": {"patientName": "a=b=c=d"},
    "patientName: six components": {"patientName": "a^b^c^d^e^f"},
    "studyDescription: 65 characters": {"studyDescription": "x" * 65},
    "uploadKey: 129 characters": {"uploadKey": "k" * 129},
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD.keys())
def test_an_invalid_value_is_rejected_before_orthanc_gets_a_file(
    proxy: RecordingProxy, transport: Transport, patient_id: str, values: dict[str, Any]
) -> None:
    outcome = transport(slices(1), **{"patientId": patient_id, **values})
    assert outcome.code == "BAD_USER_INPUT"
    assert outcome.status in ((400,) if transport.name == "REST" else (200, 400))
    assert [line for line in proxy.lines() if line.startswith("POST /instances")] == []
    assert not UploadBatch.objects.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"patientId": "x" * 64},
        {"patientId": "가" * 64},
        {"patientId": "*?[%_'\"<>&{}$", "patientName": "a"},
        {"patientName": "../x", "studyDescription": "../x"},
        {"patientName": f"{'x' * 64}={'가' * 64}={'나' * 64}"},
        {"patientName": "a^b^c^d^e=a^b^c^d^e=^^^^"},
        {"studyDescription": "가" * 64},
        {"uploadKey": "k" * 128},
        {"uploadKey": "../열쇠 \\ ' \" %"},
    ],
)
def test_a_valid_value_is_stored_unchanged(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, values: dict[str, Any]
) -> None:
    sent = {"patientId": patient_id, **values}
    outcome = transport(slices(1), **sent)
    assert (outcome.code, sum(outcome.counts), outcome.failed) == (None, 1, ())
    assert outcome.key == sent.get("uploadKey", outcome.key)
    [file] = stored_files(orthanc, outcome.study_id)
    assert file.PatientID == sent["patientId"]
    assert str(file.PatientName).rstrip("^=") == sent.get("patientName", sent["patientId"]).rstrip("^=")
    assert file.StudyDescription == sent.get("studyDescription", file.StudyDescription)


@pytest.mark.parametrize(
    "folder", ["../../etc", "/absolute", "C:\\scans", "a//b/", ".", "..", "%2e%2e", "a" * 5000, "폴더"]
)
def test_a_folder_is_only_a_label(orthanc: LocalOrthanc, transport: Transport, patient_id: str, folder: str) -> None:
    outcome = transport([*slices(1, folder), File(b"", folder)], patientId=patient_id)
    assert outcome.counts == (1, 0, 1)
    assert outcome.failed[0].folder == folder


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("folder/1.dcm", "1.dcm"),
        ("C:/x/2.dcm", "2.dcm"),
        ("../../3.dcm", "3.dcm"),
        ("/4.dcm", "4.dcm"),
        ("폴더/5.dcm", "5.dcm"),
    ],
)
def test_a_file_name_loses_its_folders(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, sent: str, told: str
) -> None:
    outcome = transport([File(b"text", "a", sent)], patientId=patient_id)
    assert [failure.name for failure in outcome.failed] == [told]


def test_spellings_of_a_folder_are_the_same_folder(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    """macOS sends names decomposed, Windows separates by backslashes."""
    spellings = ["두부/é", "두부/é/", "두부\\é", unicodedata.normalize("NFD", "두부/é"), "./두부//é"]
    files = [File(instance(number=number), spelling) for number, spelling in enumerate(spellings, 1)]
    outcome = transport(files, patientId=patient_id, uploadKey=patient_id)
    assert (outcome.counts, len(outcome.series_ids)) == ((5, 0, 0), 1)
    again = transport([File(instance(number=1), spellings[3])], patientId=patient_id, uploadKey=patient_id)
    assert again.counts == (0, 1, 0)
