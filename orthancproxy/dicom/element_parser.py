"""From a file to its data elements (PS3.5 section 7).

pydicom would follow the nesting of sequences by recursion to any depth, take values that are cut off, and take anything
for an item (ADR 0008).
"""

from typing import BinaryIO

from orthancproxy.dicom.elements import (
    HEADERS,
    ITEM,
    ITEM_END,
    KNOWN_VRS,
    LONG_VRS,
    SEQUENCE_END,
    SEQUENCE_VRS,
    SPECIFIC_CHARACTER_SET,
    UNDEFINED,
    ByteRange,
    Element,
    Elements,
    Encoding,
    known_vr,
)
from orthancproxy.errors import LimitExceeded, UnreadableDicom, UnsafeDicom

MAX_DEPTH = 20  # of sequences; Orthanc 1.10.1 crashes at about 50
MAX_ELEMENTS = 200_000
MAX_FRAGMENTS = 1_000_000  # of the pixels of all frames
MAX_ELEMENTS_PER_DATA_SET = 10_000  # elements of one data set or item: Orthanc's time grows with their square
MAX_LOADED_VALUE_BYTES = 4 * 1024  # bytes; longer values stay where they are
MAX_LOADED_BYTES = 32 * 1024**2  # bytes of all other values together
PLAIN_VRS = KNOWN_VRS - {"SQ", "UN"}
_VRS = {vr.encode(): vr for vr in KNOWN_VRS}


class ElementParser:
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
        has_delimiter = False
        position = file.tell()
        while position < end and (header := read_header(file, encoding)):
            tag, vr, length = header
            if tag == ITEM_END:
                has_delimiter = file.tell() - position == 8
                break
            if not tag and not depth:
                # padding, as far as it is zero
                break
            start = file.tell()
            if length > end - start and length != UNDEFINED:
                raise UnreadableDicom("The file breaks off within a data element, or one is longer than what it is in.")
            if tag == SPECIFIC_CHARACTER_SET and length > MAX_LOADED_VALUE_BYTES:
                raise UnreadableDicom("The SpecificCharacterSet is too long.")
            if length == UNDEFINED or (vr not in PLAIN_VRS and self._has_items(tag, vr, encoding)):
                elements[tag] = self._read_structured(tag, vr, length, encoding, end, depth)
                position = file.tell()
                continue
            self.count(length)
            position = start + length
            if length > MAX_LOADED_VALUE_BYTES:
                elements[tag] = Element(tag, vr, ByteRange(start, length))
                file.seek(position)
            else:
                elements[tag] = Element(tag, vr, file.read(length))
        if len(elements) > MAX_ELEMENTS_PER_DATA_SET:
            raise LimitExceeded(f"A data set or sequence item has more than {MAX_ELEMENTS_PER_DATA_SET} data elements.")
        if delimited != has_delimiter or not (delimited or self._is_at_end(position, end, depth)):
            raise UnreadableDicom("The file breaks off within a data element, or an item does not end where it has to.")
        return elements

    def _has_items(self, tag: int, vr: str | None, encoding: Encoding) -> bool:
        """Whether an element of no plain VR is a sequence; one whose VR was lost (UN) must have items too."""
        if vr not in (None, "UN"):
            return vr == "SQ"
        if vr is None or known_vr(tag) != "SQ":
            return known_vr(tag) == "SQ"
        start = self.file.read(4)
        self.file.seek(-len(start), 1)
        return start == HEADERS[encoding.little].plain.pack(ITEM >> 16, ITEM & 0xFFFF, 0)[:4]

    @property
    def memory_bytes(self) -> int:
        """About how many bytes of memory what was read takes."""
        return self._short + 300 * self._count

    def count(self, length: int) -> None:
        """Count an element or an item, and the memory for its value."""
        self._count += 1
        if length <= MAX_LOADED_VALUE_BYTES:
            self._short += length
        if self._count > MAX_ELEMENTS or self._short > MAX_LOADED_BYTES:
            raise LimitExceeded("There are too many data elements in the file.")

    def _is_at_end(self, position: int, end: int, depth: int) -> bool:
        """Whether elements end where they have to; behind those of the file, there may be zeros."""
        if position == end or depth:
            return position == end
        self.file.seek(position)
        while piece := self.file.read(64 * MAX_LOADED_VALUE_BYTES):
            if piece.strip(b"\0"):
                return False
        return True

    def _read_structured(
        self, tag: int, vr: str | None, length: int, encoding: Encoding, end: int, depth: int
    ) -> Element:
        """Read the items of a sequence, or go over fragments."""
        self.count(0)
        start = self.file.tell()
        undefined = length == UNDEFINED
        if vr in SEQUENCE_VRS or (vr is None and self._is_sequence(tag, encoding)):
            if depth == MAX_DEPTH:
                raise UnsafeDicom(f"Sequences are nested more than {MAX_DEPTH} deep.")
            items_end = end if undefined else start + length
            return Element(tag, vr, self._read_items(encoding, items_end, depth + 1, delimited=undefined), undefined)
        self._skip_fragments(encoding, end)
        return Element(tag, vr, ByteRange(start, self.file.tell() - start), undefined)

    def _is_sequence(self, tag: int, encoding: Encoding) -> bool:
        vr = known_vr(tag)
        if vr in ("SQ", "OB", "OW"):
            return vr == "SQ"
        # private: a sequence when it consists of items
        first, _ = self._item_header(encoding)
        self.file.seek(-8, 1)
        return first == ITEM

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


def read_header(file: BinaryIO, encoding: Encoding) -> tuple[int, str | None, int] | None:
    """Read an element's header: tag, VR, and the length of its value; None where there is none any more.

    Of an unknown VR, the length is of two bytes. Where there can't be any, the header is one of implicit VR, to which
    some change within a file.
    """
    head = file.read(8)
    if len(head) < 8:
        return None
    headers = HEADERS[encoding.little]
    if encoding.implicit:
        group, number, length = headers.plain.unpack(head)
        return group << 16 | number, None, length
    group, number, code, length = headers.short.unpack(head)
    vr = _VRS.get(code)
    if vr is None:
        if not b"AA" <= code <= b"ZZ":
            group, number, length = headers.plain.unpack(head)
            return group << 16 | number, None, length
        vr = code.decode("latin-1")
    elif vr in LONG_VRS:
        rest = file.read(4)
        if len(rest) < 4:
            raise UnreadableDicom("The file breaks off within a data element.")
        length = int.from_bytes(rest, "little" if encoding.little else "big")
    return group << 16 | number, vr, length


def is_vr(text: bytes) -> bool:
    """Whether these bytes look like a VR."""
    return len(text) == 2 and text.isalpha() and text.isupper()
