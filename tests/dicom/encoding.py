"""Encodes DICOM files that pydicom cannot write, or whose exact bytes matter."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.uid import UID, CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

PREAMBLE = b"MZ" + bytes(range(126))
"""What an executable in the preamble would begin with."""

STUDY = "1.2.826.0.1.3680043.8.498.7.1"
SERIES = f"{STUDY}.2"
INSTANCE = f"{SERIES}.3"

UNDEFINED = 0xFFFFFFFF

ITEM = 0xFFFEE000
ITEM_DELIMITATION = 0xFFFEE00D
SEQUENCE_DELIMITATION = 0xFFFEE0DD

_LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


@dataclass(frozen=True, slots=True)
class ElementEncoder:
    """The encoding of elements: explicit or implicit VR, little or big endian (DICOM PS3.5 section 7)."""

    implicit: bool = False
    big_endian: bool = False

    def element(self, tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
        """One element; values of odd length are padded; `length` claims another than it has."""
        if len(value) % 2:
            value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
        if length is None:
            length = len(value)
        return self.header(tag, vr, length) + value

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """All of an element that comes before its value."""
        order = ">" if self.big_endian else "<"
        start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
        if self.implicit or tag >> 16 == 0xFFFE:
            return start + struct.pack(f"{order}L", length)
        if vr in _LONG_VRS:
            return start + vr.encode() + struct.pack(f"{order}HL", 0, length)
        return start + vr.encode() + struct.pack(f"{order}H", length)

    def item(self, content: bytes, *, defined: bool = True) -> bytes:
        """One item of a sequence or a fragment of encapsulated pixel data."""
        if defined:
            return self.header(ITEM, "", len(content)) + content
        return self.header(ITEM, "", UNDEFINED) + content + self.header(ITEM_DELIMITATION, "", 0)

    def sequence(self, tag: int, *items: bytes, defined: bool = True, vr: str = "SQ") -> bytes:
        """A sequence whose items have these elements; `defined` says whether lengths are given or ends marked."""
        content = b"".join(self.item(item, defined=defined) for item in items)
        return self.items(tag, vr, content, defined=defined)

    def items(self, tag: int, vr: str, content: bytes, *, defined: bool) -> bytes:
        """An element whose value is items that are already written."""
        if defined:
            return self.header(tag, vr, len(content)) + content
        return self.header(tag, vr, UNDEFINED) + content + self.header(SEQUENCE_DELIMITATION, "", 0)

    def encapsulated(self, *fragments: bytes, vr: str = "OB", tag: int = 0x7FE00010) -> bytes:
        """Pixel data in fragments, with an empty offset table."""
        return self.items(tag, vr, b"".join(self.item(part) for part in (b"", *fragments)), defined=False)

    def nested(self, levels: int, innermost: bytes = b"", *, defined: bool, tag: int = 0x00081140) -> bytes:
        """A sequence within a sequence and so on; one level is a sequence with an item of the innermost elements."""
        size = len(innermost)
        starts: list[bytes] = []
        for _ in range(levels):
            item_header = self.header(ITEM, "", size if defined else UNDEFINED)
            size += len(item_header) + (0 if defined else 8)
            sequence_header = self.header(tag, "SQ", size if defined else UNDEFINED)
            size += len(sequence_header) + (0 if defined else 8)
            starts.append(sequence_header + item_header)
        end = self.header(ITEM_DELIMITATION, "", 0) + self.header(SEQUENCE_DELIMITATION, "", 0)
        return b"".join(reversed(starts)) + innermost + (b"" if defined else end * levels)

    def us(self, tag: int, value: int) -> bytes:
        """An element of one unsigned short."""
        return self.element(tag, "US", struct.pack(">H" if self.big_endian else "<H", value))

    def dataset(self, elements: Mapping[int, bytes | None] | None = None) -> bytes:
        """The elements of a small CT slice, in order; those given are added or replace, None leaves one out."""
        all_elements: dict[int, bytes | None] = {
            0x00080016: self.element(0x00080016, "UI", CTImageStorage.encode()),
            0x00080018: self.element(0x00080018, "UI", INSTANCE.encode()),
            0x00080020: self.element(0x00080020, "DA", b"20200102"),
            0x00080030: self.element(0x00080030, "TM", b"030405"),
            0x00080060: self.element(0x00080060, "CS", b"CT"),
            0x00081030: self.element(0x00081030, "LO", b"Old description"),
            0x00100010: self.element(0x00100010, "PN", b"Old^Name"),
            0x00100020: self.element(0x00100020, "LO", b"OLD-ID"),
            0x0020000D: self.element(0x0020000D, "UI", STUDY.encode()),
            0x0020000E: self.element(0x0020000E, "UI", SERIES.encode()),
            0x00280002: self.us(0x00280002, 1),
            0x00280004: self.element(0x00280004, "CS", b"MONOCHROME2"),
            0x00280010: self.us(0x00280010, 2),
            0x00280011: self.us(0x00280011, 2),
            0x00280100: self.us(0x00280100, 16),
            0x00280101: self.us(0x00280101, 16),
            0x00280102: self.us(0x00280102, 15),
            0x00280103: self.us(0x00280103, 0),
            0x7FE00010: self.element(0x7FE00010, "OW", b"\x00\x01\xfe\xff\xe0\x00\xdd\xe0"),
        }
        all_elements |= elements or {}
        return b"".join(element for _, element in sorted(all_elements.items()) if element is not None)


EXPLICIT = ElementEncoder()
IMPLICIT = ElementEncoder(implicit=True)
BIG_ENDIAN = ElementEncoder(big_endian=True)


def part10(
    dataset: bytes,
    transfer_syntax: str | None = ExplicitVRLittleEndian,
    *,
    sop_class: str = CTImageStorage,
    sop_instance: str = INSTANCE,
) -> bytes:
    """A DICOM file with a preamble and file meta information (DICOM PS3.10 section 7)."""
    meta = EXPLICIT.element(0x00020001, "OB", b"\x00\x01")
    meta += EXPLICIT.element(0x00020002, "UI", sop_class.encode())
    meta += EXPLICIT.element(0x00020003, "UI", sop_instance.encode())
    if transfer_syntax is not None:
        meta += EXPLICIT.element(0x00020010, "UI", transfer_syntax.encode())
    meta += EXPLICIT.element(0x00020012, "UI", b"1.2.3.4.5")
    meta += EXPLICIT.element(0x00020013, "SH", b"OLD_VERSION")
    length = EXPLICIT.element(0x00020000, "UL", struct.pack("<L", len(meta)))
    return PREAMBLE + b"DICM" + length + meta + dataset


def encoding_of(transfer_syntax: str) -> ElementEncoder:
    """The encoding of a transfer syntax."""
    uid = UID(transfer_syntax)
    return ElementEncoder(implicit=uid.is_implicit_VR, big_endian=not uid.is_little_endian)


def deflated(dataset: bytes) -> bytes:
    """A file in the deflated transfer syntax."""
    return part10(deflate(dataset), DeflatedExplicitVRLittleEndian)


def deflate(content: bytes) -> bytes:
    """The raw deflate stream (RFC 1951) of this content, of even length."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    stream = compressor.compress(content) + compressor.flush()
    return stream + bytes(len(stream) % 2)


def deflated_bomb(start: bytes, megabytes: int) -> bytes:
    """A file in the deflated transfer syntax: the elements of `start`, then as many megabytes of zeros."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = compressor.compress(start) + compressor.flush(zlib.Z_FULL_FLUSH)
    # what a full flush ends refers to nothing before it, and can be repeated
    one = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return part10(head + one * megabytes + compressor.flush(), DeflatedExplicitVRLittleEndian)


def ui(*uids: str) -> bytes:
    """The value of a UI element."""
    return "\\".join(uids).encode()


def sop_reference(encoding: ElementEncoder, sop_instance: str, sop_class: str = CTImageStorage) -> bytes:
    """The two elements of an item that refers to an instance."""
    return encoding.element(0x00081150, "UI", ui(sop_class)) + encoding.element(0x00081155, "UI", ui(sop_instance))
