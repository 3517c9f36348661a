"""Warnings to the sender, without values from the archive."""

import json
from typing import Any

import pytest
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.distinct_values import digests, disagreements, merged
from orthancproxy.uploads.files import InspectedFile
from orthancproxy.uploads.models import UploadBatch
from tests.conftest import GraphQL
from tests.corpus import ROOT, instance, load
from tests.proxy import RecordingProxy, answering
from tests.uploads.upload_client import File, Transport, found, slices, stored_files

pytestmark = pytest.mark.live

KNOWN: dict[str, Any] = {"PatientName": "Secret^Person=祕密=비밀", "PatientBirthDate": "19310203", "PatientSex": "O"}
ANOTHER = "This patient ID is already in the archive under another"


def know(orthanc: LocalOrthanc, patient_id: str, **tags: Any) -> None:
    """Let a patient be in the archive."""
    study = f"{ROOT}.{int(patient_id[1:], 16)}"
    load(orthanc, [instance(PatientID=patient_id, StudyInstanceUID=study, SOPInstanceUID=f"{study}.1", **tags)])


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("Lee^Other", {}, ["name"]),
        (None, {}, ["name"]),
        ("Secret^Person=祕密=비밀", {"PatientBirthDate": "19310204"}, ["birth date"]),
        ("Secret^Person=祕密=비밀", {"PatientSex": "F"}, ["sex"]),
        ("Lee^Other", {"PatientBirthDate": "19310204", "PatientSex": "F"}, ["name", "birth date", "sex"]),
        ("Secret^Person=祕密=비밀", {}, []),
        ("Secret^Person=祕密", {}, ["name"]),
        ("Secret^Person=祕密=비밀^^", {}, []),
        ("SECRET^PERSON=祕密=비밀", {"PatientBirthDate": "1931.02.03", "PatientSex": "o"}, []),
        ("Secret^Person=祕密=비밀", {"PatientBirthDate": "", "PatientSex": ""}, []),
        ("Secret^Person=祕密=비밀", {"PatientBirthDate": None, "PatientSex": None}, []),
    ],
)
def test_other_demographics_of_a_known_patient_give_a_warning(
    orthanc: LocalOrthanc,
    transport: Transport,
    patient_id: str,
    name: str | None,
    tags: dict[str, Any],
    expected: list[str],
) -> None:
    know(orthanc, patient_id, **KNOWN)
    files = [File(instance(number=number, **{**KNOWN, **tags})) for number in (1, 2)]
    outcome = transport(files, patientId=patient_id, patientName=name)
    assert list(outcome.warnings) == [f"{ANOTHER} {what}." for what in expected]
    assert outcome.counts == (2, 0, 0)


def test_a_warning_has_no_values_from_the_archive(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    know(orthanc, patient_id, **KNOWN)
    outcome = transport(slices(1), patientId=patient_id, patientName="Lee^Other")
    assert len(outcome.warnings) == 3
    shown = " ".join(outcome.warnings)
    assert [value for value in ("Secret", "祕密", "비밀", "19310203") if value in shown] == []


def test_a_caller_without_the_view_permission_gets_no_warning_of_known_patients(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, settings: Settings
) -> None:
    know(orthanc, patient_id, **KNOWN)
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["upload"]
    outcome = transport(slices(1), patientId=patient_id, patientName="Lee^Other")
    assert list(outcome.warnings) == []


def test_a_known_patient_without_demographics_gives_no_warning(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    know(orthanc, patient_id, PatientName="", PatientBirthDate="", PatientSex="")
    assert transport(slices(1), patientId=patient_id, patientName="Lee^Other").warnings == ()


@pytest.mark.parametrize(("before", "after"), [(" ", ""), ("", " "), ("  ", " \0")])
def test_padding_is_no_other_name_and_no_other_sex(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, before: str, after: str
) -> None:
    padded = {tag: f"{before}{KNOWN[tag]}{after}" for tag in ("PatientName", "PatientSex")}
    know(orthanc, patient_id, **{**KNOWN, **padded})
    files = [File(instance(number=1, **KNOWN)), File(instance(number=2, **{**KNOWN, **padded}))]
    assert transport(files, patientId=patient_id, patientName=KNOWN["PatientName"]).warnings == ()


@pytest.mark.parametrize("padding", [" ", "\0", "  "])
def test_a_padded_patient_id_is_the_same_patient(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, padding: str
) -> None:
    """So two patients never share a PatientID: Orthanc derives its id from the PatientID."""
    know(orthanc, patient_id, **KNOWN)
    study = f"{ROOT}.7.{int(patient_id[1:9], 16)}"
    load(orthanc, [instance(PatientID=patient_id + padding, StudyInstanceUID=study, SOPInstanceUID=study, **KNOWN)])
    outcome = transport(slices(1), patientId=patient_id, patientName="Lee^Other")
    assert outcome.counts == (1, 0, 0)
    assert f"{ANOTHER} name." in outcome.warnings


def test_chunks_of_one_upload_do_not_warn_of_each_other(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    files = slices(4)
    for start in range(4):
        outcome = transport(
            files[start : start + 1],
            patientId=patient_id,
            patientName="Kim^A" if start < 2 else None,
            uploadKey=patient_id,
        )
        assert outcome.warnings == ()


def test_several_series_in_one_folder_give_a_warning(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    files = [
        *slices(2, "mixed", series=1),
        *slices(2, "mixed", series=3),
        *slices(2, "mixed", series=2),
        *slices(2, "pure", series=5),
    ]
    [warning] = transport(files, patientId=patient_id).warnings
    assert "“mixed”" in warning
    assert "2 series" in warning


def test_many_mixed_folders_give_at_most_ten_warnings(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    files = [file for folder in range(15) for series in (1, 3) for file in slices(1, str(folder), series=series)]
    assert len(transport(files, patientId=patient_id).warnings) == 10


def test_files_of_several_patients_give_a_warning(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    kim = instance(
        1, PatientID="1", PatientName="Kim", PatientBirthDate="19500101", PatientSex="M", StudyDate="20200101"
    )
    lee = instance(
        2, PatientID="2", PatientName="Lee", PatientBirthDate="19900101", PatientSex="F", StudyDate="20200102"
    )
    outcome = transport([File(kim), File(lee, "lee")], patientId=patient_id)
    assert outcome.counts == (2, 0, 0)
    [warning] = outcome.warnings
    assert warning == (
        "The files have 2 patient IDs, 2 patient names, 2 birth dates, 2 sexes, 2 studies, 2 study dates, and became "
        "one study: check that they are of one patient."
    )


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"PatientID": "P2"}, "2 patient IDs"),
        ({"PatientName": "Lee"}, "2 patient names"),
        ({"PatientBirthDate": "20010101"}, "2 birth dates"),
        ({"PatientSex": "O"}, "2 sexes"),
        ({"StudyInstanceUID": "1.2.3"}, "2 studies"),
        ({"StudyTime": "000000"}, "2 study times"),
        ({"PatientID": None, "PatientName": "", "PatientBirthDate": "", "PatientSex": None, "StudyTime": ""}, None),
        ({"PatientName": "Kim001^Minsu=金1^民洙=김1^민수^="}, None),
        ({"PatientName": "KIM001^ＭＩＮＳＵ=金1^民洙=김1^민수"}, None),
        ({"PatientBirthDate": "1951.03.15", "PatientSex": "f"}, None),
    ],
)
def test_each_difference_between_files_gives_a_warning(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, tags: dict[str, Any], what: str | None
) -> None:
    outcome = transport([*slices(2), File(instance(number=3, **tags))], patientId=patient_id)
    expected = [f"The files have {what}, and became one study: check that they are of one patient."] if what else []
    assert list(outcome.warnings) == expected


SECOND_PATIENT: dict[str, Any] = {
    "PatientID": "P2",
    "PatientName": "Lee^Secret",
    "PatientBirthDate": "20010101",
    "PatientSex": "O",
    "StudyInstanceUID": "1.2.3",
    "StudyDate": "20190203",
}
TWO_PATIENTS = (
    "The files have 2 patient IDs, 2 patient names, 2 birth dates, 2 sexes, 2 studies, 2 study dates, and became one "
    "study: check that they are of one patient."
)


def test_two_patients_in_chunks_give_a_warning_from_the_second_on(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, graphql: GraphQL
) -> None:
    """The list of uploads has it too. The database has neither patient's values."""
    chunks = [slices(2), [File(instance(number=3, **SECOND_PATIENT))], [File(instance(number=4))]]
    warned = [transport(chunk, patientId=patient_id, uploadKey=patient_id).warnings[:1] for chunk in chunks]
    assert warned == [(), (TWO_PATIENTS,), (TWO_PATIENTS,)]
    query = "query($key: ID!) { uploads(filter: {uploadKey: $key}) { nodes { warnings } } }"
    assert graphql(query, key=patient_id)["uploads"]["nodes"] == [{"warnings": [TWO_PATIENTS]}]
    stored = json.dumps(UploadBatch.objects.get(upload_key=patient_id).distinct_values)
    assert [value for value in SECOND_PATIENT.values() if value in stored] == []


@pytest.mark.parametrize("values", [{name: value} for name, value in SECOND_PATIENT.items()])
def test_each_difference_between_chunks_gives_a_warning(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, values: dict[str, Any]
) -> None:
    transport(slices(1), patientId=patient_id, uploadKey=patient_id)
    outcome = transport([File(instance(number=2, **values))], patientId=patient_id, uploadKey=patient_id)
    assert outcome.warnings[0].startswith("The files have 2 ")
    assert outcome.warnings[0].count(" 2 ") == 1


def test_values_of_files_that_are_not_stored_give_no_warning(
    orthanc: LocalOrthanc, proxy: RecordingProxy, transport: Transport, patient_id: str
) -> None:
    transport([File(instance(1))], patientId=patient_id, uploadKey=patient_id)
    proxy.keep_failing(answering(503), on="/instances")
    other = [File(instance(number=2, **SECOND_PATIENT))]
    assert transport(other, patientId=patient_id, uploadKey=patient_id).warnings == ()
    proxy.recover()
    assert TWO_PATIENTS in transport(other, patientId=patient_id, uploadKey=patient_id).warnings


def test_digests_of_values_are_bounded_and_differ_between_uploads() -> None:
    first, second = (digests(uid, [inspected(f"{number}") for number in range(150)]) for uid in ("1.2", "1.3"))
    assert first["patient IDs"].isdisjoint(second["patient IDs"])
    values = merged(first, second)
    assert {what: len(found) for what, found in values.items() if found} == {"patient IDs": 100}
    [warning] = disagreements(values)
    assert "at least 100 patient IDs" in warning


def inspected(patient_id: str) -> InspectedFile:
    """A file that has a PatientID and nothing else."""
    texts = {name: "" for name in InspectedFile.__annotations__ if name not in ("sent", "dicom")}
    values: dict[str, Any] = {**texts, "patient_id": patient_id, "sent": None, "dicom": None}
    return InspectedFile(**values)


def test_several_series_of_one_folder_in_chunks_give_a_warning(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    chunks = [slices(2, "mixed", series=1), slices(2, "mixed", series=3), slices(1, "pure", series=5)]
    warned = [transport(chunk, patientId=patient_id, uploadKey=patient_id).warnings for chunk in chunks]
    assert warned == [(), ("The folder “mixed” contains files of 2 series, which became one.",), ()]


def test_text_outside_its_character_set_gives_a_warning(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    good = instance(InstitutionName="서울병원")
    bad = good.replace("서울병원".encode(), b"\xff" * 12)
    assert bad != good
    outcome = transport([File(bad), *slices(2)], patientId=patient_id)
    assert outcome.counts == (3, 0, 0)
    [warning] = outcome.warnings
    assert warning.startswith("1 ")
    assert "SpecificCharacterSet" in warning


@pytest.mark.parametrize(
    ("default", "values"),
    [
        ("Latin1", {"SpecificCharacterSet": "\\ISO 2022 IR 149"}),
        ("Latin1", {"SpecificCharacterSet": "ISO_IR 149"}),
        ("Korean", {"SpecificCharacterSet": None}),
    ],
)
def test_korean_text_without_escape_sequences_is_stored_as_text(
    orthanc: LocalOrthanc,
    transport: Transport,
    patient_id: str,
    settings: Settings,
    default: str,
    values: dict[str, Any],
) -> None:
    settings.ORTHANC_DEFAULT_ENCODING = default
    text = "서울병원"
    euc_kr = text.encode("euc_kr")
    content = instance(InstitutionName="x" * len(euc_kr), PatientName="Hong", ReferringPhysicianName="Kim", **values)
    outcome = transport([File(content.replace(b"x" * len(euc_kr), euc_kr))], patientId=patient_id)
    [file] = stored_files(orthanc, outcome.study_id)
    assert (file.SpecificCharacterSet, file.InstitutionName) == ("ISO_IR 192", text)
    assert [("guessed" in warning) for warning in outcome.warnings] == ([True] if default == "Korean" else [])


def test_a_value_that_should_be_ascii_is_shown_by_orthanc(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    content = instance(
        SpecificCharacterSet="ISO_IR 100", BodyPartExamined="SCHXDEL", PatientName="A", InstitutionName="B"
    )
    outcome = transport([File(content.replace(b"SCHXDEL", "SCHÄDEL".encode("latin-1")))], patientId=patient_id)
    [series] = found(orthanc, "Series", PatientID=patient_id)
    assert series["MainDicomTags"]["BodyPartExamined"] == "SCHÄDEL"
    assert outcome.warnings == ()
