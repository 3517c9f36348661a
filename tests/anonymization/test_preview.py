"""Previews of anonymizations: what is changed, and what a person should look at."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from orthancproxy.audit.models import AuditEvent
from orthancproxy.jobs.models import Job
from orthancproxy.resolvers import anonymizing
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.anonymization.archive import studies
from tests.anonymization.conftest import ANONYMIZE
from tests.conftest import GraphQL
from tests.corpus import ROOT, instance, load

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

STUDY = Target.at(1).ids["studies"]
Preview = Callable[..., dict[str, Any]]


@pytest.fixture
def preview(gateway: LocalOrthanc, graphql: GraphQL) -> Preview:
    """Return a function that stores files, and previews the anonymization of their study."""

    def run(*files: bytes, **options: Any) -> dict[str, Any]:
        load(gateway, files)
        payload: dict[str, Any] = graphql(ANONYMIZE, input={"orthancId": STUDY, "dryRun": True, **options})[
            "anonymizeStudy"
        ]
        return payload

    return run


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_a_preview_has_what_is_replaced_removed_and_added_at_every_depth(preview: Preview) -> None:
    nested = item(OperatorsName="Park^Nurse", CodeMeaning="kept", ReferencedSOPInstanceUID="1.2.3")
    shown = preview(instance(1, RelatedSeriesSequence=[nested]), patientId="S1", patientName="Subject")
    tags = {one["keyword"]: (one["before"], one["after"]) for one in shown["preview"]}
    assert tags["PatientID"] == ("P001", "S1")
    assert tags["PatientName"] == ("Kim001^Minsu=金1^民洙=김1^민수", "Subject")
    assert tags["PatientBirthDate"] == ("19510315", "")
    assert tags["StudyDescription"] == ("Brain study 1", None)
    assert tags["PatientIdentityRemoved"] == (None, "YES")
    assert tags["RelatedSeriesSequence[0].OperatorsName"] == ("Park^Nurse", "ANONYMIZED")
    before, after = tags["RelatedSeriesSequence[0].ReferencedSOPInstanceUID"]
    assert (before, after[:5]) == ("1.2.3", "2.25.")
    assert "RelatedSeriesSequence[0].CodeMeaning" not in tags
    assert not {"Modality", "PixelData", "Rows", "Manufacturer"} & tags.keys()


def test_a_preview_changes_nothing_and_is_an_access(gateway: LocalOrthanc, preview: Preview) -> None:
    shown = preview(instance(1))
    assert (shown["dryRun"], shown["job"], shown["downloadUrl"]) == (True, None, None)
    assert studies(gateway) == [STUDY]
    assert not Job.objects.exists()
    [event] = AuditEvent.objects.all()
    assert (event.event, event.operation) == ("ACCESSED", "anonymizeStudy")
    assert [one.patient_id for one in event.subjects.all()] == ["P001"]


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        ({"BodyPartExamined": "CHEST"}, []),
        ({"BodyPartExamined": "HEAD"}, ["FACE"]),
        ({"BodyPartExamined": "HEAD", "RecognizableVisualFeatures": "NO"}, []),
        ({"BodyPartExamined": "CHEST", "RecognizableVisualFeatures": "YES"}, ["FACE"]),
        ({"BodyPartExamined": "CHEST", "BurnedInAnnotation": "YES"}, ["BURNED_IN"]),
        *(
            ({"Modality": modality, "BodyPartExamined": None}, ["TEXT_IN_PIXELS"])
            for modality in ("US", "SC", "OT", "XC", "ES", "GM", "DOC")
        ),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, []),
        ({"Modality": "CR", "SOPClassUID": SecondaryCaptureImageStorage}, ["TEXT_IN_PIXELS"]),
        ({"SOPClassUID": EncapsulatedPDFStorage, "Modality": "OT", "Rows": None, "PixelData": None}, ["DOCUMENT"]),
        ({"Modality": "SR", "ContentSequence": [item(TextValue="Kim")], "PixelData": None}, ["REPORT"]),
        ({"Modality": "PR", "PixelData": None}, ["GRAPHICS"]),
        ({"Modality": "RTSTRUCT", "PixelData": None}, ["GRAPHICS"]),
        ({"BodyPartExamined": "CHEST", "OverlayRows": 8, "OverlayData": b"\1" * 8}, ["OVERLAY"]),
        ({"BodyPartExamined": "CHEST", "OverlayRows": 8, "OverlayBitPosition": 12}, ["OVERLAY", "OVERLAY_IN_PIXELS"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "+".join(map(str, value)),
)
def test_a_preview_warns_of_what_is_not_cleaned(preview: Preview, tags: dict[str, Any], codes: list[str]) -> None:
    file = instance(1, **{name: value for name, value in tags.items() if not name.startswith("Overlay")})
    shown = preview(with_overlay(file, tags))
    assert [one["code"] for one in shown["warnings"]] == codes
    assert all(one["message"].endswith(".") for one in shown["warnings"])


def with_overlay(file: bytes, tags: dict[str, Any]) -> bytes:
    dataset = dcmread(BytesIO(file))
    for number, vr, keyword in (
        (0x0010, "US", "OverlayRows"),
        (0x0102, "US", "OverlayBitPosition"),
        (0x3000, "OW", "OverlayData"),
    ):
        if keyword in tags:
            dataset.add_new((0x6000, number), vr, tags[keyword])
    made = BytesIO()
    dataset.save_as(made)
    return made.getvalue()


def test_warnings_are_of_every_series(preview: Preview) -> None:
    files = (
        instance(1, BodyPartExamined="CHEST", SOPClassUID=CTImageStorage),
        instance(1, 1, 2, Modality="US", BodyPartExamined=None),
        instance(1, 1, 3, BodyPartExamined="BRAIN"),
    )
    codes = [one["code"] for one in preview(*files)["warnings"]]
    assert sorted(codes) == ["FACE", "TEXT_IN_PIXELS"]


def test_all_instances_with_text_in_their_pixels_are_listed(preview: Preview, graphql: GraphQL) -> None:
    files = (
        *(instance(1, 1, 1, number, BodyPartExamined="CHEST") for number in (1, 2)),
        instance(1, 1, 1, 3, BodyPartExamined="CHEST", BurnedInAnnotation="YES"),
        *(instance(1, 1, 2, number, Modality="US", BodyPartExamined=None) for number in (1, 2)),
        instance(1, 1, 2, 3, Modality="US", BodyPartExamined=None, BurnedInAnnotation="NO"),
        instance(1, 1, 3, 1, Modality="SR", ContentSequence=[item(TextValue="Kim")], Rows=None, PixelData=None),
    )
    found = listed(preview(*files))
    assert {code: sorted(uids) for code, uids in found.items() if uids is not None} == {
        "BURNED_IN": [f"{ROOT}.1.1.1.3"],
        "TEXT_IN_PIXELS": [f"{ROOT}.1.1.2.1", f"{ROOT}.1.1.2.2"],
    }
    assert found["REPORT"] is None
    begun = graphql(ANONYMIZE, input={"orthancId": STUDY})["anonymizeStudy"]
    # of one instance of each series
    assert listed(begun) == {"TEXT_IN_PIXELS": None, "REPORT": None}


def listed(payload: dict[str, Any]) -> dict[str, list[str] | None]:
    """The SOPInstanceUIDs by the codes of warnings."""
    return {
        one["code"]: one["instances"] and [instance["sopInstanceUID"] for instance in one["instances"]]
        for one in payload["warnings"]
    }


def test_instances_of_a_study_with_too_many_are_not_looked_at(
    preview: Preview, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anonymizing, "MAX_LISTED_INSTANCES", 1)
    files = [instance(1, 1, 1, number, Modality="US", BodyPartExamined=None) for number in (1, 2)]
    assert listed(preview(*files)) == {"TEXT_IN_PIXELS": None}
