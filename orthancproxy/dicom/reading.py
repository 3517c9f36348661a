"""From a file to its data elements.

pydicom reads the elements. The nesting of sequences is followed here: pydicom follows it by recursion to any depth,
takes values that are cut off, and takes anything for an item (ADR 0008).
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator

from orthancproxy.dicom.elements import (
    HEADERS,
    ITEM,
    KNOWN_VRS,
    LONG_VRS,
    SEQUENCE_END,
    SEQUENCE_VRS,
    SPECIFIC_CHARACTER_SET,
    UNDEFINED,
    Element,
    Elements,
    Encoding,
    Range,
    known_vr,
)
from orthancproxy.errors import LimitExceeded, UnreadableDicom, UnsafeDicom

MAX_DEPTH = 20  # of sequences; Orthanc 1.10.1 crashes at about 50
MAX_ELEMENTS = 100_000
MAX_FRAGMENTS = 1_000_000  # of the pixels of all frames
MAX_IN_ONE = 10_000  # elements of one data set or item: Orthanc's time grows with their square
LONG = 4 * 1024  # bytes; longer values stay where they are
MAX_SHORT = 32 * 1024**2  # bytes of all other values together
PLAIN_VRS = KNOWN_VRS - {"SQ", "UN"}


class _Gate:
    """Says which elements of one data set or item pydicom is not to read, and counts them all.

    It is called with the file before each value. `structured` is what it stopped at, and `length` its length; None
    where there is padding.
    """

    __slots__ = ("_depth", "_encoding", "_end", "_reader", "length", "structured")

    def __init__(self, reader: "Reader", encoding: Encoding, end: int, depth: int) -> None:
        self._reader = reader
        self._encoding = encoding
        self._end = end
        self._depth = depth
        self.structured: Element | None = None
        self.length = 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        # pydicom's tags compare slowly
        tag = int(tag)
        if not tag and not self._depth:
            # padding, as far as it is zero
            return True
        undefined = length == UNDEFINED
        if not undefined and length > self._end - self._reader.file.tell():
            raise UnreadableDicom("The file breaks off within a data element, or one is longer than what it is in.")
        if vr in PLAIN_VRS and tag != SPECIFIC_CHARACTER_SET and not undefined:
            self._reader.count(length)
            return False
        return self._is_ours(tag, vr, length)

    def _is_ours(self, tag: int, vr: str | None, length: int) -> bool:
        if tag == SPECIFIC_CHARACTER_SET and length > LONG:
            raise UnreadableDicom("The SpecificCharacterSet is too long.")
        items = length == UNDEFINED or vr == "SQ" or (vr in (None, "UN") and self._is_known_sequence(tag, vr))
        self._reader.count(0 if items else length)
        # of the character set, pydicom would quote what it does not know
        if items or tag == SPECIFIC_CHARACTER_SET:
            self.structured, self.length = Element(tag, vr, b"", length == UNDEFINED), length
            return True
        return False

    def _is_known_sequence(self, tag: int, vr: str | None) -> bool:
        """Whether the dictionary calls an element a sequence; one whose VR was lost (UN) must have items too."""
        if known_vr(tag) != "SQ" or vr is None:
            return known_vr(tag) == "SQ"
        file = self._reader.file
        start = file.read(4)
        file.seek(-len(start), 1)
        return start == HEADERS[self._encoding.little].plain.pack(ITEM >> 16, ITEM & 0xFFFF, 0)[:4]


class Reader:
    """Reads the elements of a file from where it stands.

    Raises UnreadableDicom where something is cut off or is not where it has to be, UnsafeDicom for sequences nested too
    deeply, and LimitExceeded for too many elements.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self._size = size
        self._count = 0
        self._short = 0
        self._fragments = 0

    def read(self, encoding: Encoding) -> Elements:
        """The elements up to the end of the file, without padding behind them."""
        elements = self._read(encoding, self._size, 0, delimited=False)
        lowest = min(elements, default=0) >> 16
        if lowest < 0x0008:
            raise UnreadableDicom("There are elements of no data set in the file (PS3.10 section 7.1).")
        return elements

    def _read(self, encoding: Encoding, end: int, depth: int, *, delimited: bool) -> Elements:
        """The elements up to an offset, or to the delimiter of their item."""
        file = self.file
        elements: Elements = {}
        gate = _Gate(self, encoding, end, depth)
        position = file.tell()
        while position < end:
            gate.structured = None
            for raw in flat_elements(file, encoding, gate):
                tag = int(raw.tag)
                elements[tag] = Element(tag, raw.VR, _value(raw))
                position = raw.value_tell + raw.length
                if position >= end:
                    break
            structured = gate.structured
            if structured is None:
                break
            # pydicom went back to the header of the element
            header = 8 if structured.vr is None or structured.vr not in LONG_VRS else 12
            file.seek(header, 1)
            self._read_structured(structured, encoding, gate.length, end, depth)
            elements[structured.tag] = structured
            position = file.tell()
        if len(elements) > MAX_IN_ONE:
            raise LimitExceeded(f"There are more than {MAX_IN_ONE} data elements in one data set or item.")
        # pydicom ends behind a delimiter, before what the gate did not let through, or where no header is left
        has_delimiter = file.tell() - position == 8
        if delimited != has_delimiter or not (delimited or self._is_at_end(position, end, depth)):
            raise UnreadableDicom("The file breaks off within a data element, or an item does not end where it has to.")
        return elements

    @property
    def weight(self) -> int:
        """About how many bytes of memory what was read takes."""
        return self._short + 300 * self._count

    def count(self, length: int) -> None:
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
        self.file.seek(position)
        while piece := self.file.read(64 * LONG):
            if piece.strip(b"\0"):
                return False
        return True

    def _read_structured(self, element: Element, encoding: Encoding, length: int, end: int, depth: int) -> None:
        """Read a value that pydicom is not to read: items of a sequence, fragments, the character set."""
        start = self.file.tell()
        if element.tag == SPECIFIC_CHARACTER_SET and not element.undefined:
            # pydicom would quote it in a warning
            element.value = self.file.read(length)
        elif element.vr in SEQUENCE_VRS or (element.vr is None and self._is_sequence(element, encoding)):
            if depth == MAX_DEPTH:
                raise UnsafeDicom(f"Sequences are nested more than {MAX_DEPTH} deep.")
            end = end if element.undefined else start + length
            element.value = self._read_items(encoding, end, depth + 1, delimited=element.undefined)
        else:
            self._skip_fragments(encoding, end)
            element.value = Range(start, self.file.tell() - start)

    def _is_sequence(self, element: Element, encoding: Encoding) -> bool:
        vr = known_vr(element.tag)
        if vr in ("SQ", "OB", "OW"):
            return vr == "SQ"
        # private: a sequence when it consists of items
        tag, _ = self._item_header(encoding)
        self.file.seek(-8, 1)
        return tag == ITEM

    def _read_items(self, encoding: Encoding, end: int, depth: int, *, delimited: bool) -> list[Elements]:
        items: list[Elements] = []
        while delimited or self.file.tell() < end:
            tag, length = self._item_header(encoding)
            if tag == SEQUENCE_END and delimited:
                break
            if tag != ITEM:
                raise UnreadableDicom("There is something else than an item in a sequence.")
            self.count(0)
            start = self.file.tell()
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
        start = self.file.read(6)
        self.file.seek(-len(start), 1)
        # an item that has nothing in it has the next header here, which tells nothing
        return Encoding(not is_vr(start[4:6]) and start[:2] not in (b"\xfe\xff", b"\xff\xfe"), encoding.little)

    def _skip_fragments(self, encoding: Encoding, end: int) -> None:
        while True:
            tag, length = self._item_header(encoding)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or length > end - self.file.tell():
                raise UnreadableDicom("The file breaks off within fragments, or they are none (PS3.5 section A.4).")
            self._fragments += 1
            if self._fragments > MAX_FRAGMENTS:
                raise LimitExceeded("There are too many fragments in the file.")
            self.file.seek(length, 1)

    def _item_header(self, encoding: Encoding) -> tuple[int, int]:
        header = self.file.read(8)
        if len(header) < 8:
            raise UnreadableDicom("The file breaks off within a sequence or fragments.")
        group, number, length = HEADERS[encoding.little].plain.unpack(header)
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
