"""A DICOM file with any mutation is either rewritten or rejected with a gateway error."""

import struct
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import data as pydicom_data

from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import rewrite
from orthancproxy.dicom.sources import InMemory
from orthancproxy.errors import EmptyFile, LimitExceeded, NotDicom, UnreadableDicom, UnsafeDicom
from tests.dicom.encoding import EXPLICIT, deflated, part10
from tests.dicom.references import linked_upload
from tests.dicom.rewriting import NEW_INSTANCE, PATIENT_ID, target

REFUSALS = (EmptyFile, NotDicom, UnreadableDicom, UnsafeDicom, LimitExceeded)

ROOT = Path(pydicom_data.__file__).parent

# one of each encoding, and those with sequences, private elements, fragments and escape sequences
SHIPPED = (
    "test_files/CT_small.dcm",
    "test_files/MR_small_implicit.dcm",
    "test_files/MR_small_bigendian.dcm",
    "test_files/MR_small_RLE.dcm",
    "test_files/image_dfl.dcm",
    "test_files/rtplan.dcm",
    "test_files/rtstruct.dcm",
    "test_files/reportsi.dcm",
    "test_files/test-SR.dcm",
    "test_files/UN_sequence.dcm",
    "test_files/priv_SQ.dcm",
    "test_files/nested_priv_SQ.dcm",
    "test_files/SC_rgb_jpeg_dcmtk.dcm",
    "test_files/liver_expb_1frame.dcm",
    "charset_files/chrH32.dcm",
    "charset_files/chrKoreanMulti.dcm",
    "charset_files/chrSQEncoding.dcm",
)
SAMPLES = [
    *((ROOT / name).read_bytes()[:20_000] for name in SHIPPED),
    *linked_upload().values(),
    deflated(EXPLICIT.dataset()),
    part10(EXPLICIT.dataset({0x00081140: EXPLICIT.nested(19, EXPLICIT.us(0x00280010, 1), defined=True)})),
]

LENGTHS = [0, 1, 2, 7, 0x7F, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
MEANINGFUL = [
    *(struct.pack("<L", length) for length in LENGTHS),
    *(struct.pack(">L", length) for length in LENGTHS),
    *(struct.pack("<H", length & 0xFFFF) for length in LENGTHS),
    *(b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xfe\xe0\xdd"),
    *(vr.encode() for vr in ("SQ", "UN", "OB", "OW", "UI", "LO", "PN", "UT", "AT", "DS", "\0\0", "ZZ")),
    *(b"\x08\x00\x05\x00", b"\x08\x00\x16\x00", b"\x20\x00\x0d\x00", b"\x02\x00\x00\x00", b"\xe0\x7f\x10\x00"),
    *(b"ISO 2022 IR 87", b"GB18030 ", b"\x1b$B", b"\x1b$)C", b"\\", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2"),
]

quietly = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def _new_or_refusal(data: bytes) -> bytes | str:
    """The rewritten file, or the message of the error."""
    try:
        return bytes(rewrite(read(InMemory(data)), target(uids={"1.2.3": "1.2.4"})).payload)
    except REFUSALS as error:
        return error.message


def _check(data: bytes) -> bool:
    """Whether a file is accepted; a rewritten file must be accepted again. Other exceptions fail the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = _new_or_refusal(data)
        if isinstance(new, str):
            assert new.endswith(".")
            return False
        again = read(InMemory(new))
        assert again.sop_instance_uid == NEW_INSTANCE
        # lengths may have taken the place of delimiters, then nothing is left to change
        once_more = _new_or_refusal(new)
        assert isinstance(once_more, bytes)
        assert _new_or_refusal(once_more) == once_more
        assert PATIENT_ID.encode() in new or again.transfer_syntax_uid.endswith((".99", ".95", ".205"))
        return True


samples = st.sampled_from(SAMPLES)
small_bytes = st.one_of(st.binary(min_size=1, max_size=16), st.sampled_from(MEANINGFUL))


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A file with up to five changes, most of them at its elements."""
    data = bytearray(draw(samples))
    for _ in range(draw(st.integers(1, 5))):
        # headers come first in a file, pixels last
        last = draw(st.sampled_from([len(data), min(len(data), 1_500)]))
        at = draw(st.integers(min(132, last), last))
        match draw(st.sampled_from(["overwrite", "overwrite", "insert", "delete", "flip"])):
            case "overwrite":
                new = draw(small_bytes)
                data[at : at + len(new)] = new
            case "insert":
                data[at:at] = draw(small_bytes)
            case "delete":
                del data[at : at + draw(st.integers(1, 40))]
            case _:
                if at < len(data):
                    data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@settings(quietly, max_examples=4_000)
@given(_mutated())
def test_a_mutated_file_is_rewritten_or_rejected(data: bytes) -> None:
    _check(data)


@settings(quietly, max_examples=2_000)
@given(samples, st.data())
def test_a_truncated_file_is_rewritten_or_rejected(sample: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(sample)))
    _check(sample[:end])


@settings(quietly, max_examples=2_000)
@given(samples, samples, st.data())
def test_two_concatenated_files_are_rewritten_or_rejected(first: bytes, second: bytes, data: st.DataObject) -> None:
    until = data.draw(st.integers(132, len(first)))
    since = data.draw(st.integers(0, len(second)))
    _check(first[:until] + second[since:])


@settings(quietly, max_examples=1_000)
@given(st.binary(max_size=400))
def test_bytes_after_the_prefix_are_rewritten_or_rejected(rest: bytes) -> None:
    _check(bytes(128) + b"DICM" + rest)


@settings(quietly, max_examples=1_000)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x00080008, 0x00080080, 0x00081140, 0x00091001, 0x00100010, 0x00280010, 0x7FE00010]),
            st.sampled_from(["SQ", "UN", "OB", "LO", "PN", "UI", "US", "AT", "UT", "ZZ"]),
            st.binary(max_size=60),
            st.one_of(st.none(), st.sampled_from([length & 0xFFFF for length in LENGTHS])),
        ),
        max_size=5,
    )
)
def test_elements_of_any_value_are_rewritten_or_rejected(elements: list[tuple[int, str, bytes, int | None]]) -> None:
    odd = {tag: EXPLICIT.element(tag, vr, value, length=length) for tag, vr, value, length in elements}
    _check(part10(EXPLICIT.dataset(odd)))


@pytest.mark.parametrize("sample", SAMPLES[-3:], ids=["linked", "deflated", "nested"])
def test_unchanged_samples_are_rewritten(sample: bytes) -> None:
    assert _check(sample)


def test_many_changed_files_are_still_rewritten() -> None:
    """Not all mutations fail at the first check: a changed value is still valid."""
    data = part10(EXPLICIT.dataset())
    taken = sum(_check(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) for at in range(140, len(data)))

    assert taken > (len(data) - 140) // 3
