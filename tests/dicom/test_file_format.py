"""Files that are not DICOM, malformed or hostile are rejected with InvalidDicom or LimitExceeded."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

import pytest
from pydicom import data as pydicom_data
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MediaStorageDirectoryStorage,
)

from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import rewrite
from orthancproxy.dicom.sources import FileRange, InMemory
from orthancproxy.errors import EmptyFile, InvalidDicom, LimitExceeded, NotDicom, UnreadableDicom, UnsafeDicom
from tests.corpus import instance
from tests.dicom.encoding import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    ITEM_DELIMITATION,
    STUDY,
    UNDEFINED,
    ElementEncoder,
    deflate,
    deflated,
    deflated_bomb,
    part10,
    sop_reference,
)
from tests.dicom.rewriting import PATIENT_ID, dataset, reread, rewritten, target

MEGABYTE = 1 << 20

DICOMDIRS = sorted((Path(pydicom_data.__file__).parent / "test_files").glob("**/DICOMDIR*"))

NATIVE = {
    "implicit little endian": (ImplicitVRLittleEndian, IMPLICIT),
    "explicit little endian": (ExplicitVRLittleEndian, EXPLICIT),
    "explicit big endian": (ExplicitVRBigEndian, BIG_ENDIAN),
}

native = pytest.mark.parametrize(("transfer_syntax", "encoding"), NATIVE.values(), ids=NATIVE)
sequence_lengths = pytest.mark.parametrize("defined", [True, False], ids=["defined lengths", "delimiters"])


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.dcm", part10(EXPLICIT.dataset()))
    return file.getvalue()


NO_DICOM = {
    "one byte": b"D",
    "text": b"This is a long text about DICM.\n" * 20,
    "ZIP": _zip(),
    "HTML": b"<!doctype html><html><body>DICM</body></html>".ljust(400),
    "JSON": b'{"DICM": [1, 2, 3]}'.ljust(400),
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF".ljust(400, b"\0"),
    "no more than a preamble": bytes(128),
    "three bytes of the prefix": bytes(128) + b"DIC",
    "the prefix in lower case": bytes(128) + b"dicm" + bytes(100),
    "a preamble that is too short": b"\0" * 127 + b"DICM" + EXPLICIT.dataset(),
    "zeros": bytes(10_000),
}


@pytest.mark.parametrize(
    ("data", "transfer_syntax"),
    [
        (EXPLICIT.dataset(), ExplicitVRLittleEndian),
        (IMPLICIT.dataset(), ImplicitVRLittleEndian),
        (EXPLICIT.element(0x00080000, "UL", b"\1\1\0\0") + EXPLICIT.dataset(), ExplicitVRLittleEndian),
        (IMPLICIT.element(0x00080000, "UL", b"\1\1\0\0") + IMPLICIT.dataset(), ImplicitVRLittleEndian),
        (part10(BIG_ENDIAN.dataset(), ExplicitVRBigEndian)[132:], ExplicitVRBigEndian),
        (part10(IMPLICIT.dataset(), None)[132:], ImplicitVRLittleEndian),
        (BIG_ENDIAN.dataset(), ExplicitVRBigEndian),
        (part10(BIG_ENDIAN.dataset(), None), ExplicitVRBigEndian),
    ],
    ids=[
        *("explicit", "implicit", "explicit, group length", "implicit, group length", "big endian with meta", "meta"),
        *("big endian", "big endian without a transfer syntax"),
    ],
)
def test_a_data_set_without_preamble_is_read(data: bytes, transfer_syntax: str) -> None:
    new = reread(data)

    assert new.file_meta.TransferSyntaxUID == transfer_syntax
    assert (new.Modality, new.Rows, new.StudyDate) == ("CT", 2, "20200102")


@pytest.mark.parametrize(
    "data", [b"\b\0", EXPLICIT.dataset()[:300], b"\b\0\x05\0CS" + b"\xff" * 100, b"\2\0\1\0" + b"OB" + bytes(90)]
)
def test_what_only_begins_like_a_data_set_is_rejected(data: bytes) -> None:
    with pytest.raises(InvalidDicom):
        read(InMemory(data))


def test_compressed_pixels_without_meta_information_are_rejected() -> None:
    pixels = EXPLICIT.encapsulated(b"\xff\xd8\xff\xd9")

    with pytest.raises(UnreadableDicom, match="compressed"):
        read(InMemory(EXPLICIT.dataset({0x7FE00010: pixels})))


@pytest.mark.parametrize("encoder", [EXPLICIT, IMPLICIT])
def test_a_dicomdir_without_meta_information_is_recognised(encoder: ElementEncoder) -> None:
    records = encoder.sequence(0x00041220, encoder.element(0x00041430, "CS", b"PATIENT"))
    directory = encoder.element(0x00041130, "CS", b"DISK") + records

    for data in (directory, bytes(128) + b"DICM" + directory):
        with pytest.raises(NotDicom, match="DICOMDIR"):
            read(InMemory(data))


@pytest.mark.parametrize(
    ("encoder", "transfer_syntax"),
    [(EXPLICIT, ExplicitVRLittleEndian), (IMPLICIT, ImplicitVRLittleEndian), (EXPLICIT, JPEG2000Lossless)],
)
@pytest.mark.parametrize("second", [ExplicitVRBigEndian, ImplicitVRLittleEndian, "1.2.840.10008.1.2.4.50"])
def test_a_second_meta_information_is_dropped(encoder: ElementEncoder, transfer_syntax: str, second: str) -> None:
    meta = part10(b"", second)[132:]

    new = rewritten(part10(meta + encoder.dataset(), transfer_syntax))

    assert read(InMemory(new)).elements.keys() == read(InMemory(rewritten(part10(EXPLICIT.dataset())))).elements.keys()
    assert new.count(b"\2\0\x10\0UI") == 1
    assert new.count(second.encode() + b"\0") == (transfer_syntax == second)
    assert dataset(new).Rows == 2


@pytest.mark.parametrize("vr", ["  ", "??", "lo", "--", "1a"])
def test_an_element_of_blank_vr_has_a_length_of_two_bytes(vr: str) -> None:
    unnamed = EXPLICIT.element(0x00180015, vr, b"HEAD")
    if not vr.strip(" ?"):
        unnamed += EXPLICIT.element(0x00180016, vr, b"")

    new = rewritten(part10(EXPLICIT.dataset({0x00180015: unnamed})))

    assert EXPLICIT.element(0x00180015, "CS", b"HEAD") in new
    assert dataset(new).Modality == "CT"


@pytest.mark.parametrize("vr", ["XX", "OX"])
@pytest.mark.parametrize("value", [b"", b"value ", bytes(70_000)], ids=len)
def test_an_element_of_a_vr_of_the_future_has_a_length_of_four_bytes(vr: str, value: bytes) -> None:
    unknown = EXPLICIT.element(0x00189999, "UN", value).replace(b"UN", vr.encode(), 1)

    new = read(InMemory(rewritten(part10(EXPLICIT.dataset({0x00189999: unknown}))))).elements

    assert new.keys() == read(InMemory(part10(EXPLICIT.dataset()))).elements.keys() | {0x00080005, 0x00189999}
    assert getattr(new[0x00189999].value, "length", None) == (len(value) if len(value) > 4096 else None)


@pytest.mark.parametrize("value", [b"", b"ab"])
def test_an_unknown_vr_with_a_length_of_two_bytes_is_read(value: bytes) -> None:
    unknown = EXPLICIT.element(0x00189999, "ZZ", value)

    new = read(InMemory(rewritten(part10(EXPLICIT.dataset({0x00189999: unknown}))))).elements

    assert new[0x00189999].value == value
    assert 0x00200000 | 0x000D in new


def test_an_item_with_a_length_can_have_a_delimiter_too() -> None:
    reference = sop_reference(EXPLICIT, "1.2.3") + EXPLICIT.header(ITEM_DELIMITATION, "", 0)
    sequence = EXPLICIT.sequence(0x00081140, reference, reference)

    new = reread(part10(EXPLICIT.dataset({0x00081140: sequence})), uids={"1.2.3": "1.2.4"})

    assert [item.ReferencedSOPInstanceUID for item in new.ReferencedImageSequence] == ["1.2.4"] * 2


def test_a_sequence_of_unknown_vr_in_a_big_endian_file_is_implicit_little_endian() -> None:
    inner = IMPLICIT.sequence(0x00081140, sop_reference(IMPLICIT, "1.2.3"), IMPLICIT.us(0x00280010, 258), defined=False)
    unknown = IMPLICIT.items(0x00081111, "UN", IMPLICIT.item(inner, defined=False), defined=False)
    unknown = BIG_ENDIAN.header(0x00081111, "UN", UNDEFINED) + unknown[8:]
    data = part10(BIG_ENDIAN.dataset({0x00081111: unknown}), ExplicitVRBigEndian)

    new = rewritten(data, uids={"1.2.3": "1.2.4"})

    assert IMPLICIT.element(0x00081155, "UI", b"1.2.4") in new
    assert IMPLICIT.us(0x00280010, 258) in new
    again = read(InMemory(new)).elements
    assert again.keys() == read(InMemory(data)).elements.keys() | {0x00080005}
    assert bytes(rewrite(read(InMemory(new)), target()).payload) == new


def test_an_empty_file_is_an_empty_file_error() -> None:
    with pytest.raises(EmptyFile):
        read(InMemory(b""))


@pytest.mark.parametrize("data", NO_DICOM.values(), ids=NO_DICOM)
def test_other_files_are_not_dicom_errors(data: bytes) -> None:
    with pytest.raises(NotDicom):
        read(InMemory(data))


@pytest.mark.parametrize("path", DICOMDIRS, ids=lambda path: path.name)
def test_a_dicomdir_is_rejected(path: Path) -> None:
    with pytest.raises(NotDicom, match="DICOMDIR"):
        read(InMemory(path.read_bytes()))


def test_a_dicomdir_is_recognised_by_its_meta_information() -> None:
    data = part10(EXPLICIT.dataset({0x00080016: None}), sop_class=MediaStorageDirectoryStorage)

    with pytest.raises(NotDicom, match="DICOMDIR"):
        read(InMemory(data))


def test_a_dicomdir_is_recognised_by_its_data_set() -> None:
    element = EXPLICIT.element(0x00080016, "UI", MediaStorageDirectoryStorage.encode())

    with pytest.raises(InvalidDicom):
        rewritten(part10(EXPLICIT.dataset({0x00080016: element})))


@pytest.mark.parametrize("kind", [EmptyFile, NotDicom, UnreadableDicom, UnsafeDicom])
def test_errors_of_a_file_are_errors_of_dicom(kind: type[Exception]) -> None:
    assert issubclass(kind, InvalidDicom)


@pytest.mark.parametrize("value", [None, b"", b"\0\0", b"CT Image"], ids=["missing", "empty", "NULs", "no UID"])
def test_a_file_without_a_valid_sop_class_uid_is_rejected(value: bytes | None) -> None:
    element = None if value is None else EXPLICIT.element(0x00080016, "UI", value)

    with pytest.raises(UnreadableDicom):
        read(InMemory(part10(EXPLICIT.dataset({0x00080016: element}))))


def _with_every_kind_of_element(encoding: ElementEncoder) -> list[bytes]:
    """Top-level elements. A file can end after any of them."""
    reference = sop_reference(encoding, "1.2.3.4")
    return [
        encoding.element(0x00080016, "UI", CTImageStorage.encode()),
        encoding.element(0x00080018, "UI", b"1.2.3"),
        encoding.sequence(0x00081140, reference, encoding.sequence(0x00081140, reference)),
        encoding.sequence(0x00081199, reference, encoding.sequence(0x00081140, b""), defined=False),
        encoding.element(0x00090010, "LO", b"GATEWAY TESTS"),
        encoding.element(0x00091001, "UN", b"\x01\x02\x03\x04"),
        encoding.element(0x0020000D, "UI", STUDY.encode()),
        encoding.us(0x00280010, 0x0102),
        encoding.element(0x0040A160, "UT", b"text"),
        encoding.element(0x7FE00010, "OW", b"\x01\x02\x03\x04"),
    ]


@native
def test_a_file_truncated_within_an_element_is_unreadable(transfer_syntax: str, encoding: ElementEncoder) -> None:
    elements = _with_every_kind_of_element(encoding)
    start = len(part10(b"", transfer_syntax))
    whole = part10(b"".join(elements), transfer_syntax)
    between = {start + len(b"".join(elements[:number])) for number in range(1, len(elements) + 1)}

    for end in range(133, len(whole)):
        if end in between or (end - 1 in between and whole[end - 1] == 0):
            # nothing tells that there was more; a zero may be padding
            assert read(InMemory(whole[:end])).sop_class_uid == CTImageStorage
        else:
            with pytest.raises(UnreadableDicom):
                read(InMemory(whole[:end]))


def test_a_truncated_deflated_file_is_unreadable() -> None:
    whole = deflated(EXPLICIT.dataset({0x7FE00010: EXPLICIT.element(0x7FE00010, "OW", bytes(range(256)) * 4)}))

    for end in range(133, len(whole) - 2):
        with pytest.raises(UnreadableDicom):
            read(InMemory(whole[:end]))


def test_truncated_encapsulated_pixel_data_are_unreadable() -> None:
    pixels = EXPLICIT.encapsulated(b"\xff\xd8\x01\x02", b"\x03\x04\xff\xd9")
    whole = part10(EXPLICIT.dataset({0x7FE00010: pixels}), JPEGBaseline8Bit)

    for end in range(len(whole) - len(pixels) + 1, len(whole)):
        with pytest.raises(UnreadableDicom):
            read(InMemory(whole[:end]))


@native
@pytest.mark.parametrize(
    ("tag", "vr"),
    [(0x00080070, "LO"), (0x00091001, "OB"), (0x00081140, "SQ"), (0x0040A160, "UT"), (0x7FE00010, "OW")],
)
@pytest.mark.parametrize("length", [1000, 0xFFFE, 0x7FFFFFFF, 0xFFFFFFFE, UNDEFINED])
def test_absurd_lengths_are_unreadable(
    transfer_syntax: str, encoding: ElementEncoder, tag: int, vr: str, length: int
) -> None:
    if vr == "LO" and not encoding.implicit:
        length = min(length, 0xFFFF)
    element = encoding.element(tag, vr, b"\x01\x02", length=length)

    with pytest.raises(UnreadableDicom):
        read(InMemory(part10(encoding.dataset({tag: element}), transfer_syntax)))


@native
@pytest.mark.parametrize("length", [3, 100, 0xFFFFFFFE])
def test_an_item_longer_than_its_sequence_is_unreadable(
    transfer_syntax: str, encoding: ElementEncoder, length: int
) -> None:
    item = encoding.header(0xFFFEE000, "", length) + b"\x01\x02"
    sequence = encoding.items(0x00081140, "SQ", item, defined=True)

    with pytest.raises(UnreadableDicom):
        read(InMemory(part10(encoding.dataset({0x00081140: sequence}), transfer_syntax)))


@pytest.mark.parametrize(
    "rest",
    [b"\xff" * 500, bytes(500), b"<html>" * 50, bytes(range(256)), b"\x02\x00"],
    ids=["ones", "zeros", "HTML", "bytes", "half a tag"],
)
def test_garbage_after_the_prefix_is_unreadable(rest: bytes) -> None:
    with pytest.raises(UnreadableDicom):
        read(InMemory(bytes(128) + b"DICM" + rest))


def test_a_sequence_without_items_is_unreadable() -> None:
    sequence = EXPLICIT.items(0x00081140, "SQ", EXPLICIT.us(0x00280010, 1), defined=True)

    with pytest.raises(UnreadableDicom):
        read(InMemory(part10(EXPLICIT.dataset({0x00081140: sequence}))))


def test_no_message_discloses_file_contents() -> None:
    data = part10(EXPLICIT.dataset({0x00100010: EXPLICIT.element(0x00100010, "PN", b"SECRET^NAME")}))
    messages = {message for end in range(133, len(data)) if (message := _refusal(data[:end]))}

    assert messages
    for message in messages:
        assert "SECRET" not in message
        assert message.endswith(".")
        assert "\n" not in message


def _refusal(data: bytes) -> str | None:
    try:
        read(InMemory(data))
    except InvalidDicom as error:
        return error.message
    return None


@native
@sequence_lengths
def test_twenty_levels_of_sequences_are_accepted(
    transfer_syntax: str, encoding: ElementEncoder, *, defined: bool
) -> None:
    nested = encoding.nested(20, encoding.us(0x00280010, 7), defined=defined)

    item = reread(part10(encoding.dataset({0x00081140: nested}), transfer_syntax))
    for _ in range(20):
        [item] = item.ReferencedImageSequence

    assert item.Rows == 7


@native
@sequence_lengths
@pytest.mark.parametrize("levels", [21, 100, 1_000, 10_000])
def test_deeper_nesting_is_unsafe(
    transfer_syntax: str, encoding: ElementEncoder, levels: int, *, defined: bool
) -> None:
    nested = encoding.nested(levels, defined=defined)

    with pytest.raises(UnsafeDicom):
        read(InMemory(part10(encoding.dataset({0x00081140: nested}), transfer_syntax)))


@pytest.mark.parametrize("levels", [21, 10_000])
def test_deep_nesting_is_unsafe_within_private_and_unknown_sequences_and_when_deflated(levels: int) -> None:
    creator = EXPLICIT.element(0x00090010, "LO", b"GATEWAY TESTS")
    private = EXPLICIT.nested(levels, defined=False, tag=0x00091001)
    private_implicit = IMPLICIT.nested(levels, defined=False, tag=0x00091001)
    unknown = EXPLICIT.items(0x00091001, "UN", IMPLICIT.item(private_implicit, defined=False), defined=False)
    files = (
        part10(EXPLICIT.dataset({0x00090010: creator, 0x00091001: private})),
        part10(IMPLICIT.dataset({0x00091001: private_implicit}), ImplicitVRLittleEndian),
        part10(EXPLICIT.dataset({0x00090010: creator, 0x00091001: unknown})),
        deflated(EXPLICIT.dataset({0x00081140: EXPLICIT.nested(levels, defined=True)})),
    )

    for data in files:
        with pytest.raises(UnsafeDicom):
            read(InMemory(data))


def _peak(action: Callable[[], object]) -> int:
    """The peak memory of an action, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tag", [0x00091001, 0x7FE00010], ids=["in the header", "in the pixels"])
def test_a_deflated_bomb_is_rejected_without_loading_it(tag: int) -> None:
    start = EXPLICIT.dataset({0x7FE00010: None}) + EXPLICIT.header(tag, "OB", 2000 * MEGABYTE)
    bomb = deflated_bomb(start, 2000)
    assert len(bomb) < 5 * MEGABYTE

    def refused() -> None:
        with pytest.raises(LimitExceeded):
            read(InMemory(bomb))

    assert _peak(refused) < 32 * MEGABYTE


def test_a_deflated_bomb_of_empty_items_is_rejected() -> None:
    items = EXPLICIT.item(b"") * 2_000_000
    data = EXPLICIT.dataset({0x00081140: EXPLICIT.items(0x00081140, "SQ", items, defined=True)})
    bomb = part10(deflate(data), DeflatedExplicitVRLittleEndian)
    assert len(bomb) < MEGABYTE

    def refused() -> None:
        with pytest.raises(LimitExceeded):
            read(InMemory(bomb))

    # the items themselves are 16 MB when inflated
    assert _peak(refused) < 100 * MEGABYTE


def test_too_many_elements_are_rejected() -> None:
    elements = (struct.pack("<HHL", 0x4000 + number // 0x8000 * 2, number % 0x8000, 0) for number in range(500_000))
    item = IMPLICIT.sequence(0x00081140, b"".join(elements))

    with pytest.raises(LimitExceeded):
        read(InMemory(part10(IMPLICIT.dataset({0x00081140: item}), ImplicitVRLittleEndian)))


def _sparse(path: Path, tag: int, vr: str, megabytes: int) -> Path:
    start = part10(EXPLICIT.dataset({0x7FE00010: None}) + EXPLICIT.header(tag, vr, megabytes * MEGABYTE))
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + megabytes * MEGABYTE)
    return path


def test_long_values_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "long"
    value = bytes(60_000)
    with path.open("wb") as file:
        file.write(part10(EXPLICIT.dataset({0x7FE00010: None})))
        file.write(EXPLICIT.element(0x7F010010, "LO", b"GATEWAY TESTS"))
        for number in range(4_000):
            file.write(EXPLICIT.element(0x7F011000 + number, "OB", value))

    def refused_or_read() -> None:
        with path.open("rb") as file, suppress(LimitExceeded):
            rewrite(read(FileRange(file, 0, path.stat().st_size)), target())

    # 240 MB in all
    assert _peak(refused_or_read) < 100 * MEGABYTE


def test_pixel_data_are_not_loaded(tmp_path: Path) -> None:
    path = _sparse(tmp_path / "large", 0x7FE00010, "OW", 256)
    lengths: list[int] = []

    def rewrite_it() -> None:
        with path.open("rb") as file:
            payload = rewrite(read(FileRange(file, 0, path.stat().st_size)), target()).payload
            lengths.append(len(payload))
            lengths.extend(len(piece) for piece in payload)

    assert _peak(rewrite_it) < 16 * MEGABYTE
    assert lengths[0] == sum(lengths[1:]) > 256 * MEGABYTE


def test_a_file_on_disk_and_a_part_of_another_are_read_like_one_in_memory(tmp_path: Path) -> None:
    # more than is read into memory at once
    data = instance(PixelData=bytes(range(256)) * 20_000, Rows=1600, Columns=1600)
    path = tmp_path / "several"
    path.write_bytes(b"before" + data + b"after")

    with path.open("rb") as file:
        part = read(FileRange(file, 6, len(data)))
        whole = read(InMemory(data))

        assert part.sop_instance_uid == whole.sop_instance_uid == dataset(data).SOPInstanceUID
        assert bytes(rewrite(part, target()).payload) == bytes(rewrite(whole, target()).payload)


def test_reading_does_not_go_beyond_the_part_of_a_file(tmp_path: Path) -> None:
    data = part10(EXPLICIT.dataset())
    path = tmp_path / "several"
    path.write_bytes(data + data)

    with path.open("rb") as file, pytest.raises(UnreadableDicom):
        read(FileRange(file, 0, len(data) - 2))


def test_several_ranges_of_one_file_can_be_read_alternately(tmp_path: Path) -> None:
    # more than is read into memory at once
    pixels = bytes(range(256)) * 20_000
    first = part10(EXPLICIT.dataset({0x7FE00010: EXPLICIT.element(0x7FE00010, "OW", pixels)}))
    second = part10(
        IMPLICIT.dataset({0x7FE00010: IMPLICIT.element(0x7FE00010, "OW", pixels[::-1])}), ImplicitVRLittleEndian
    )
    path = tmp_path / "several"
    path.write_bytes(first + second)

    with path.open("rb") as file:
        one, two = read(FileRange(file, 0, len(first))), read(FileRange(file, len(first), len(second)))
        payloads = rewrite(one, target()).payload, rewrite(two, target()).payload
        pieces = list(zip_longest(*payloads, fillvalue=b""))

    assert b"".join(piece for piece, _ in pieces) == rewritten(first)
    assert b"".join(piece for _, piece in pieces) == rewritten(second)


def test_the_preamble_is_ignored() -> None:
    data = part10(EXPLICIT.dataset())

    assert rewritten(b"\x7fELF".ljust(128, b"\x90") + data[128:]) == rewritten(data)
    assert reread(data).PatientID == PATIENT_ID
