"""The data elements of a file (PS3.5 section 7), with no value taken apart.

pydicom reads the elements. The nesting of sequences is followed here: pydicom follows it by recursion to any depth,
takes values that are cut off, and takes anything for an item.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from struct import Struct
from typing import BinaryIO, cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from orthancproxy.errors import LimitExceeded, UnreadableDicom, UnsafeDicom

MAX_DEPTH = 20  # of sequences; Orthanc 1.10.1 crashes at about 50
MAX_ELEMENTS = 200_000
MAX_IN_ONE = 10_000  # elements of one data set or item: Orthanc's time grows with their square
LONG = 4 * 1024  # bytes; longer values stay where they are
MAX_SHORT = 32 * 1024**2  # bytes of all other values together

SPECIFIC_CHARACTER_SET = 0x00080005
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SEQUENCE_VRS = frozenset({"SQ", "UN"})
LONG_VRS = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
KNOWN_VRS = frozenset(str(vr) for vr in STANDARD_VR)


@dataclass(frozen=True, slots=True)
class Range:
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
    value: "bytes | Range | list[Elements]"
    undefined: bool = False


Elements = dict[int, Element]
Pieces = list[bytes | Range]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written (PS3.5 sections 7.1 and 7.3)."""

    implicit: bool
    little: bool


@dataclass(frozen=True, slots=True)
class _Headers:
    """The structures before a value: with a length of four bytes, and in explicit VR with one of two or of four."""

    plain: Struct
    short: Struct
    long: Struct


_HEADERS = {
    little: _Headers(Struct(f"{order}HHL"), Struct(f"{order}HH2sH"), Struct(f"{order}HH2s2xL"))
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


class Reader:
    """Reads the elements of a file from where it stands.

    Raises UnreadableDicom where something is cut off or is not where it has to be, UnsafeDicom for sequences nested too
    deeply, and LimitExceeded for too many elements.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._count = 0
        self._short = 0

    def read(self, encoding: Encoding) -> Elements:
        """The elements up to the end of the file, without padding behind them."""
        elements = self._read(encoding, self._size, 0, delimited=False)
        lowest = min(elements, default=0) >> 16
        if lowest < 0x0008:
            raise UnreadableDicom("There are elements of no data set in the file (PS3.10 section 7.1).")
        return elements

    def _read(self, encoding: Encoding, end: int, depth: int, *, delimited: bool) -> Elements:
        """The elements up to an offset, or to the delimiter of their item."""
        file = self._file
        elements: Elements = {}
        structured: Element | None = None
        length = 0

        def stop(tag: int, vr: str | None, its_length: int) -> bool:
            nonlocal structured, length
            if not tag and not depth:
                # padding, as far as it is zero
                return True
            if not self._is_for_us(tag, vr, its_length, encoding, end):
                return False
            structured, length = Element(int(tag), vr, b"", its_length == UNDEFINED), its_length
            return True

        position = file.tell()
        while position < end:
            structured = None
            for raw in flat_elements(file, encoding, stop):
                tag = int(raw.tag)
                elements[tag] = Element(tag, raw.VR, _value(raw))
                position = raw.value_tell + raw.length
                if position >= end:
                    break
            if structured is None:
                break
            # pydicom went back to the header of the element
            header = 8 if structured.vr is None or structured.vr not in LONG_VRS else 12
            file.seek(header, 1)
            self._read_structured(structured, encoding, length, end, depth)
            elements[structured.tag] = structured
            position = file.tell()
        if len(elements) > MAX_IN_ONE:
            raise LimitExceeded(f"There are more than {MAX_IN_ONE} data elements in one data set or item.")
        # pydicom ends behind a delimiter, and before what `stop` did not want or where less than a header is left
        has_delimiter = file.tell() - position == 8
        if delimited != has_delimiter or not (delimited or self._is_at_end(position, end, depth)):
            raise UnreadableDicom("The file breaks off within a data element, or an item does not end where it has to.")
        return elements

    def _is_for_us(self, tag: int, vr: str | None, length: int, encoding: Encoding, end: int) -> bool:
        """Whether pydicom is not to read the value before which the file stands; it is counted all the same."""
        if length != UNDEFINED and length > end - self._file.tell():
            raise UnreadableDicom("The file breaks off within a data element, or one is longer than what it is in.")
        if tag == SPECIFIC_CHARACTER_SET and length > LONG:
            raise UnreadableDicom("The SpecificCharacterSet is too long.")
        is_sequence = vr == "SQ" or (vr in (None, "UN") and self._is_known_sequence(tag, vr, encoding))
        self._count_one(0 if length == UNDEFINED or is_sequence else length)
        # of the character set, it would quote what it does not know
        return length == UNDEFINED or is_sequence or tag == SPECIFIC_CHARACTER_SET

    def _is_known_sequence(self, tag: int, vr: str | None, encoding: Encoding) -> bool:
        """Whether the dictionary calls an element a sequence; one whose VR was lost (UN) must have items too."""
        if known_vr(tag) != "SQ" or vr is None:
            return known_vr(tag) == "SQ"
        start = self._file.read(4)
        self._file.seek(-len(start), 1)
        return start == _HEADERS[encoding.little].plain.pack(ITEM >> 16, ITEM & 0xFFFF, 0)[:4]

    @property
    def weight(self) -> int:
        """About how many bytes of memory what was read takes."""
        return self._short + 300 * self._count

    def _count_one(self, length: int) -> None:
        """Count an element or an item, and the memory for its value."""
        self._count += 1
        if length <= LONG:
            self._short += length
        if self._count > MAX_ELEMENTS or self._short > MAX_SHORT:
            raise LimitExceeded("There are too many data elements in the file.")

    def _is_at_end(self, position: int, end: int, depth: int) -> bool:
        """Whether elements end where they have to; behind those of the file, there may be zeros."""
        if position == end or depth:
            return position == end
        self._file.seek(position)
        while piece := self._file.read(64 * LONG):
            if piece.strip(b"\0"):
                return False
        return True

    def _read_structured(self, element: Element, encoding: Encoding, length: int, end: int, depth: int) -> None:
        """Read a value that pydicom is not to read: items of a sequence, fragments, the character set."""
        start = self._file.tell()
        if element.tag == SPECIFIC_CHARACTER_SET and not element.undefined:
            # pydicom would quote it in a warning
            element.value = self._file.read(length)
        elif element.vr in SEQUENCE_VRS or (element.vr is None and self._is_sequence(element, encoding)):
            if depth == MAX_DEPTH:
                raise UnsafeDicom(f"Sequences are nested more than {MAX_DEPTH} deep.")
            end = end if element.undefined else start + length
            element.value = self._read_items(encoding, end, depth + 1, delimited=element.undefined)
        else:
            self._skip_fragments(encoding, end)
            element.value = Range(start, self._file.tell() - start)

    def _is_sequence(self, element: Element, encoding: Encoding) -> bool:
        vr = known_vr(element.tag)
        if vr in ("SQ", "OB", "OW"):
            return vr == "SQ"
        # private: a sequence when it consists of items
        tag, _ = self._item_header(encoding)
        self._file.seek(-8, 1)
        return tag == ITEM

    def _read_items(self, encoding: Encoding, end: int, depth: int, *, delimited: bool) -> list[Elements]:
        items: list[Elements] = []
        while delimited or self._file.tell() < end:
            tag, length = self._item_header(encoding)
            if tag == SEQUENCE_END and delimited:
                break
            if tag != ITEM:
                raise UnreadableDicom("There is something else than an item in a sequence.")
            self._count_one(0)
            start = self._file.tell()
            if length != UNDEFINED and length > end - start:
                raise UnreadableDicom("The file breaks off within an item, or one is longer than its sequence.")
            item_end = end if length == UNDEFINED else start + length
            found = self._encoding_of_item(encoding)
            items.append(self._read(found, item_end, depth, delimited=length == UNDEFINED))
        return items

    def _encoding_of_item(self, encoding: Encoding) -> Encoding:
        """Some write items in implicit VR within a data set that is not (PS3.5 section 6.2.2)."""
        if encoding.implicit:
            return encoding
        start = self._file.read(6)
        self._file.seek(-len(start), 1)
        # an item that has nothing in it has the next header here, which tells nothing
        return Encoding(not is_vr(start[4:6]) and start[:2] not in (b"\xfe\xff", b"\xff\xfe"), encoding.little)

    def _skip_fragments(self, encoding: Encoding, end: int) -> None:
        while True:
            tag, length = self._item_header(encoding)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or length > end - self._file.tell():
                raise UnreadableDicom("The file breaks off within fragments, or they are none (PS3.5 section A.4).")
            self._file.seek(length, 1)

    def _item_header(self, encoding: Encoding) -> tuple[int, int]:
        header = self._file.read(8)
        if len(header) < 8:
            raise UnreadableDicom("The file breaks off within a sequence or fragments.")
        group, number, length = _HEADERS[encoding.little].plain.unpack(header)
        return group << 16 | number, length


def flat_elements(
    file: BinaryIO, encoding: Encoding, stop: Callable[[int, str | None, int], bool]
) -> Iterator[RawDataElement]:
    """The elements from where a file stands, read by pydicom, as long as they have a length and no items.

    `stop` takes tag, VR and length of each; where it returns True, the file stands before that element. Values longer
    than LONG are left out.
    """
    generator = data_element_generator(file, encoding.implicit, encoding.little, stop, LONG)
    return cast("Iterator[RawDataElement]", generator)


def _value(raw: RawDataElement) -> bytes | Range:
    if raw.value is None and raw.length:
        return Range(raw.value_tell, raw.length)
    return raw.value or b""


def is_vr(text: bytes) -> bool:
    """Whether these bytes look like a VR."""
    return len(text) == 2 and text.isalpha() and text.isupper()


def write(elements: Elements, encoding: Encoding) -> tuple[Pieces, int]:
    """Encode elements in the order of their tags; return the pieces, and their length in bytes.

    Group lengths (gggg,0000) are left out: they are retired, and no longer true. Raises UnreadableDicom for a value
    that is too long for its VR.
    """
    headers = _HEADERS[encoding.little]
    pieces: Pieces = []
    total = 0
    for tag in sorted(elements):
        if not tag & 0xFFFF:
            continue
        element = elements[tag]
        match element.value:
            case list():
                value, length = _write_items(element, encoding)
            case Range():
                value, length = [element.value], element.value.length
            case _:
                value, length = [element.value], len(element.value)
        stated = UNDEFINED if element.undefined and element.vr != "SQ" else length
        header = _header(headers, encoding, element, stated)
        pieces.append(header)
        pieces += value
        total += len(header) + length
    return pieces, total


def _header(headers: _Headers, encoding: Encoding, element: Element, length: int) -> bytes:
    group, number = element.tag >> 16, element.tag & 0xFFFF
    if encoding.implicit:
        return headers.plain.pack(group, number, length)
    vr = element.vr or ("SQ" if isinstance(element.value, list) else known_vr(element.tag))
    if vr not in KNOWN_VRS:
        vr = "UN"
    if vr in LONG_VRS:
        return headers.long.pack(group, number, vr.encode(), length)
    if length > 0xFFFF:
        raise UnreadableDicom(f"The value of ({group:04X},{number:04X}) is too long for its VR.")
    return headers.short.pack(group, number, vr.encode(), length)


def _write_items(element: Element, encoding: Encoding) -> tuple[Pieces, int]:
    """The items of a sequence, with their lengths; in implicit VR and with a delimiter where the element is UN."""
    items: Sequence[Elements] = element.value  # type: ignore[assignment]
    header = _HEADERS[encoding.little].plain
    inner = Encoding(encoding.implicit or element.vr == "UN", encoding.little)
    pieces: Pieces = []
    total = 0
    for item in items:
        written, length = write(item, inner)
        pieces += [header.pack(ITEM >> 16, ITEM & 0xFFFF, length), *written]
        total += 8 + length
    if element.undefined and element.vr != "SQ":
        pieces.append(header.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0))
        total += 8
    return pieces, total
