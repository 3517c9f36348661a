"""ZIPs of anonymized studies, which Orthanc never has."""

import zipfile
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pydicom import Dataset

from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.audit.models import AuditEvent
from orthancproxy.dicom import sources
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import UNKNOWN_TARGET, Target
from tests.anonymization.archive import left, parsed, studies
from tests.anonymization.conftest import ANONYMIZE
from tests.conftest import GraphQL
from tests.corpus import instance, load

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

STUDY = Target.at(1).ids["studies"]
ORIGINALS = [instance(1, 1, series, number) for series in (1, 2) for number in (1, 2, 3)]
ROUTE = f"/api/orthanc/studies/{STUDY}/anonymized/"


@pytest.fixture
def study(gateway: LocalOrthanc) -> str:
    load(gateway, ORIGINALS)
    return STUDY


def download(url: str) -> tuple[list[str], list[bytes]]:
    """The names and files of a ZIP."""
    answer: Any = Client().get(url)
    assert answer.status_code == 200, answer.content
    with zipfile.ZipFile(BytesIO(b"".join(answer))) as made:
        assert made.testzip() is None
        return made.namelist(), [made.read(name) for name in made.namelist()]


def test_a_zip_has_the_anonymized_files_and_orthanc_has_them_not(
    gateway: LocalOrthanc, study: str, graphql: GraphQL
) -> None:
    options = {"project": "trial", "shiftDates": True, "keepSeriesDescriptions": True, "keepDevice": True}
    payload = graphql(ANONYMIZE, input={"orthancId": study, "output": "ZIP", "includeBurnedIn": True, **options})
    url = urlsplit(payload["anonymizeStudy"]["downloadUrl"])
    assert payload["anonymizeStudy"]["job"] is None
    assert (url.path, url.query.count("&")) == (ROUTE, 4)
    names, made = download(f"{url.path}?{url.query}")
    pseudonym = Pseudonym.objects.get().pseudonym
    assert names == [f"{pseudonym}/000{series}/00000{number}.dcm" for series in (1, 2) for number in (1, 2, 3)]
    datasets = [parsed(one) for one in made]
    assert {str(one.PatientID) for one in datasets} == {pseudonym}
    assert {one.SeriesDescription for one in datasets} == {"Series 1", "Series 2"}
    assert len({one.StudyInstanceUID for one in datasets}) == 1
    assert len({one.SOPInstanceUID for one in datasets}) == 6
    assert studies(gateway) == [study]


def test_nothing_identifying_is_in_a_zip(study: str) -> None:
    names, made = download(f"{ROUTE}?patient-id=S1")
    assert not left(ORIGINALS, made)
    assert not left(ORIGINALS, [name.encode() for name in names])


def test_references_stay_within_a_zip(gateway: LocalOrthanc) -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = parsed(instance(1)).SOPInstanceUID
    load(gateway, [instance(1), instance(1, number=2, ReferencedImageSequence=[reference])])
    made = {one.InstanceNumber: one for one in map(parsed, download(ROUTE)[1])}
    assert made[2].ReferencedImageSequence[0].ReferencedSOPInstanceUID == made[1].SOPInstanceUID


def test_two_downloads_cannot_be_linked(study: str) -> None:
    first, second = (parsed(download(ROUTE)[1][0]) for _ in range(2))
    assert first.PatientID != second.PatientID
    assert first.StudyInstanceUID != second.StudyInstanceUID


def test_what_cannot_be_cleaned_is_left_out_of_a_zip(gateway: LocalOrthanc) -> None:
    load(gateway, [instance(1), instance(1, number=2, BurnedInAnnotation="YES")])
    assert len(download(ROUTE)[0]) == 1
    assert len(download(f"{ROUTE}?include-burned-in=true")[0]) == 2


def test_a_study_of_which_all_is_left_out_is_rejected(gateway: LocalOrthanc) -> None:
    load(gateway, [instance(1, number=number, BurnedInAnnotation="YES") for number in (1, 2)])
    answer = Client().get(ROUTE)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")
    [event] = AuditEvent.objects.all()
    assert (event.outcome, event.error_code) == ("FAILED", "BAD_USER_INPUT")


def test_a_file_of_many_megabytes_is_not_read_into_memory(
    gateway: LocalOrthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = 40
    big = instance(1, Rows=512, Columns=256, NumberOfFrames=str(frames), PixelData=b"\1\2" * 512 * 256 * frames)
    load(gateway, [big])
    spools = 0

    def open_spool() -> Any:
        nonlocal spools
        spools += 1
        return sources.open_spool()

    monkeypatch.setattr("orthancproxy.anonymization.files.open_spool", open_spool)
    [made] = map(parsed, download(ROUTE)[1])
    assert (spools, made.PixelData) == (1, parsed(big).PixelData)


@pytest.mark.parametrize(
    "query",
    ["shift-dates=1", "patient-id=P001", "project=", "x=1", "project=a&patient-id=b", "patient-id=a&patient-id=b"],
)
def test_what_cannot_be_done_is_rejected(study: str, query: str) -> None:
    assert Client().get(f"{ROUTE}?{query}").status_code == 400


def test_an_unknown_study_is_not_found(gateway: LocalOrthanc) -> None:
    url = f"/api/orthanc/studies/{UNKNOWN_TARGET.ids['studies']}/anonymized/"
    assert Client().get(url).status_code == 404


def test_the_audit_log_has_the_download(study: str) -> None:
    download(f"{ROUTE}?project=trial")
    [event] = AuditEvent.objects.all()
    assert (event.event, event.outcome, event.target) == ("ANONYMIZED", "SUCCESS", f"studies/{STUDY}")
    assert event.details == {"output": "ZIP", "project": "trial"}
    assert [one.patient_id for one in event.subjects.all()] == ["P001"]
