"""Rewriting replaces the attributes of the contract, and nothing else."""

import struct

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import (
    MPEG4HP41,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import rewrite
from orthancproxy.dicom.sources import InMemory
from tests.corpus import instance
from tests.dicom.comparison import Expected, differences
from tests.dicom.encoding import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    INSTANCE,
    SERIES,
    STUDY,
    ElementEncoder,
    deflated,
    encoding_of,
    part10,
    sop_reference,
    ui,
)
from tests.dicom.rewriting import (
    NEW_INSTANCE,
    NEW_SERIES,
    NEW_STUDY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DESCRIPTION,
    dataset,
    reread,
    result,
    rewritten,
    target,
)

NATIVE = {
    "implicit little endian": (ImplicitVRLittleEndian, IMPLICIT),
    "explicit little endian": (ExplicitVRLittleEndian, EXPLICIT),
    "explicit big endian": (ExplicitVRBigEndian, BIG_ENDIAN),
}
ENCAPSULATED = {
    "JPEG": JPEGBaseline8Bit,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "HTJ2K": HTJ2KLossless,
    "MPEG-4": MPEG4HP41,
    "RLE": RLELossless,
}

OLD_UID = "1.2.826.0.1.3680043.8.498.5.5"
NEW_UID = "1.2.826.0.1.3680043.8.498.6.66"
OTHER_UID = "1.2.826.0.1.3680043.8.498.4.4"
UIDS = {OLD_UID: NEW_UID, STUDY: NEW_STUDY, SERIES: NEW_SERIES, INSTANCE: NEW_INSTANCE}

native = pytest.mark.parametrize(("transfer_syntax", "encoding"), NATIVE.values(), ids=NATIVE)
sequence_lengths = pytest.mark.parametrize("defined", [True, False], ids=["defined lengths", "delimiters"])


def ordered(file: FileDataset) -> bool:
    """Whether tags are in ascending order at every depth."""
    tags = list(file.keys())
    items = [item for element in file if element.VR == "SQ" for item in element.value]
    return tags == sorted(tags) and all(ordered(item) for item in items)


@native
def test_the_patient_the_study_the_series_and_the_instance_are_the_new_ones(
    transfer_syntax: str, encoding: ElementEncoder
) -> None:
    new = reread(part10(encoding.dataset(), transfer_syntax))

    assert new.PatientID == PATIENT_ID
    assert str(new.PatientName) == PATIENT_NAME
    assert new.StudyInstanceUID == NEW_STUDY
    assert new.SeriesInstanceUID == NEW_SERIES
    assert new.SOPInstanceUID == NEW_INSTANCE
    assert new.StudyDescription == STUDY_DESCRIPTION
    assert new.SpecificCharacterSet == "ISO_IR 192"


@native
def test_missing_elements_are_added_in_order(transfer_syntax: str, encoding: ElementEncoder) -> None:
    tags = (0x00081030, 0x00100010, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018, 0x00080020, 0x00080030)
    data = part10(encoding.dataset(dict.fromkeys(tags)), transfer_syntax)

    file = read(InMemory(data))
    new = reread(data)

    assert (file.study_instance_uid, file.series_instance_uid, file.sop_instance_uid) == ("", "", "")
    assert (new.PatientID, new.StudyDescription) == (PATIENT_ID, STUDY_DESCRIPTION)
    assert (new.StudyInstanceUID, new.SeriesInstanceUID, new.SOPInstanceUID) == (NEW_STUDY, NEW_SERIES, NEW_INSTANCE)
    assert (new.StudyDate, new.StudyTime[:6]) == ("20260304", "050607")
    assert ordered(new)


def test_the_identity_of_a_file_is_parsed() -> None:
    file = read(InMemory(part10(EXPLICIT.dataset())))

    assert file.study_instance_uid == STUDY
    assert file.series_instance_uid == SERIES
    assert file.sop_instance_uid == INSTANCE
    assert file.sop_class_uid == CTImageStorage
    assert file.transfer_syntax_uid == ExplicitVRLittleEndian
    assert file.text(0x00081030) == "Old description"


def test_a_study_date_and_time_that_are_there_stay() -> None:
    new = reread(part10(EXPLICIT.dataset()))

    assert (new.StudyDate, new.StudyTime) == ("20200102", "030405")


@pytest.mark.parametrize("value", [None, b"", b"  ", b"\0\0"], ids=["missing", "empty", "spaces", "NULs"])
def test_a_study_date_and_time_without_value_are_those_of_the_upload(value: bytes | None) -> None:
    elements = {
        0x00080020: None if value is None else EXPLICIT.element(0x00080020, "DA", value),
        0x00080030: None if value is None else EXPLICIT.element(0x00080030, "TM", value),
    }

    new = reread(part10(EXPLICIT.dataset(elements)))

    assert (new.StudyDate, new.StudyTime[:6]) == ("20260304", "050607")


def test_a_missing_study_time_does_not_change_the_study_date() -> None:
    new = reread(part10(EXPLICIT.dataset({0x00080030: None})), study_date="20311230", study_time="010203")

    assert (new.StudyDate, new.StudyTime) == ("20200102", "010203")


@native
def test_everything_else_stays(transfer_syntax: str, encoding: ElementEncoder) -> None:
    data = part10(encoding.dataset(), transfer_syntax)

    new = reread(data)

    expected = Expected({}, "OLD-ID", PATIENT_ID, "Old^Name", PATIENT_NAME)
    assert differences(dataset(data), new, expected) == []
    assert len(new) == len(dataset(data)) + 1  # SpecificCharacterSet


@native
@sequence_lengths
def test_uids_of_the_upload_are_replaced_at_any_depth(
    transfer_syntax: str, encoding: ElementEncoder, *, defined: bool
) -> None:
    inner = sop_reference(encoding, OLD_UID)
    data = part10(
        encoding.dataset({0x00081140: encoding.nested(20, inner, defined=defined)}),
        transfer_syntax,
    )

    item = reread(data, uids=UIDS)
    for _ in range(20):
        [item] = item.ReferencedImageSequence

    assert item.ReferencedSOPInstanceUID == NEW_UID
    assert item.ReferencedSOPClassUID == CTImageStorage


@native
@sequence_lengths
def test_each_uid_of_a_multi_valued_element_is_replaced(
    transfer_syntax: str, encoding: ElementEncoder, *, defined: bool
) -> None:
    uids = encoding.element(0x00080058, "UI", ui(OTHER_UID, OLD_UID, CTImageStorage, OLD_UID))
    data = part10(
        encoding.dataset({0x00081199: encoding.sequence(0x00081199, uids, uids, defined=defined)}), transfer_syntax
    )

    new = reread(data, uids=UIDS)

    lists = [list(item.FailedSOPInstanceUIDList) for item in new.ReferencedSOPSequence]
    assert lists == [[OTHER_UID, NEW_UID, CTImageStorage, NEW_UID]] * 2


def test_each_uid_of_a_very_long_list_is_replaced() -> None:
    # 120 KB, which implicit VR allows
    uids = IMPLICIT.element(0x00080058, "UI", ui(*[OLD_UID, OTHER_UID] * 2_000))
    data = part10(IMPLICIT.dataset({0x00081199: IMPLICIT.sequence(0x00081199, uids)}), ImplicitVRLittleEndian)

    [item] = reread(data, uids=UIDS).ReferencedSOPSequence

    assert list(item.FailedSOPInstanceUIDList) == [NEW_UID, OTHER_UID] * 2_000


@sequence_lengths
def test_uids_within_private_sequences_are_replaced(*, defined: bool) -> None:
    private = EXPLICIT.element(0x00090010, "LO", b"GATEWAY TESTS") + EXPLICIT.sequence(
        0x00091001, sop_reference(EXPLICIT, OLD_UID), defined=defined
    )

    new = reread(part10(EXPLICIT.dataset({0x00090010: private})), uids=UIDS)

    [item] = new[0x00091001].value
    assert item.ReferencedSOPInstanceUID == NEW_UID


def test_uids_within_private_sequences_of_implicit_vr_are_replaced() -> None:
    private = IMPLICIT.element(0x00090010, "LO", b"GATEWAY TESTS") + IMPLICIT.sequence(
        0x00091001, sop_reference(IMPLICIT, OLD_UID), defined=False
    )

    payload = rewritten(part10(IMPLICIT.dataset({0x00090010: private}), ImplicitVRLittleEndian), uids=UIDS)

    assert OLD_UID.encode() not in payload
    assert NEW_UID.encode() in payload


@pytest.mark.parametrize("tag", [0x00081140, 0x00091001], ids=["public", "private"])
def test_uids_within_a_sequence_of_unknown_vr_and_undefined_length_are_replaced(tag: int) -> None:
    # PS3.5 section 6.2.2: what is within is implicit VR little endian
    sequence = EXPLICIT.items(tag, "UN", IMPLICIT.item(sop_reference(IMPLICIT, OLD_UID), defined=False), defined=False)
    elements = {0x00090010: EXPLICIT.element(0x00090010, "LO", b"GATEWAY TESTS"), tag: sequence}

    [item] = reread(part10(EXPLICIT.dataset(elements)), uids=UIDS)[tag].value

    assert item.ReferencedSOPInstanceUID == NEW_UID


def test_uids_within_a_sequence_whose_vr_was_lost_are_replaced() -> None:
    # PS3.5 section 6.2.2: the value of a UN is that of implicit VR little endian, and pydicom reads it as one
    value = IMPLICIT.item(sop_reference(IMPLICIT, OLD_UID))
    data = part10(EXPLICIT.dataset({0x00081140: EXPLICIT.element(0x00081140, "UN", value)}))
    assert dataset(data).ReferencedImageSequence[0].ReferencedSOPInstanceUID == OLD_UID

    [item] = reread(data, uids=UIDS).ReferencedImageSequence

    assert item.ReferencedSOPInstanceUID == NEW_UID


def test_a_uid_within_a_sequence_whose_vr_was_lost_is_replaced() -> None:
    reference = EXPLICIT.element(0x00081155, "UN", ui(OLD_UID) + b"\0")
    data = part10(EXPLICIT.dataset({0x00081140: EXPLICIT.sequence(0x00081140, reference)}))

    [item] = reread(data, uids=UIDS).ReferencedImageSequence

    assert item.ReferencedSOPInstanceUID == NEW_UID


def test_a_private_value_of_unknown_kind_stays_byte_for_byte() -> None:
    value = EXPLICIT.item(sop_reference(EXPLICIT, OLD_UID))
    private = EXPLICIT.element(0x00090010, "LO", b"GATEWAY TESTS") + EXPLICIT.element(0x00091001, "UN", value)

    new = rewritten(part10(EXPLICIT.dataset({0x00090010: private})), uids=UIDS)

    assert EXPLICIT.element(0x00091001, "UN", value) in new


def test_uids_elsewhere_and_of_the_standard_stay() -> None:
    reference = sop_reference(EXPLICIT, OTHER_UID)
    data = part10(EXPLICIT.dataset({0x00081140: EXPLICIT.sequence(0x00081140, reference)}))

    new = result(data, uids=UIDS)

    [item] = dataset(bytes(new.payload)).ReferencedImageSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (CTImageStorage, OTHER_UID)
    assert new.unresolved == {OTHER_UID}


def test_a_uid_that_begins_like_one_of_the_upload_stays() -> None:
    longer = f"{OLD_UID}.1"
    data = part10(EXPLICIT.dataset({0x00081140: EXPLICIT.sequence(0x00081140, sop_reference(EXPLICIT, longer))}))

    [item] = reread(data, uids=UIDS).ReferencedImageSequence

    assert item.ReferencedSOPInstanceUID == longer


def test_a_file_without_references_leaves_nothing_unresolved() -> None:
    assert result(part10(EXPLICIT.dataset()), uids=UIDS).unresolved == frozenset()


@pytest.mark.parametrize("padding", [b"\0", b" "], ids=["NUL", "space"])
def test_a_uid_is_recognised_with_any_padding(padding: bytes) -> None:
    odd = "1.2.826.0.1.3680043.8.498.5.5"
    assert len(odd) % 2
    reference = EXPLICIT.element(0x00081155, "UI", odd.encode() + padding)
    data = part10(EXPLICIT.dataset({0x00081140: EXPLICIT.sequence(0x00081140, reference)}))

    [item] = reread(data, uids={odd: NEW_UID}).ReferencedImageSequence

    assert item.ReferencedSOPInstanceUID == NEW_UID


@native
@sequence_lengths
def test_the_patient_within_sequences_is_updated_if_it_is_the_same(
    transfer_syntax: str, encoding: ElementEncoder, *, defined: bool
) -> None:
    same = encoding.element(0x00100010, "PN", b"Old^Name") + encoding.element(0x00100020, "LO", b"OLD-ID")
    other = encoding.element(0x00100010, "PN", b"Other^Name") + encoding.element(0x00100020, "LO", b"OTHER-ID")
    empty = encoding.element(0x00100010, "PN", b"") + encoding.element(0x00100020, "LO", b"")
    outer = encoding.sequence(0x00101002, same, other, empty, defined=defined)
    data = part10(
        encoding.dataset({0x00081140: encoding.sequence(0x00081140, outer, defined=defined)}), transfer_syntax
    )

    items = reread(data).ReferencedImageSequence[0].OtherPatientIDsSequence

    assert [item.PatientID or "" for item in items] == [PATIENT_ID, "OTHER-ID", ""]
    assert [str(item.PatientName) for item in items] == [PATIENT_NAME, "Other^Name", ""]


def test_empty_patients_within_sequences_stay_empty_when_the_file_has_none() -> None:
    empty = EXPLICIT.element(0x00100010, "PN", b"") + EXPLICIT.element(0x00100020, "LO", b"")
    elements = {
        0x00100010: EXPLICIT.element(0x00100010, "PN", b""),
        0x00100020: None,
        0x00101002: EXPLICIT.sequence(0x00101002, empty),
    }

    new = reread(part10(EXPLICIT.dataset(elements)))

    [item] = new.OtherPatientIDsSequence
    assert (new.PatientID, str(new.PatientName)) == (PATIENT_ID, PATIENT_NAME)
    assert (item.PatientID or "", str(item.PatientName or "")) == ("", "")


@native
def test_the_file_meta_information_agrees_with_the_data_set(transfer_syntax: str, encoding: ElementEncoder) -> None:
    data = part10(encoding.dataset(), transfer_syntax, sop_class="1.2.3", sop_instance="1.2.3.4")

    payload = rewritten(data)
    meta = dataset(payload).file_meta

    assert meta.MediaStorageSOPClassUID == CTImageStorage
    assert meta.MediaStorageSOPInstanceUID == NEW_INSTANCE
    assert meta.TransferSyntaxUID == transfer_syntax
    assert meta.ImplementationClassUID != "1.2.3.4.5"
    assert "OLD_VERSION" not in str(meta)
    # (0002,0000) says where the data set begins
    [length] = struct.unpack("<L", payload[140:144])
    assert meta.FileMetaInformationGroupLength == length
    assert payload[144 + length : 148 + length] == encoding.header(0x00080005, "CS", 10)[:4]


def test_the_preamble_is_empty() -> None:
    payload = rewritten(part10(EXPLICIT.dataset()))

    assert payload[:132] == bytes(128) + b"DICM"


@native
def test_group_lengths_are_dropped_and_elements_ascend(transfer_syntax: str, encoding: ElementEncoder) -> None:
    length = struct.pack(">L" if encoding.big_endian else "<L", 4711)
    item = encoding.element(0x00080000, "UL", length) + sop_reference(encoding, OTHER_UID)
    elements = {
        tag: encoding.element(tag, "UL", length) for tag in (0x00080000, 0x00090000, 0x00100000, 0x7FE00000)
    } | {0x00081140: encoding.sequence(0x00081140, item)}

    new = reread(part10(encoding.dataset(elements), transfer_syntax))

    assert [tag for tag in new.keys() if tag.element == 0] == []  # noqa: SIM118  iterating gives elements
    assert [element.tag for element in new.ReferencedImageSequence[0]] == [0x00081150, 0x00081155]
    assert ordered(new)


def test_elements_that_were_out_of_order_ascend() -> None:
    late = EXPLICIT.element(0x00080070, "LO", b"ACME")
    data = part10(EXPLICIT.dataset() + late)

    payload = rewritten(data)

    assert dataset(payload).Manufacturer == "ACME"
    assert ordered(dataset(payload))
    assert payload.index(late) < payload.index(EXPLICIT.header(0x0020000D, "UI", 0)[:6])


@native
@pytest.mark.parametrize(
    ("tag", "vr"),
    [(0x7FE00010, "OW"), (0x7FE00008, "OF"), (0x7FE00009, "OD")],
    ids=["PixelData", "FloatPixelData", "DoubleFloatPixelData"],
)
def test_native_pixel_data_are_the_same_bytes(
    transfer_syntax: str, encoding: ElementEncoder, tag: int, vr: str
) -> None:
    pixels = bytes(range(256)) * 600 + encoding.header(0xFFFEE0DD, "", 0)
    element = encoding.element(tag, vr, pixels)
    data = part10(encoding.dataset({0x7FE00010: None} | {tag: element}), transfer_syntax)

    assert rewritten(data).endswith(element)


@pytest.mark.parametrize("transfer_syntax", ENCAPSULATED.values(), ids=ENCAPSULATED)
def test_encapsulated_pixel_data_are_the_same_bytes(transfer_syntax: str) -> None:
    # a fragment may hold what looks like the end of the sequence
    end = EXPLICIT.header(0xFFFEE0DD, "", 0)
    fragments = (bytes(range(256)) * 300, b"\xff\xd8" + end + b"\xff\xd9", b"", end + EXPLICIT.dataset())
    pixels = EXPLICIT.encapsulated(*fragments)

    payload = rewritten(part10(EXPLICIT.dataset({0x7FE00010: pixels}), transfer_syntax))

    assert payload.endswith(pixels)
    assert dataset(payload).file_meta.TransferSyntaxUID == transfer_syntax


@native
@sequence_lengths
def test_sequences_without_items_and_items_without_elements_stay(
    transfer_syntax: str, encoding: ElementEncoder, *, defined: bool
) -> None:
    elements = {
        0x00081110: encoding.sequence(0x00081110, defined=defined),
        0x00081140: encoding.sequence(0x00081140, b"", b"", encoding.us(0x00280010, 3), defined=defined),
    }

    new = reread(part10(encoding.dataset(elements), transfer_syntax))

    assert list(new.ReferencedStudySequence) == []
    assert [len(item) for item in new.ReferencedImageSequence] == [0, 0, 1]
    assert new.ReferencedImageSequence[2].Rows == 3


def test_a_payload_can_be_made_for_several_targets() -> None:
    file = read(InMemory(part10(EXPLICIT.dataset())))

    first = bytes(rewrite(file, target(patient_id="A")).payload)
    second = bytes(rewrite(file, target(patient_id="B")).payload)

    assert (dataset(first).PatientID, dataset(second).PatientID) == ("A", "B")
    assert (file.study_instance_uid, file.sop_instance_uid) == (STUDY, INSTANCE)


def test_elements_after_pixel_data_stay() -> None:
    padding = EXPLICIT.element(0xFFFCFFFC, "OB", bytes(64))
    pixels = EXPLICIT.encapsulated(b"\xff\xd8" * 100)
    elements = {0x7FE00010: pixels, 0xFFFCFFFC: padding}

    payload = rewritten(part10(EXPLICIT.dataset(elements), JPEGBaseline8Bit))

    assert payload.endswith(pixels + padding)


def test_the_pixels_of_icons_within_sequences_are_the_same_bytes() -> None:
    native_icon = EXPLICIT.element(0x7FE00010, "OW", b"\x01\x02" * 64)
    encapsulated_icon = EXPLICIT.encapsulated(b"\xff\xd8\x01\x02", EXPLICIT.header(0xFFFEE0DD, "", 0))
    elements = {
        0x00880200: EXPLICIT.sequence(0x00880200, native_icon, encapsulated_icon, defined=False),
        0x7FE00010: EXPLICIT.encapsulated(b"\xff\xd8\xff\xd9"),
    }

    payload = rewritten(part10(EXPLICIT.dataset(elements), JPEGBaseline8Bit))

    first, second = dataset(payload).IconImageSequence
    assert first.PixelData == b"\x01\x02" * 64
    assert encapsulated_icon.startswith(EXPLICIT.header(0x7FE00010, "OB", 0xFFFFFFFF) + second.PixelData)
    assert native_icon in payload
    assert encapsulated_icon in payload


def test_a_deflated_file_stays_deflated_and_has_the_same_pixels() -> None:
    pixels = bytes(range(256)) * 64
    data = deflated(EXPLICIT.dataset({0x7FE00010: EXPLICIT.element(0x7FE00010, "OW", pixels)}))

    payload = rewritten(data)
    new = dataset(payload)

    assert new.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert (new.PatientID, new.PixelData) == (PATIENT_ID, pixels)
    assert PATIENT_ID.encode() not in payload
    assert len(payload) % 2 == 0


@native
def test_private_elements_stay_byte_for_byte(transfer_syntax: str, encoding: ElementEncoder) -> None:
    private = (
        encoding.element(0x00090010, "LO", b"GATEWAY TESTS")
        + encoding.element(0x00091001, "UN", bytes(range(256)))
        + encoding.element(0x00091002, "OB", b"\x00\xff" * 8)
        + encoding.element(0x00091003, "DS", b"1.50 \\ 2.250")
        + encoding.element(0x00091004, "UI", ui(OLD_UID))
    )
    group = encoding.element(0x00090011, "LO", b"SECOND CREATOR")
    # 0009,0011 comes between the creator and its elements
    first, rest = (
        private[: len(private) - len(private.split(b"GATEWAY TESTS ")[1])],
        private.split(b"GATEWAY TESTS ")[1],
    )

    payload = rewritten(part10(encoding.dataset({0x00090010: first + group + rest}), transfer_syntax), uids=UIDS)

    assert first + group + rest in payload


@pytest.mark.parametrize("encoding", [EXPLICIT, BIG_ENDIAN], ids=["little endian", "big endian"])
def test_values_are_not_normalised(encoding: ElementEncoder) -> None:
    syntax = ExplicitVRBigEndian if encoding.big_endian else ExplicitVRLittleEndian
    oddities = {
        0x00080022: encoding.element(0x00080022, "DA", b"2020.01.02"),
        0x00180050: encoding.element(0x00180050, "DS", b" 01.500000000000000000 "),
        0x00200013: encoding.element(0x00200013, "IS", b"+007"),
        0x00280030: encoding.element(0x00280030, "DS", b"abc\\0.50"),
        0x00281050: encoding.element(0x00281050, "DS", b"\\\\"),
    }

    payload = rewritten(part10(encoding.dataset(oddities), syntax))

    for element in oddities.values():
        assert element in payload


def test_the_payload_can_be_iterated_over_repeatedly() -> None:
    pixels = bytes(range(256)) * 20_000
    payload = result(part10(EXPLICIT.dataset({0x7FE00010: EXPLICIT.element(0x7FE00010, "OW", pixels)}))).payload

    assert b"".join(payload) == b"".join(payload) == bytes(payload)
    assert len(payload) == len(bytes(payload))
    assert bytes(payload).endswith(pixels)


def test_rewriting_twice_gives_the_same_file() -> None:
    data = part10(EXPLICIT.dataset({0x00081140: EXPLICIT.sequence(0x00081140, sop_reference(EXPLICIT, OLD_UID))}))

    once = rewritten(data, uids=UIDS)

    assert rewritten(data, uids=UIDS) == once
    assert rewritten(once, uids=UIDS) == once


def test_the_slices_of_other_tests_come_through_unchanged() -> None:
    data = instance()
    old = dataset(data)

    new = reread(data)

    expected = Expected({}, old.PatientID, PATIENT_ID, str(old.PatientName), PATIENT_NAME)
    assert differences(old, new, expected) == []
    assert new.PixelData == bytes(range(128))


@pytest.mark.parametrize("transfer_syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_signed_and_unsigned_numbers_stay_in_each_byte_order(transfer_syntax: str) -> None:
    encoding = encoding_of(transfer_syntax)
    order = ">" if encoding.big_endian else "<"
    value = struct.pack(f"{order}h", -1024)
    elements = {
        0x00280106: encoding.element(0x00280106, "SS", value),
        0x00280103: encoding.us(0x00280103, 1),
        0x00189087: encoding.element(0x00189087, "FD", struct.pack(f"{order}d", -1.5)),
    }

    new = reread(part10(encoding.dataset(elements), transfer_syntax))

    assert new.SmallestImagePixelValue == -1024
    assert new.DiffusionBValue == -1.5
