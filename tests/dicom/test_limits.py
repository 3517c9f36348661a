"""Limits of a file's elements, nesting and memory, and special cases of padding, UIDs and character sets."""

import pytest

from orthancproxy.dicom import element_parser
from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.sources import InMemory
from orthancproxy.errors import LimitExceeded, UnreadableDicom
from tests.corpus import instance
from tests.dicom.encoding import EXPLICIT, part10
from tests.dicom.rewriting import NEW_STUDY, dataset, reread, result

OLD_STUDY = "1.2.826.0.1.3680043.8.498.5"


@pytest.mark.parametrize("zeros", [*range(21), 100, 4096, 100_001])
def test_trailing_zeros_are_padding(zeros: int) -> None:
    data = instance()
    padded = result(data + bytes(zeros)).payload
    assert bytes(padded) == bytes(result(data).payload)


@pytest.mark.parametrize("end", [b"\1", bytes(8) + b"\1", bytes(100) + b"x" * 20, bytes(7) + b"\1"])
def test_other_trailing_bytes_are_rejected(end: bytes) -> None:
    with pytest.raises(UnreadableDicom):
        read(InMemory(instance() + end))


def test_a_data_set_has_at_most_ten_thousand_elements() -> None:
    count = element_parser.MAX_ELEMENTS_PER_DATA_SET + 1
    private = {0x00090010: EXPLICIT.element(0x00090010, "LO", b"ACME")}
    private |= {
        0x00091000 + number % 0xF000 + (number // 0xF000 << 17): EXPLICIT.element(
            0x00091000 + number % 0xF000 + (number // 0xF000 << 17), "LO", b""
        )
        for number in range(count)
    }
    with pytest.raises(LimitExceeded):
        read(InMemory(part10(EXPLICIT.dataset(private))))


@pytest.mark.parametrize("length", [5_000, 1_000_000])
def test_an_overlong_character_set_is_rejected(length: int) -> None:
    data = part10(EXPLICIT.dataset({0x00080005: EXPLICIT.element(0x00080005, "UC", b"\\" * length)}))
    with pytest.raises(UnreadableDicom):
        read(InMemory(data))


def test_a_frame_of_reference_keeps_its_uid_though_a_study_has_the_same() -> None:
    frame = EXPLICIT.element(0x30060024, "UI", OLD_STUDY.encode() + b"\0")
    sequence = EXPLICIT.items(0x30060010, "SQ", EXPLICIT.item(frame), defined=True)
    data = part10(EXPLICIT.dataset({0x30060010: sequence}))
    [item] = reread(data, uids={OLD_STUDY: NEW_STUDY}).ReferencedFrameOfReferenceSequence
    assert item.ReferencedFrameOfReferenceUID == OLD_STUDY


def test_a_study_and_a_series_with_one_uid_are_distinguished() -> None:
    uid = OLD_STUDY.encode() + b"\0"
    references = EXPLICIT.element(0x0020000D, "UI", uid) + EXPLICIT.element(0x0020000E, "UI", uid)
    sequence = EXPLICIT.items(0x00081115, "SQ", EXPLICIT.item(references), defined=True)
    data = part10(EXPLICIT.dataset({0x00081115: sequence}))
    new = reread(data, uids={OLD_STUDY: "1.2.3"}, old_study_uids=frozenset({OLD_STUDY}))
    [item] = new.ReferencedSeriesSequence
    assert (item.StudyInstanceUID, item.SeriesInstanceUID) == (NEW_STUDY, "1.2.3")


@pytest.mark.parametrize(("name", "is_known"), [("ISO_IR 999", False), ("192", True), ("UTF-8", True)])
def test_text_in_an_unknown_character_set_is_reported(name: str, *, is_known: bool) -> None:
    changed = {
        0x00080005: EXPLICIT.element(0x00080005, "CS", name.encode().ljust(len(name) + len(name) % 2)),
        0x00080080: EXPLICIT.element(0x00080080, "LO", "서울".encode()),
    }
    rewritten = result(part10(EXPLICIT.dataset(changed)))
    assert rewritten.text_guessed == (not is_known)
    assert dataset(bytes(rewritten.payload)).InstitutionName == "서울"


@pytest.mark.parametrize(("megabytes", "is_rejected"), [(3, False), (5, True)])
def test_text_with_an_escape_sequence_has_at_most_four_megabytes(megabytes: int, is_rejected: bool) -> None:
    text = b"\x1b$B0!\x1b(B" + b"a" * (megabytes * 1024**2)
    data = part10(
        EXPLICIT.dataset(
            {
                0x00080005: EXPLICIT.element(0x00080005, "CS", b"\\ISO 2022 IR 87 "),
                0x00204000: EXPLICIT.element(0x00204000, "UT", text),
            }
        )
    )
    if is_rejected:
        with pytest.raises(LimitExceeded, match="escape sequences"):
            result(data)
    else:
        assert len(reread(data).ImageComments) == megabytes * 1024**2 + 1
