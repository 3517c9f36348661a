"""Finds the pixel data in the beginning of a DICOM file (PS3.10 section 7, PS3.5 section 7)."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from orthancproxy.errors import ArchiveProtocolError

IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NUMBER_OF_FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
SAMPLES_PER_PIXEL, BITS_ALLOCATED = 0x00280002, 0x00280100

_PREAMBLE_BYTES = 128
_PREFIX = b"DICM"
_TRANSFER_SYNTAX, _PIXEL_DATA = 0x00020010, 0x7FE00010
_META_GROUP, _DELIMITERS = 0x0002, 0xFFFE
_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_WANTED = frozenset({_TRANSFER_SYNTAX, NUMBER_OF_FRAMES, ROWS, COLUMNS, SAMPLES_PER_PIXEL, BITS_ALLOCATED})
_EXPLICIT, _LENGTH = struct.Struct("<HH2sH"), struct.Struct("<I")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PixelData:
    """The pixel data of a file: where the value begins and, unless it is fragments, its length in bytes."""

    offset: int
    length: int | None
    values: Mapping[int, bytes]  # of _WANTED

    @property
    def transfer_syntax(self) -> str:
        """The UID of the transfer syntax."""
        return _text(self.values.get(_TRANSFER_SYNTAX, b""))

    @property
    def frames(self) -> int:
        """The number of frames."""
        text = _text(self.values.get(NUMBER_OF_FRAMES, b""))
        return max(int(text), 1) if _NUMBER.fullmatch(text) else 1

    @property
    def frame_bytes(self) -> int:
        """The length of a frame that is not compressed."""
        bits = 1
        for tag in (ROWS, COLUMNS, SAMPLES_PER_PIXEL, BITS_ALLOCATED):
            bits *= int.from_bytes(self.values.get(tag, b"")[:2], "little")
        return (bits + 7) // 8


class PixelDataSearch:
    """Finds the pixel data of a little endian file that arrives in chunks, each of which is read once.

    `rest` has the bytes that were not read yet; once the pixel data are found, those of the value that have arrived.
    """

    def __init__(self) -> None:
        self.rest = bytearray()
        self._offset = 0  # of the rest, in the file
        self._position = _PREAMBLE_BYTES + len(_PREFIX)  # of the next element, in the file
        self._depth = 0  # of sequences whose end is a delimiter; others are skipped as a whole
        self._unknown_from = 0  # the depth of one of VR UN, whose items are in implicit VR (PS3.5 section 6.2.2)
        self._is_implicit = False
        self._values: dict[int, bytes] = {}

    def feed(self, chunk: bytes) -> PixelData | None:
        """Return the pixel data if the chunks so far have their beginning.

        Raises ArchiveProtocolError for what is no DICOM file.
        """
        self.rest += chunk
        if not self._offset:
            if len(self.rest) < self._position:
                return None
            if self.rest[_PREAMBLE_BYTES : self._position] != _PREFIX:
                raise ArchiveProtocolError
        try:
            return self._find()
        except struct.error:
            # the next element has not arrived
            return None
        finally:
            taken = min(self._position - self._offset, len(self.rest))
            del self.rest[:taken]
            self._offset += taken

    def _find(self) -> PixelData | None:
        while True:
            is_implicit = self._is_implicit or self._unknown_from > 0
            tag, vr, length, start = _header(self.rest, self._position - self._offset, is_implicit=is_implicit)
            if tag == _SEQUENCE_END:
                self._unknown_from = 0 if self._unknown_from == self._depth else self._unknown_from
                self._depth -= 1
            elif tag == _PIXEL_DATA and not self._depth:
                self._position = self._offset + start
                return PixelData(self._position, None if length == _UNDEFINED else length, self._values)
            elif length != _UNDEFINED:
                if tag in _WANTED and not self._depth:
                    if len(self.rest) < start + length:
                        return None
                    value = self._values[tag] = bytes(self.rest[start : start + length])
                    if tag == _TRANSFER_SYNTAX:
                        self._is_implicit = _text(value) == IMPLICIT_LITTLE
                start += length
            elif tag != _ITEM:
                self._depth += 1
                if vr == b"UN" and not self._unknown_from:
                    self._unknown_from = self._depth
            self._position = self._offset + start


def _header(head: bytearray, position: int, *, is_implicit: bool) -> tuple[int, bytes, int, int]:
    """Return tag, VR, length and offset of the value of an element; the VR is empty for items and in implicit VR."""
    group, number, vr, length = _EXPLICIT.unpack_from(head, position)
    tag = group << 16 | number
    if group == _DELIMITERS or (is_implicit and group != _META_GROUP):
        return tag, b"", *_LENGTH.unpack_from(head, position + 4), position + 8
    if vr in _LONG_VRS:
        return tag, vr, *_LENGTH.unpack_from(head, position + 8), position + 12
    return tag, vr, length, position + 8


def _text(value: bytes) -> str:
    return value.strip(b"\0 ").decode("ascii", "replace")
