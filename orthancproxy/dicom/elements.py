"""Data elements (PS3.5 section 7) with no value taken apart, and how they are encoded."""

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
    """A value that was left where it is: `length` bytes of the file that was read."""

    offset: int
    length: int


@dataclass(slots=True)
class Element:
    """One data element: its value is bytes as they stand in the file, or the items of a sequence.

    `vr` is None where the file does not tell it (implicit VR). `undefined` says that the value had no length: it is
    fragments with the delimiter at their end (PS3.5 section A.4), or items; those are in implicit VR where `vr` is UN
    (section 6.2.2).
    """

    tag: int
    vr: str | None
    value: "bytes | ByteRange | list[Elements]"
    undefined: bool = False


Elements = dict[int, Element]
Pieces = list[bytes | ByteRange]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written (PS3.5 sections 7.1 and 7.3)."""

    implicit: bool
    little: bool


@dataclass(frozen=True, slots=True)
class Headers:
    """The structures before a value: with a length of four bytes, and in explicit VR with one of two or of four."""

    plain: Struct
    short: Struct
    long: Struct


HEADERS = {
    little: Headers(Struct(f"{order}HHL"), Struct(f"{order}HH2sH"), Struct(f"{order}HH2s2xL"))
    for little, order in ((True, "<"), (False, ">"))
}


@cache
def known_vr(tag: int) -> str:
    """The VR of the DICOM dictionary (PS3.6), UN for a tag that it does not have or that may have several."""
    try:
        vr = str(dictionary_VR(tag))
    except KeyError:
        return "UN"
    return vr if vr in KNOWN_VRS else "OW" if "OW" in vr else "US"
