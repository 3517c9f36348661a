"""Finding the pixel data in the beginning of a file."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from orthancproxy.archive.pixel_data import PixelData, PixelDataSearch
from orthancproxy.errors import ArchiveProtocolError

PIXELS = bytes(range(64)) * 2


def find_pixel_data(file: bytes) -> PixelData | None:
    return PixelDataSearch().feed(file)


def file_of(syntax: str, *, is_undefined_length: bool = False, **tags: Any) -> bytes:
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    icon = Dataset()
    icon.Rows, icon.Columns, icon.PixelData = 1, 2, b"\0\1"
    icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = Sequence([icon])
    dataset["IconImageSequence"].is_undefined_length = is_undefined_length
    icon.is_undefined_length_sequence_item = is_undefined_length
    dataset.PixelData = PIXELS
    dataset["PixelData"].VR = "OW"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    file = BytesIO()
    dataset.save_as(file, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return file.getvalue()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("is_undefined_length", [False, True])
def test_pixel_data_are_those_of_the_data_set(syntax: str, is_undefined_length: bool) -> None:
    file = file_of(syntax, is_undefined_length=is_undefined_length, NumberOfFrames="2", Rows=8, Columns=4)

    found = find_pixel_data(file)

    assert found
    assert found.length
    assert file[found.offset : found.offset + found.length] == PIXELS
    assert (found.transfer_syntax, found.frames, found.frame_bytes) == (syntax, 2, 64)


def test_bytes_that_end_before_are_not_enough() -> None:
    file = file_of(ExplicitVRLittleEndian)
    found = find_pixel_data(file)
    assert found

    assert find_pixel_data(file[: found.offset]) == found
    assert [find_pixel_data(file[:end]) for end in (0, 131, 200, 1000, found.offset - 1)] == [None] * 5


def test_fragments_have_no_length() -> None:
    file = Path(str(get_testdata_file("MR_small_RLE.dcm", download=False)))

    found = find_pixel_data(file.read_bytes())

    assert found
    assert found.length is None


def test_what_is_no_dicom_file_is_rejected() -> None:
    with pytest.raises(ArchiveProtocolError):
        find_pixel_data(b"x" * 1000)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000])
def test_pixel_data_are_found_wherever_chunks_end(syntax: str, chunk_bytes: int) -> None:
    file = file_of(syntax, is_undefined_length=True)
    search, sent, found = PixelDataSearch(), 0, None
    while found is None:
        found = search.feed(file[sent : sent + chunk_bytes])
        sent += chunk_bytes

    assert found == find_pixel_data(file)
    assert bytes(search.rest) == file[found.offset : sent]


def test_elements_before_the_pixel_data_are_read_once() -> None:
    element = b"\x09\0\x10\x10LO\0\0"
    file = file_of(ExplicitVRLittleEndian)
    found = find_pixel_data(file)
    assert found
    head = file[: found.offset - 12]
    search = PixelDataSearch()
    search.feed(head)

    for _ in range(100):
        assert search.feed(element * 1000) is None
        assert len(search.rest) < len(element)

    last = search.feed(file[len(head) :])
    assert last
    assert last.offset == found.offset + 100 * 1000 * len(element)
