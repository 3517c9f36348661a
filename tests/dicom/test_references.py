"""References within an upload are updated, and references to other files stay."""

import hashlib
from pathlib import Path

import pytest

from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import rewrite
from orthancproxy.dicom.sources import InMemory
from tests.dicom import references
from tests.dicom.comparison import Expected, differences
from tests.dicom.conformance import dcmftest_refuses, error_lines
from tests.dicom.rewriting import NEW_ROOT, PATIENT_ID, PATIENT_NAME, dataset, target

NAMES = sorted(references.linked_upload())
NEW_STUDY = f"{NEW_ROOT}.1"


def _new_uid(old: str) -> str:
    return f"{NEW_ROOT}.2.{int(hashlib.sha256(old.encode()).hexdigest()[:12], 16)}"


def _mapping() -> dict[str, str]:
    uids = {old: _new_uid(old) for old in references.UPLOADED}
    # both studies become one
    return uids | dict.fromkeys((references.STUDY, references.FOLLOW_UP_STUDY), NEW_STUDY)


UIDS = _mapping()


def _rewrite(data: bytes) -> tuple[bytes, frozenset[str]]:
    file = read(InMemory(data))
    new = rewrite(
        file,
        target(
            study_instance_uid=UIDS[file.study_instance_uid],
            series_instance_uid=UIDS[file.series_instance_uid],
            sop_instance_uid=UIDS[file.sop_instance_uid],
            uids=UIDS,
        ),
    )
    return bytes(new.payload), frozenset(new.unresolved)


@pytest.fixture(scope="module")
def before() -> dict[str, bytes]:
    return references.linked_upload()


@pytest.fixture(scope="module")
def after(before: dict[str, bytes]) -> dict[str, bytes]:
    return {name: _rewrite(data)[0] for name, data in before.items()}


def test_the_upload_refers_to_itself_and_to_something_outside_in_every_kind_of_file(before: dict[str, bytes]) -> None:
    for name, data in before.items():
        uids = {uid for _, uid in references.nested_uids(dataset(data))}
        assert uids & references.UPLOADED, name
        assert uids & references.OUTSIDE, name


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_follows_the_mapping(name: str, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    old = list(references.nested_uids(dataset(before[name])))
    new = list(references.nested_uids(dataset(after[name])))

    assert new == [(path, UIDS.get(uid, uid)) for path, uid in old]


@pytest.mark.parametrize("name", NAMES)
def test_no_old_uid_of_the_upload_is_left_in_a_reference(name: str, after: dict[str, bytes]) -> None:
    uids = {uid for _, uid in references.nested_uids(dataset(after[name]))}

    assert not uids & references.UPLOADED


@pytest.mark.parametrize("name", NAMES)
def test_references_outside_the_upload_are_reported(name: str, before: dict[str, bytes]) -> None:
    _, unresolved = _rewrite(before[name])

    # a frame of reference or a dimension is no study, series or instance
    found = references.nested_uids(dataset(before[name]))
    nested = {uid for path, uid in found if not path.endswith(("FrameOfReferenceUID", "DimensionOrganizationUID"))}
    elsewhere = {uid for uid in nested - references.UPLOADED if not uid.startswith("1.2.840.10008.")}
    assert unresolved == elsewhere
    assert unresolved & references.OUTSIDE


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_identity_and_references_changes(
    name: str, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    expected = Expected(UIDS, references.PATIENT_ID, PATIENT_ID, references.PATIENT_NAME, PATIENT_NAME)

    assert differences(dataset(before[name]), dataset(after[name]), expected) == []


def test_the_structure_set_finds_its_slices(after: dict[str, bytes]) -> None:
    structure_set = dataset(after["rtstruct/1.dcm"])
    slices = {str(dataset(after[f"ct/{number}.dcm"]).SOPInstanceUID) for number in (1, 2, 3)}

    [frame_of_reference] = structure_set.ReferencedFrameOfReferenceSequence
    [study] = frame_of_reference.RTReferencedStudySequence
    [series] = study.RTReferencedSeriesSequence
    contours = structure_set.ROIContourSequence[0].ContourSequence
    contour_images = [str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID) for contour in contours]

    assert frame_of_reference.FrameOfReferenceUID == references.FRAME_OF_REFERENCE
    assert study.ReferencedSOPInstanceUID == NEW_STUDY
    assert series.SeriesInstanceUID == dataset(after["ct/1.dcm"]).SeriesInstanceUID
    assert {str(image.ReferencedSOPInstanceUID) for image in series.ContourImageSequence} == slices
    assert {*contour_images} == slices | {references.OUTSIDE_INSTANCE}
    assert contour_images[-1] == references.OUTSIDE_INSTANCE


def test_files_of_two_studies_are_in_one_and_refer_to_it(after: dict[str, bytes]) -> None:
    assert {str(dataset(data).StudyInstanceUID) for data in after.values()} == {NEW_STUDY}
    [other] = dataset(after["mr/1.dcm"]).StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == NEW_STUDY


def test_the_evidence_of_a_report_names_what_its_content_refers_to(after: dict[str, bytes]) -> None:
    report = dataset(after["sr/1.dcm"])

    [study] = report.CurrentRequestedProcedureEvidenceSequence
    [series] = study.ReferencedSeriesSequence
    evidence = {str(image.ReferencedSOPInstanceUID) for image in series.ReferencedSOPSequence}
    inside, outside, series_reference, comment = report.ContentSequence

    assert study.StudyInstanceUID == NEW_STUDY
    assert str(inside.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) in evidence
    assert outside.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == references.OUTSIDE_INSTANCE
    assert series_reference.UID == series.SeriesInstanceUID == UIDS[references.CT_SERIES]
    # a UID in a text is text
    assert comment.TextValue == f"In {references.CT_SERIES}: 이상 없음"


def test_a_private_sequence_is_updated_and_a_private_value_stays(after: dict[str, bytes]) -> None:
    for number, uid in enumerate(references.CT_INSTANCES, start=1):
        block = dataset(after[f"ct/{number}.dcm"]).private_block(0x0021, references.PRIVATE_CREATOR)
        [item] = block[0x01].value
        assert item.ReferencedSOPInstanceUID == UIDS[uid]
        assert item.SeriesInstanceUID == UIDS[references.CT_SERIES]
        assert block[0x02].value.rstrip(b"\0").decode() == uid


def test_the_patient_in_a_sequence_is_updated_and_other_ids_stay(after: dict[str, bytes]) -> None:
    same, other = dataset(after["ct/1.dcm"]).OtherPatientIDsSequence

    assert (same.PatientID, other.PatientID) == (PATIENT_ID, "ELSEWHERE-1")


def test_other_programs_accept_the_new_files_as_they_did_the_old_ones(
    before: dict[str, bytes], after: dict[str, bytes], tmp_path: Path
) -> None:
    old_paths = _write(tmp_path / "old", before)
    new_paths = _write(tmp_path / "new", after)

    assert dcmftest_refuses(new_paths) == []
    for old_path, new_path in zip(old_paths, new_paths, strict=True):
        assert error_lines(new_path) - error_lines(old_path) == {}, new_path.name


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir()
    paths = []
    for name, data in sorted(files.items()):
        path = folder / name.replace("/", "-")
        path.write_bytes(data)
        paths.append(path)
    return paths
