"""Corrects a stored file: some attributes and its identifiers change, its pixels do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from orthancproxy.dicom.conversion import Conversion, References
from orthancproxy.dicom.elements import SPECIFIC_CHARACTER_SET, ByteRange, Element
from orthancproxy.dicom.file_format import (
    PIXEL_DATA,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    DicomFile,
    malformed_as_error,
)
from orthancproxy.dicom.payload import Payload, encoded, text_element
from orthancproxy.dicom.sources import chunks
from orthancproxy.dicom.text import UTF_8

_PATIENT = frozenset({0x00100010, 0x00100020})  # PatientName, PatientID
# FloatPixelData, DoubleFloatPixelData, PixelData, and what documents and waveforms have instead
_CONTENT = (0x7FE00008, 0x7FE00009, PIXEL_DATA, 0x00420011)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a file becomes: new values by tag, None for those to remove, its identifiers, and what references become."""

    values: Mapping[int, str | None]
    series_instance_uid: str
    sop_instance_uid: str
    references: References


def correct(file: DicomFile, correction: Correction) -> Payload:
    """Return the corrected file, with its text in UTF-8; `file` is not changed.

    Items of sequences that have the PatientID or PatientName of the file get the new one. Digital signatures are left
    out. Raises UnreadableDicom, UnsafeDicom or LimitExceeded.
    """
    with malformed_as_error():
        patient = {tag: value or "" for tag, value in correction.values.items() if tag in _PATIENT}
        conversion = Conversion(file, correction.references, patient)
        elements = conversion.convert(file.elements, file.encodings, nested=False)
        values = {
            **correction.values,
            SPECIFIC_CHARACTER_SET: UTF_8,
            STUDY_INSTANCE_UID: correction.references.study_instance_uid,
            SERIES_INSTANCE_UID: correction.series_instance_uid,
            SOP_INSTANCE_UID: correction.sop_instance_uid,
        }
        for tag, value in values.items():
            if value is None:
                elements.pop(tag, None)
            else:
                elements[tag] = text_element(tag, value)
        return encoded(file, elements, correction.sop_instance_uid)


def content_digest(file: DicomFile) -> bytes:
    """Return a digest of the pixels of a file as they are stored, or of its document; files with neither are equal."""
    digest = sha256()
    for tag in _CONTENT:
        element = file.elements.get(tag)
        if element is not None:
            digest.update(tag.to_bytes(4, "big"))
            _update(digest, file, element)
    return digest.digest()


def _update(digest: Any, file: DicomFile, element: Element) -> None:
    value = element.value
    if isinstance(value, ByteRange):
        for chunk in chunks(file.source, value.offset, value.length):
            digest.update(chunk)
    elif isinstance(value, bytes):
        digest.update(value)
