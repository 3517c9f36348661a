"""DICOM files as they are sent to Orthanc."""

import zlib
from collections.abc import Iterator
from struct import pack

from orthancproxy.dicom.element_writer import write
from orthancproxy.dicom.elements import ByteRange, Chunks, Element, Elements, known_vr
from orthancproxy.dicom.file_format import (
    EXPLICIT_LITTLE,
    MEDIA_STORAGE_SOP_CLASS_UID,
    TRANSFER_SYNTAX_UID,
    DicomFile,
)
from orthancproxy.dicom.sources import FileRange, Source, chunks, disk_full_as_error, open_spool
from orthancproxy.dicom.text import encode

IMPLEMENTATION_CLASS_UID = "2.25.317408936259428715637486024915872063"
IMPLEMENTATION_VERSION_NAME = "ORTHANC_GATEWAY"
FILE_META_INFORMATION_VERSION = 0x00020001
MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
IMPLEMENTATION_CLASS = 0x00020012
IMPLEMENTATION_VERSION = 0x00020013
# the preamble could contain an executable (CVE-2019-11687)
EMPTY_PREAMBLE = bytes(128) + b"DICM"


class Payload:
    """The bytes of a file in chunks, which can be iterated over repeatedly. Its `len` is their number."""

    def __init__(self, written: Chunks, source: Source, length: int) -> None:
        self._chunks = _joined(written)
        self._source = source
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes | memoryview]:
        for chunk in self._chunks:
            if isinstance(chunk, ByteRange):
                yield from chunks(self._source, chunk.offset, chunk.length)
            else:
                yield chunk

    def __bytes__(self) -> bytes:
        return b"".join(self)


def encoded(file: DicomFile, elements: Elements, sop_instance_uid: str) -> Payload:
    """Return a file with these elements, in the transfer syntax of `file`, whose source has their long values."""
    written, length = write(elements, file.encoding)
    source = file.source
    if file.is_deflated:
        source = _deflated(Payload(written, source, length))
        written, length = [ByteRange(0, source.size)], source.size
    meta: Elements = {
        **file.meta,
        FILE_META_INFORMATION_VERSION: Element(FILE_META_INFORMATION_VERSION, "OB", b"\0\1"),
        MEDIA_STORAGE_SOP_CLASS_UID: text_element(MEDIA_STORAGE_SOP_CLASS_UID, file.sop_class_uid),
        MEDIA_STORAGE_SOP_INSTANCE_UID: text_element(MEDIA_STORAGE_SOP_INSTANCE_UID, sop_instance_uid),
        TRANSFER_SYNTAX_UID: text_element(TRANSFER_SYNTAX_UID, file.transfer_syntax_uid),
        IMPLEMENTATION_CLASS: text_element(IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID),
        IMPLEMENTATION_VERSION: text_element(IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME),
    }
    head, head_length = write(meta, EXPLICIT_LITTLE)
    start = EMPTY_PREAMBLE + pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, head_length)
    return Payload([start, *head, *written], source, len(start) + head_length + length)


def unchanged(source: Source) -> Payload:
    """Return a file as it is, but for its preamble."""
    rest = ByteRange(len(EMPTY_PREAMBLE), source.size - len(EMPTY_PREAMBLE))
    return Payload([EMPTY_PREAMBLE, rest], source, source.size)


def _joined(written: Chunks) -> Chunks:
    """Join adjacent chunks in memory, since each chunk is sent by a separate call."""
    joined: Chunks = []
    in_memory: list[bytes] = []
    for chunk in (*written, None):
        if isinstance(chunk, bytes):
            in_memory.append(chunk)
            continue
        joined.append(b"".join(in_memory))
        in_memory.clear()
        if chunk is not None:
            joined.append(chunk)
    return joined


def _deflated(payload: Payload) -> Source:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    with disk_full_as_error(), open_spool() as spool:
        size = sum(spool.write(deflater.compress(chunk)) for chunk in payload)
        size += spool.write(deflater.flush())
        if size % 2:
            # PS3.5 section A.5: padded to an even length
            size += spool.write(b"\0")
        spool.flush()
        return FileRange(spool, 0, size)


def text_element(tag: int, text: str, vr: str | None = None) -> Element:
    """Return an element with this text, padded to an even length."""
    vr = vr or known_vr(tag)
    return Element(tag, vr, encode(text, b"\0" if vr == "UI" else b" "))
