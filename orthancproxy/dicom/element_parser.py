"""Parses the data elements of a file (PS3.5 section 7).

pydicom would recurse into sequences to any depth, and accept truncated values and anything as an item (ADR 0008).
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
from orthancproxy.dicom.sources import CHUNK_BYTES
from orthancproxy.errors import LimitExceeded, UnreadableDicom, UnsafeDicom

MAX_DEPTH = 20  # nested sequences; Orthanc 1.10.1 crashes at about 50
MAX_ELEMENTS = 200_000
MAX_FRAGMENTS = 1_000_000  # of pixel data, all frames together
MAX_ELEMENTS_PER_DATA_SET = 10_000  # or per item: Orthanc's time grows with their square
MAX_LOADED_VALUE_BYTES = 4 * 1024  # longer values stay in the source
MAX_LOADED_BYTES = 32 * 1024**2  # all loaded values together
PLAIN_VRS = KNOWN_VRS - {"SQ", "UN"}
_VRS = {vr.encode(): vr for vr in KNOWN_VRS}


class ElementParser:
    """Parses the elements of a file from its current position.

    Raises UnreadableDicom for truncated or malformed elements, UnsafeDicom for sequences nested too deeply, and
    LimitExceeded for too many elements.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self._size = size
        self._elements = 0
        self._loaded_bytes = 0
        self._fragments = 0

    def parse(self, encoding: Encoding) -> Elements:
        """Return the elements up to the end of the file, without trailing padding."""
        return self._read(encoding, self._size, 0, delimited=False)

    def _read(self, encoding: Encoding, end: int, depth: int, *, delimited: bool) -> Elements:
        """Parse the elements up to an offset, or to the delimiter of their item."""
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
                # zero padding
                break
            start = file.tell()
            if length > end - start and length != UNDEFINED:
                raise UnreadableDicom("The file is truncated within an element, or an element is longer than its item.")
            if tag == SPECIFIC_CHARACTER_SET and length > MAX_LOADED_VALUE_BYTES:
                raise UnreadableDicom("The value of SpecificCharacterSet is too long.")
            # of two elements with one tag, Orthanc reads the first
            if length == UNDEFINED or (vr not in PLAIN_VRS and self._has_items(tag, vr, encoding)):
                elements.setdefault(tag, self._read_structured(tag, vr, length, encoding, end, depth))
                position = file.tell()
                continue
            self._count_element(length)
            position = start + length
            if length > MAX_LOADED_VALUE_BYTES:
                elements.setdefault(tag, Element(tag, vr, ByteRange(start, length)))
                file.seek(position)
            else:
                elements.setdefault(tag, Element(tag, vr, file.read(length)))
        if len(elements) > MAX_ELEMENTS_PER_DATA_SET:
            raise LimitExceeded(f"A data set or item has more than {MAX_ELEMENTS_PER_DATA_SET} elements.")
        # some devices write both the length and the delimiter of an item
        has_both = has_delimiter and depth > 0 and file.tell() == end
        if (delimited != has_delimiter and not has_both) or not (
            has_delimiter or self._is_at_end(position, end, depth)
        ):
            raise UnreadableDicom("The file is truncated within a data element, or an item has a wrong length.")
        return elements

    def _has_items(self, tag: int, vr: str | None, encoding: Encoding) -> bool:
        """Whether the element is a sequence, by its VR or, if that is UN, by the dictionary and its value."""
        if vr not in (None, "UN"):
            return vr == "SQ"
        if vr is None or known_vr(tag) != "SQ":
            return known_vr(tag) == "SQ"
        start = self.file.read(4)
        self.file.seek(-len(start), 1)
        return start == HEADERS[encoding.little].implicit.pack(ITEM >> 16, ITEM & 0xFFFF, 0)[:4]

    @property
    def memory_bytes(self) -> int:
        """The approximate memory that the parsed elements occupy."""
        return self._loaded_bytes + 300 * self._elements

    def _count_element(self, length: int) -> None:
        """Count an element or item and its loaded value. Raises LimitExceeded."""
        self._elements += 1
        if length <= MAX_LOADED_VALUE_BYTES:
            self._loaded_bytes += length
        if self._elements > MAX_ELEMENTS or self._loaded_bytes > MAX_LOADED_BYTES:
            raise LimitExceeded("The file contains too many data elements.")

    def _is_at_end(self, position: int, end: int, depth: int) -> bool:
        """Whether elements end at the expected offset; the file's own may be followed by zeros."""
        if position == end or depth:
            return position == end
        self.file.seek(position)
        while chunk := self.file.read(CHUNK_BYTES):
            if chunk.strip(b"\0"):
                return False
        return True

    def _read_structured(
        self, tag: int, vr: str | None, length: int, encoding: Encoding, end: int, depth: int
    ) -> Element:
        """Parse the items of a sequence, or skip fragments."""
        self._count_element(0)
        start = self.file.tell()
        undefined = length == UNDEFINED
        if vr in SEQUENCE_VRS or (vr is None and self._is_sequence(tag, encoding)):
            if depth == MAX_DEPTH:
                raise UnsafeDicom(f"Sequences are nested more than {MAX_DEPTH} levels deep.")
            items_end = end if undefined else start + length
            is_little = not encoding.little and vr == "UN" and self._has_little_endian_items()
            if is_little:
                encoding = Encoding(implicit=True, little=True)
            items = self._read_items(encoding, items_end, depth + 1, delimited=undefined)
            return Element(tag, vr, items, undefined, is_little)
        self._skip_fragments(encoding, end)
        return Element(tag, vr, ByteRange(start, self.file.tell() - start), undefined)

    def _has_little_endian_items(self) -> bool:
        """Whether little endian items follow, as in each UN of undefined length (PS3.5 section 6.2.2)."""
        group = self.file.read(2)
        self.file.seek(-len(group), 1)
        return group == b"\xfe\xff"

    def _is_sequence(self, tag: int, encoding: Encoding) -> bool:
        vr = known_vr(tag)
        if vr in ("SQ", "OB", "OW"):
            return vr == "SQ"
        # unknown tags are sequences if they start with an item
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
                raise UnreadableDicom("A sequence contains something other than items.")
            self._count_element(0)
            start = self.file.tell()
            if length != UNDEFINED and length > end - start:
                raise UnreadableDicom("The file is truncated within an item, or an item is longer than its sequence.")
            item_end = end if length == UNDEFINED else start + length
            found = self._encoding_of_item(encoding)
            items.append(self._read(found, item_end, depth, delimited=length == UNDEFINED))
        return items

    def _encoding_of_item(self, encoding: Encoding) -> Encoding:
        """Detect items in implicit VR within an explicit VR data set (PS3.5 section 6.2.2)."""
        if encoding.implicit:
            return encoding
        start = self.file.read(6)
        self.file.seek(-len(start), 1)
        # an empty item is followed by the next item header
        return Encoding(not is_vr(start[4:6]) and start[:2] not in (b"\xfe\xff", b"\xff\xfe"), encoding.little)

    def _skip_fragments(self, encoding: Encoding, end: int) -> None:
        while True:
            tag, length = self._item_header(encoding)
            if tag == SEQUENCE_END:
                return
            if tag != ITEM or length > end - self.file.tell():
                raise UnreadableDicom("The fragments are truncated or malformed (PS3.5 section A.4).")
            self._fragments += 1
            if self._fragments > MAX_FRAGMENTS:
                raise LimitExceeded("The file contains too many fragments.")
            self.file.seek(length, 1)

    def _item_header(self, encoding: Encoding) -> tuple[int, int]:
        header = self.file.read(8)
        if len(header) < 8:
            raise UnreadableDicom("The file is truncated within a sequence or fragments.")
        group, number, length = HEADERS[encoding.little].implicit.unpack(header)
        return group << 16 | number, length


def read_header(file: BinaryIO, encoding: Encoding) -> tuple[int, str | None, int] | None:
    """Read the header of an element: tag, VR and length of the value; None at the end of the file.

    An unknown VR has a length of two bytes, or of four as new VRs have (PS3.5 section 7.1.2). So has one of other
    printable characters, which some devices write: blanks, `??`, `lo`; its VR is returned as None. Without a plausible
    VR, the header is read as implicit VR, to which some files change in the middle.
    """
    head = file.read(8)
    if len(head) < 8:
        return None
    headers = HEADERS[encoding.little]
    if encoding.implicit:
        group, number, length = headers.implicit.unpack(head)
        return group << 16 | number, None, length
    group, number, code, length = headers.short.unpack(head)
    vr = _VRS.get(code)
    if vr is None:
        if is_vr(code):
            vr = code.decode("latin-1")
            length = length or _long_length(file, encoding)
        elif code in (b"  ", b"??") or (length and code.isascii() and code.decode().isprintable()):
            return group << 16 | number, None, length
        else:
            group, number, length = headers.implicit.unpack(head)
            return group << 16 | number, None, length
    elif vr in LONG_VRS:
        rest = file.read(4)
        if len(rest) < 4:
            raise UnreadableDicom("The file is truncated within a data element.")
        length = int.from_bytes(rest, "little" if encoding.little else "big")
    return group << 16 | number, vr, length


def _long_length(file: BinaryIO, encoding: Encoding) -> int:
    """Return the length of four bytes that follows two zeros; 0 where an element or the end of the file follows."""
    start = file.tell()
    following = file.read(6)
    if len(following) < 6 or is_vr(following[4:6]):
        file.seek(start)
        return 0
    file.seek(start + 4)
    return int.from_bytes(following[:4], "little" if encoding.little else "big")


def is_vr(text: bytes) -> bool:
    """Whether these bytes are two capitals, as each VR is."""
    return len(text) == 2 and text.isalpha() and text.isupper()
