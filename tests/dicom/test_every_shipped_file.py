"""Every file that pydicom ships is either rewritten without loss or rejected with a reason."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import data as pydicom_data
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import rewrite
from orthancproxy.dicom.sources import InMemory
from orthancproxy.errors import InvalidDicom, NotDicom, UnreadableDicom
from tests.dicom.comparison import Expected, differences, values
from tests.dicom.conformance import dcmftest_refuses, error_lines, gave_up
from tests.dicom.rewriting import (
    NEW_INSTANCE,
    NEW_SERIES,
    NEW_STUDY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DESCRIPTION,
    dataset,
    target,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

ROOT = Path(pydicom_data.__file__).parent
PATHS = sorted(
    path for folder in ("test_files", "charset_files") for path in (ROOT / folder).glob("**/*") if path.is_file()
)

UNREADABLE = {
    "MR_truncated.dcm": "cut off within the pixel data",
    "rtplan_truncated.dcm": "cut off within a sequence",
    "SC_rgb_jpeg.dcm": "declares explicit VR, and is implicit",
    "UN_sequence.dcm": "no SOPClassUID",
    "chrSQEncoding.dcm": "no SOPClassUID",
    "chrSQEncoding1.dcm": "no SOPClassUID",
    "empty_charset_LEI.dcm": "no SOPClassUID",
    "meta_missing_tsyntax.dcm": "elements that belong to no data set",
    "nested_priv_SQ.dcm": "elements that belong to no data set",
    "no_meta_group_length.dcm": "no SOPClassUID",
    "priv_SQ.dcm": "no SOPClassUID",
}

NOT_WHOLLY_SEEN_BY_DCIODVFY = {
    "badVR.dcm": "an assertion about 32 bits in OW",
    "image_dfl.dcm": "it reads deflated data sets as they are",
    "rtdose.dcm": "an assertion about 32 bits in OW",
    "rtdose_1frame.dcm": "an assertion about 32 bits in OW",
    "rtdose_expb.dcm": "an assertion about 32 bits in OW",
    "rtdose_expb_1frame.dcm": "an assertion about 32 bits in OW",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """An original and a rewritten file on disk."""

    name: str
    old: Path
    new: Path

    @property
    def old_dataset(self) -> FileDataset:
        return dataset(self.old.read_bytes())

    @property
    def new_dataset(self) -> FileDataset:
        return dataset(self.new.read_bytes())


def _uids(file: FileDataset) -> dict[str, str]:
    old = (file.get("StudyInstanceUID"), file.get("SeriesInstanceUID"), file.get("SOPInstanceUID"))
    return {str(uid): new for uid, new in zip(old, (NEW_STUDY, NEW_SERIES, NEW_INSTANCE), strict=True) if uid}


@pytest.fixture(scope="module")
def refused() -> dict[Path, InvalidDicom]:
    """The rejected files and their errors. Any other exception fails all tests."""
    found = {}
    for path in PATHS:
        try:
            read(InMemory(path.read_bytes()))
        except InvalidDicom as error:
            found[path] = error
    return found


@pytest.fixture(scope="module")
def pairs(refused: dict[Path, InvalidDicom], tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """The accepted files."""
    folder = tmp_path_factory.mktemp("rewritten")
    found = []
    for number, path in enumerate(PATHS):
        if path in refused:
            continue
        data = path.read_bytes()
        new = folder / f"{number}.dcm"
        uids = _uids(dataset(data))
        new.write_bytes(bytes(rewrite(read(InMemory(data)), target(uids=uids)).payload))
        found.append(Pair(str(path.relative_to(ROOT)), path, new))
    return found


WITHOUT_PREAMBLE = ("rtstruct.dcm", "ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm")


def test_only_files_with_a_known_reason_are_rejected(refused: dict[Path, InvalidDicom]) -> None:
    no_preamble = {path for path in PATHS if path.read_bytes()[128:132] != b"DICM"}
    no_dicom = {path for path in no_preamble if path.name not in WITHOUT_PREAMBLE}
    no_dicom |= {path for path in PATHS if path.name.startswith("DICOMDIR")}

    assert {path for path, error in refused.items() if isinstance(error, NotDicom)} == no_dicom
    assert {path.name for path, error in refused.items() if isinstance(error, UnreadableDicom)} == set(UNREADABLE)
    assert len(refused) == len(no_dicom) + len(UNREADABLE)


def test_each_reason_is_a_sentence(refused: dict[Path, InvalidDicom]) -> None:
    for path, error in refused.items():
        assert error.message[0].isupper(), path
        assert error.message.endswith("."), path
        assert len(error.message) < 200, path


def test_most_files_are_accepted(pairs: list[Pair]) -> None:
    assert len(pairs) > 150


def test_nothing_but_identity_changes(pairs: list[Pair]) -> None:
    changed = {}
    for pair in pairs:
        old = pair.old_dataset
        expected = Expected(
            _uids(old),
            _value(old, "PatientID"),
            PATIENT_ID,
            _value(old, "PatientName"),
            PATIENT_NAME,
        )
        if found := differences(old, pair.new_dataset, expected):
            changed[pair.name] = found

    assert changed == {}


def _value(file: FileDataset, keyword: str) -> str:
    return "\\".join(values(file[keyword])) if keyword in file else ""


def test_the_identity_is_the_new_one(pairs: list[Pair]) -> None:
    for pair in pairs:
        old, new = pair.old_dataset, pair.new_dataset
        assert (new.PatientID, str(new.PatientName)) == (PATIENT_ID, PATIENT_NAME), pair.name
        assert new.StudyDescription == STUDY_DESCRIPTION, pair.name
        assert (new.StudyInstanceUID, new.SeriesInstanceUID, new.SOPInstanceUID) == (
            NEW_STUDY,
            NEW_SERIES,
            NEW_INSTANCE,
        ), pair.name
        assert new.StudyDate == (old.get("StudyDate") or "20260304"), pair.name
        assert new.StudyTime, pair.name
        assert new.file_meta.MediaStorageSOPInstanceUID == NEW_INSTANCE, pair.name
        assert new.file_meta.MediaStorageSOPClassUID == new.SOPClassUID, pair.name


def test_the_transfer_syntax_stays(pairs: list[Pair]) -> None:
    for pair in pairs:
        old, new = pair.old_dataset, pair.new_dataset
        if not pair.name.endswith(WITHOUT_PREAMBLE):
            assert new.file_meta.TransferSyntaxUID == old.file_meta.TransferSyntaxUID, pair.name


def test_pixel_data_are_the_same_bytes(pairs: list[Pair]) -> None:
    compared = 0
    for pair in pairs:
        old, new = pair.old_dataset, pair.new_dataset
        for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010):
            if tag in old:
                assert new[tag].value == old[tag].value, pair.name
                compared += 1
    assert compared > 80


def test_a_file_ends_in_the_bytes_that_it_ended_in(pairs: list[Pair]) -> None:
    """From the value of the pixel data to the end, including delimiters."""
    compared = 0
    for pair in pairs:
        old = pair.old_dataset
        pixels = old.get_item(0x7FE00010) if 0x7FE00010 in old else None
        if not isinstance(pixels, RawDataElement) or old.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
            continue
        # zeros behind the last element are no part of the data set
        end = pair.old.read_bytes()[pixels.value_tell :]
        new = pair.new.read_bytes()
        assert new.rstrip(b"\0").endswith(end.rstrip(b"\0")), pair.name
        compared += 1
    assert compared > 80


def test_dcmftest_accepts_each_file(pairs: list[Pair]) -> None:
    assert dcmftest_refuses([pair.new for pair in pairs]) == []


def test_dciodvfy_finds_no_new_errors(pairs: list[Pair]) -> None:
    new_errors: dict[str, Counter[str]] = {}
    not_wholly_seen = set()
    with ThreadPoolExecutor(4) as threads:
        for pair, old_errors, errors, old_gave_up in zip(
            pairs,
            threads.map(lambda pair: error_lines(pair.old), pairs),
            threads.map(lambda pair: error_lines(pair.new), pairs),
            threads.map(lambda pair: gave_up(pair.old), pairs),
            strict=True,
        ):
            if more := errors - old_errors:
                new_errors[pair.name] = more
            if old_gave_up:
                not_wholly_seen.add(pair.old.name)

    assert new_errors == {}
    assert not_wholly_seen == set(NOT_WHOLLY_SEEN_BY_DCIODVFY)


def test_rewriting_twice_changes_nothing(pairs: list[Pair]) -> None:
    for pair, data in _contents(pairs):
        uids = _uids(pair.old_dataset)
        again = rewrite(read(InMemory(data)), target(uids=uids))
        assert bytes(again.payload) == data, pair.name
        assert not again.text_guessed, pair.name


def _contents(pairs: list[Pair]) -> Iterator[tuple[Pair, bytes]]:
    for pair in pairs:
        yield pair, pair.new.read_bytes()
