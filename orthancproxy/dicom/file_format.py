"""Parses DICOM files (PS3.10 section 7)."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from orthancproxy.dicom.element_parser import ElementParser, is_vr, read_header
from orthancproxy.dicom.elements import KNOWN_VRS, Element, Elements, Encoding
from orthancproxy.dicom.sources import (
    FileRange,
    Source,
    chunks,
    disk_full_as_error,
    load_if_small,
    open_source,
    open_spool,
)
from orthancproxy.dicom.text import LATIN_1, Encodings, encodings_of
from orthancproxy.errors import EmptyFile, GatewayError, LimitExceeded, NotDicom, UnreadableDicom, UnsafeDicom

ALWAYS_INFLATABLE_BYTES = 64 * 1024**2  # whatever the ratio
MAX_INFLATION_RATIO = 100
EXPLICIT_LITTLE = Encoding(implicit=False, little=True)
INFLATE_CHUNK_BYTES = 64 * 1024
MAX_META_VALUE_BYTES = 4 * 1024
MAX_META_ELEMENTS = 100
MAX_FIRST_VALUE_BYTES = 64  # of a data set without a preamble: a UID, or the length of a group
PREAMBLE_AND_PREFIX_BYTES = 132
DICOMDIR = "This is a DICOMDIR, a list of files: upload the files instead."
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
STANDARD_UID_PREFIX = "1.2.840.10008."
# Deflated Explicit VR, JPIP Referenced Deflate, JPIP HTJ2K Referenced Deflate (PS3.5 sections A.5, A.7, A.11)
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
UID = re.compile(r"[0-9.]{1,64}", re.ASCII)

TRANSFER_SYNTAX_UID = 0x00020010
MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
DIRECTORY_RECORDS = 0x00041220
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A parsed DICOM file: its data elements, with long values left in `source`.

    The offsets of `ByteRange` values count from the start of `source`, which is the inflated data set for deflated
    transfer syntaxes. `memory_bytes` is roughly the memory in use besides the source.
    """

    source: Source
    meta: Elements
    elements: Elements
    encoding: Encoding
    transfer_syntax_uid: str
    encodings: Encodings
    memory_bytes: int

    def text(self, tag: int) -> str:
        """Return the value of an element as text without padding; empty if it is missing."""
        return text_of(self.elements, tag, self.encodings)

    @property
    def is_deflated(self) -> bool:
        """Whether the transfer syntax is deflated, so that `source` is not the file itself."""
        return self.transfer_syntax_uid in DEFLATED

    @property
    def sop_class_uid(self) -> str:
        """SOPClassUID (0008,0016); empty if it is missing."""
        return self.text(SOP_CLASS_UID)

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID (0008,0018); empty if it is missing."""
        return self.text(SOP_INSTANCE_UID)

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D); empty if it is missing."""
        return self.text(STUDY_INSTANCE_UID)

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID (0020,000E); empty if it is missing."""
        return self.text(SERIES_INSTANCE_UID)


def read(source: Source, fallback: str = LATIN_1) -> DicomFile:
    """Parse a file; `fallback` is the codec of text that is in no other.

    Raises InvalidDicom, LimitExceeded or InsufficientStorage only.
    """
    if not source.size:
        raise EmptyFile("The file is empty.")
    has_preamble = source.read_at(PREAMBLE_AND_PREFIX_BYTES - 4, 4) == b"DICM"
    if not has_preamble and not _begins_like_data_set(source.read_at(0, 8)):
        raise NotDicom("This is not a DICOM file: DICM is missing at byte 128 (PS3.10 section 7.1).")
    with malformed_as_error():
        return _read(source, PREAMBLE_AND_PREFIX_BYTES if has_preamble else 0, Encodings(fallback=fallback))


@contextmanager
def malformed_as_error() -> Iterator[None]:
    """Raise UnreadableDicom, UnsafeDicom or LimitExceeded for any exception that a malformed file causes.

    Raises InsufficientStorage if the disk is full.
    """
    try:
        with disk_full_as_error():
            yield
    except GatewayError:
        raise
    except RecursionError as error:
        raise UnsafeDicom("The file is nested too deeply.") from error
    except MemoryError as error:
        raise LimitExceeded("The file is too large to be parsed.") from error
    except Exception as error:
        raise UnreadableDicom("The file is malformed.") from error


def text_of(elements: Elements, tag: int, encodings: Encodings) -> str:
    """Return the value of an element as text without padding; empty if it is missing."""
    element = elements.get(tag)
    if element is None or not isinstance(element.value, bytes):
        return ""
    return encodings.decode(element.value)[0].strip("\0 ")


def _read(source: Source, start: int, undeclared: Encodings) -> DicomFile:
    source = load_if_small(source)
    file = open_source(source)
    file.seek(start)
    meta = _read_meta(file, source.size)
    media_class = text_of(meta, MEDIA_STORAGE_SOP_CLASS_UID, undeclared)
    if media_class == MEDIA_STORAGE_DIRECTORY:
        raise NotDicom(DICOMDIR)
    declared = text_of(meta, TRANSFER_SYNTAX_UID, undeclared)
    if declared in DEFLATED:
        source = _inflated(source, file.tell())
        file = open_source(source)
    transfer_syntax_uid, encoding = _transfer_syntax(declared, file)
    parser = ElementParser(file, source.size)
    elements = parser.parse(encoding)
    _check_groups(elements)
    if not meta and _is_compressed(elements):
        raise UnreadableDicom("The file is compressed and has no file meta information to tell how.")
    encodings = encodings_of(elements, undeclared)
    result = DicomFile(source, meta, elements, encoding, transfer_syntax_uid, encodings, parser.memory_bytes)
    if result.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        raise NotDicom(DICOMDIR)
    if not UID.fullmatch(result.sop_class_uid):
        raise UnreadableDicom("The file has no valid SOPClassUID.")
    return result


def _begins_like_data_set(start: bytes) -> bool:
    """Whether a file begins with an element of group 0002, 0004 or 0008, without a preamble."""
    if _is_big_endian(start):
        return True
    if len(start) < 8 or start[:2] not in (b"\2\0", b"\4\0", b"\b\0"):
        return False
    length = int.from_bytes(start[4:], "little")
    return start[4:6].decode("latin-1") in KNOWN_VRS or (length <= MAX_FIRST_VALUE_BYTES and length % 2 == 0)


def _is_big_endian(start: bytes) -> bool:
    """Whether a data set begins with group 0008 in explicit VR big endian."""
    return start[:2] == b"\0\b" and start[4:6].decode("latin-1") in KNOWN_VRS


def _check_groups(elements: Elements) -> None:
    if DIRECTORY_RECORDS in elements:
        raise NotDicom(DICOMDIR)
    if min(elements, default=0) >> 16 < 0x0008:
        raise UnreadableDicom("The file contains elements that do not belong to a data set (PS3.10 section 7.1).")


def _is_compressed(elements: Elements) -> bool:
    """Whether the pixels are fragments (PS3.5 section A.4), which only the transfer syntax tells how to decode."""
    pixels = elements.get(PIXEL_DATA)
    return pixels is not None and pixels.undefined


def _read_meta(file: BinaryIO, size: int) -> Elements:
    """Parse the file meta information, in explicit VR little endian, up to the data set. Of two, the first counts."""
    meta: Elements = {}
    count = 0
    start = file.tell()
    while header := read_header(file, EXPLICIT_LITTLE):
        tag, vr, length = header
        if tag >> 16 != 0x0002:
            break
        count += 1
        if count > MAX_META_ELEMENTS:
            raise LimitExceeded("The file meta information contains too many data elements.")
        if vr is None or length > min(MAX_META_VALUE_BYTES, size - file.tell()):
            raise UnreadableDicom("The file meta information is malformed (PS3.10 section 7.1).")
        meta.setdefault(tag, Element(tag, vr, file.read(length)))
        start = file.tell()
    file.seek(start)
    return meta


def _transfer_syntax(declared: str, file: BinaryIO) -> tuple[str, Encoding]:
    """Return the transfer syntax and its encoding; the actual one if a basic one is mislabelled or missing."""
    start = file.read(6)
    file.seek(-len(start), 1)
    explicit = is_vr(start[4:6])
    if not declared and _is_big_endian(start):
        return str(ExplicitVRBigEndian), Encoding(implicit=False, little=False)
    if declared in ("", ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        found = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
        return str(found), Encoding(implicit=not explicit, little=True)
    if not UID.fullmatch(declared):
        raise UnreadableDicom("The file has no valid TransferSyntaxUID.")
    if not explicit and declared.startswith(STANDARD_UID_PREFIX):
        raise UnreadableDicom("The data set does not match the declared transfer syntax.")
    return declared, Encoding(implicit=not explicit, little=declared != ExplicitVRBigEndian)


def _inflated(source: Source, offset: int) -> Source:
    """Inflate the rest of a file (PS3.5 section A.5) to disk. Raises LimitExceeded or UnreadableDicom."""
    max_bytes = max(ALWAYS_INFLATABLE_BYTES, MAX_INFLATION_RATIO * source.size)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with open_spool() as spool:
        size = 0
        for chunk in chunks(source, offset):
            while chunk and not inflater.eof:
                size += spool.write(inflater.decompress(chunk, INFLATE_CHUNK_BYTES))
                chunk = inflater.unconsumed_tail
                if size > max_bytes:
                    raise LimitExceeded("The inflated data set is too large.")
        size += spool.write(inflater.flush())
        if not inflater.eof:
            raise UnreadableDicom("The file is truncated within its deflated data set.")
        spool.flush()
        return FileRange(spool, 0, size)
