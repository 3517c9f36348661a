"""Data elements (PS3.5 section 7) with unparsed values, and their encodings."""

from dataclasses import dataclass
from functools import cache
from struct import Struct

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

SPECIFIC_CHARACTER_SET = 0x00080005
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SEQUENCE_VRS = frozenset({"SQ", "UN"})
LONG_VRS = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
KNOWN_VRS = frozenset(str(vr) for vr in STANDARD_VR)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A value left in the source: `length` bytes from `offset`."""

    offset: int
    length: int


@dataclass(slots=True)
class Element:
    """A data element, with its raw value or the items of a sequence.

    `vr` is None in implicit VR. `undefined`: the length is undefined, so that the value is fragments with their
    delimiter (PS3.5 section A.4) or items, which are in implicit VR if `vr` is UN (section 6.2.2). `is_little`: the
    items are little endian in a data set that is not.
    """

    tag: int
    vr: str | None
    value: "bytes | ByteRange | list[Elements]"
    undefined: bool = False
    is_little: bool = False


Elements = dict[int, Element]
Chunks = list[bytes | ByteRange]


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of elements (PS3.5 sections 7.1 and 7.3)."""

    implicit: bool
    little: bool


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers: of items and in implicit VR, and in explicit VR with a length of two or four bytes."""

    implicit: Struct
    short: Struct
    long: Struct


HEADERS = {
    little: Headers(Struct(f"{order}HHL"), Struct(f"{order}HH2sH"), Struct(f"{order}HH2s2xL"))
    for little, order in ((True, "<"), (False, ">"))
}


@cache
def known_vr(tag: int) -> str:
    """Return the VR of the DICOM dictionary (PS3.6); UN for unknown tags, and one for tags with several VRs."""
    try:
        vr = str(dictionary_VR(tag))
    except KeyError:
        return "UN"
    return vr if vr in KNOWN_VRS else "OW" if "OW" in vr else "US"
