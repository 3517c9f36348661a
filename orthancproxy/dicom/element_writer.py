"""Encodes data elements (PS3.5 section 7)."""

from collections.abc import Sequence

from orthancproxy.dicom.elements import (
    HEADERS,
    ITEM,
    KNOWN_VRS,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    ByteRange,
    Chunks,
    Element,
    Elements,
    Encoding,
    Headers,
    known_vr,
)
from orthancproxy.errors import UnreadableDicom


def write(elements: Elements, encoding: Encoding) -> tuple[Chunks, int]:
    """Encode elements in the order of their tags. Return chunks of bytes, and their total length.

    Group lengths (gggg,0000) are omitted: they are retired, and no longer correct. Raises UnreadableDicom for a value
    that is too long for its VR.
    """
    headers = HEADERS[encoding.little]
    chunks: Chunks = []
    total = 0
    for tag in sorted(elements):
        if not tag & 0xFFFF:
            continue
        element = elements[tag]
        match element.value:
            case list():
                value, length = _write_items(element, encoding)
            case ByteRange():
                value, length = [element.value], element.value.length
            case _:
                value, length = [element.value], len(element.value)
        stated = UNDEFINED if element.undefined and element.vr != "SQ" else length
        header = _header(headers, encoding, element, stated)
        chunks.append(header)
        chunks += value
        total += len(header) + length
    return chunks, total


def _header(headers: Headers, encoding: Encoding, element: Element, length: int) -> bytes:
    group, number = element.tag >> 16, element.tag & 0xFFFF
    if encoding.implicit:
        return headers.implicit.pack(group, number, length)
    vr = element.vr or ("SQ" if isinstance(element.value, list) else known_vr(element.tag))
    if vr not in KNOWN_VRS:
        vr = "UN"
    if vr in LONG_VRS:
        return headers.long.pack(group, number, vr.encode(), length)
    if length > 0xFFFF:
        raise UnreadableDicom(f"The value of ({group:04X},{number:04X}) is too long for its VR.")
    return headers.short.pack(group, number, vr.encode(), length)


def _write_items(element: Element, encoding: Encoding) -> tuple[Chunks, int]:
    """Encode items with defined lengths; in implicit VR and with a delimiter if the element is UN."""
    items: Sequence[Elements] = element.value  # type: ignore[assignment]
    inner = Encoding(encoding.implicit or element.vr == "UN", encoding.little or element.is_little)
    header = HEADERS[inner.little].implicit
    chunks: Chunks = []
    total = 0
    for item in items:
        written, length = write(item, inner)
        chunks += [header.pack(ITEM >> 16, ITEM & 0xFFFF, length), *written]
        total += 8 + length
    if element.undefined and element.vr != "SQ":
        chunks.append(header.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0))
        total += 8
    return chunks, total
