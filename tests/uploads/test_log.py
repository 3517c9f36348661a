"""The log of an upload: counts, and no data of patients or files."""

import json
import warnings
from typing import Any

import pytest

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance
from tests.log_capture import logged
from tests.proxy import RecordingProxy, answering
from tests.uploads.upload_client import File, Transport, slices, zipped

pytestmark = pytest.mark.live

SECRET = "Geheimnis"
SENT: dict[str, Any] = {"patientName": f"{SECRET}^Name", "studyDescription": f"{SECRET} description"}
FILES = [
    File(instance(number=1, PatientName=f"{SECRET}^{SECRET}", InstitutionName=SECRET), SECRET, f"{SECRET}.dcm"),
    File(instance(number=2, PatientBirthDate=SECRET, StudyDate=SECRET, StudyTime=SECRET, KVP=SECRET), SECRET, SECRET),
    File(instance(number=3, SOPInstanceUID=SECRET, SeriesInstanceUID=SECRET, StudyInstanceUID=SECRET), SECRET, SECRET),
    File(instance(number=4, SpecificCharacterSet=SECRET, InstitutionName="서울병원"), SECRET, SECRET),
    File(instance(number=5, SpecificCharacterSet=f"ISO 2022 {SECRET}\\ISO 2022 IR 149", InstitutionName="서울")),
    File(instance(number=6)[:-70], SECRET, SECRET),
    File(SECRET.encode() * 100, SECRET, SECRET),
    File(zipped({f"{SECRET}/{SECRET}.dcm": instance(number=7), f"{SECRET}.txt": SECRET.encode()}), SECRET, SECRET),
    File(zipped({f"{SECRET}.dcm": instance(number=8)})[:-30], SECRET, f"{SECRET}.zip"),
    File(b"", SECRET, SECRET),
]


def check(transport: Transport, capfd: pytest.CaptureFixture[str], patient_id: str, sent: int) -> str:
    """Upload; return the log after a look at it, at the warnings of libraries and at what is printed."""
    with warnings.catch_warnings(record=True) as warned, logged() as lines:
        warnings.simplefilter("always")
        outcome = transport(FILES, patientId=f"{SECRET}-{patient_id}", uploadKey=f"{SECRET}-{patient_id}", **SENT)
    assert sum(outcome.counts) == sent
    assert SECRET in json.dumps(outcome.body)
    log = json.dumps(lines, ensure_ascii=False)
    written = "".join(capfd.readouterr())
    for told in (log, written, " ".join(str(warning.message) for warning in warned)):
        assert SECRET.lower() not in told.lower()
        assert patient_id not in told
    return log


def test_the_log_has_counts_and_no_patient_data(
    orthanc: LocalOrthanc, transport: Transport, capfd: pytest.CaptureFixture[str], patient_id: str
) -> None:
    log = check(transport, capfd, patient_id, len(FILES) + 1)
    assert '"event": "upload"' in log
    assert "Traceback" not in log


@pytest.mark.parametrize("status", [400, 500, 503])
def test_the_log_of_an_outage_holds_no_patient_data(
    proxy: RecordingProxy, transport: Transport, capfd: pytest.CaptureFixture[str], patient_id: str, status: int
) -> None:
    proxy.keep_failing(answering(status, f'{{"Message": "{SECRET}"}}'.encode()), on="/instances")
    log = check(transport, capfd, patient_id, len(FILES) + 1)
    assert "Traceback" not in log


def test_a_rejected_value_is_not_in_the_log(
    orthanc: LocalOrthanc, transport: Transport, capfd: pytest.CaptureFixture[str], patient_id: str
) -> None:
    with logged() as lines:
        outcome = transport(slices(1), patientId=f"{SECRET}\\{patient_id}", patientName=SECRET)
    assert outcome.code == "BAD_USER_INPUT"
    assert lines
    told = json.dumps(lines, ensure_ascii=False) + "".join(capfd.readouterr())
    assert SECRET not in told
    assert patient_id not in told
