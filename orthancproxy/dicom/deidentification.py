"""De-identifies a DICOM file: the profile of `confidentiality`, with a new identity and new UIDs.

Orthanc's own anonymization cannot shift dates, and leaves identifying values (ADR 0034).
"""

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from orthancproxy.dicom.confidentiality import TEMPORAL_VRS, ConfidentialityOptions, Rule, rule_of
from orthancproxy.dicom.elements import SPECIFIC_CHARACTER_SET, ByteRange, Element, Elements
from orthancproxy.dicom.file_format import (
    SOP_INSTANCE_UID,
    STANDARD_UID_PREFIX,
    DicomFile,
    malformed_as_error,
    text_of,
)
from orthancproxy.dicom.identifiers import Identifiers
from orthancproxy.dicom.payload import Payload, encoded, text_element
from orthancproxy.dicom.rewrite import PATIENT_ID, PATIENT_NAME
from orthancproxy.dicom.sources import CHUNK_BYTES
from orthancproxy.dicom.text import ASCII_VRS, TEXT_VRS, Encodings, encodings_of, vr_of

PATIENT_IDENTITY_REMOVED, DEIDENTIFICATION_METHOD, METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
LONGITUDINAL_INFORMATION = 0x00280303
CODE_VALUE, CODING_SCHEME, SCHEME_VERSION, CODE_MEANING = 0x00080100, 0x00080102, 0x00080103, 0x00080104

REPLACEMENT = "ANONYMIZED"
METHOD = "PS3.15 Basic Profile 2026c"
# PS3.16 CID 7050
PROFILE_CODE = ("113100", "Basic Application Confidentiality Profile")
DATES_CODE = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
DEVICE_CODE = ("113109", "Retain Device Identity Option")

# of the same length and form whatever they replace; text is not in them
_DUMMIES = {"AS": "000Y", "DA": "19000101", "DT": "19000101000000", "TM": "000000", "DS": "0", "IS": "0"}
_NUMBERS = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_FREE_TEXT = TEXT_VRS | {"AE", "UR"}
# devices write text in attributes of all of them; a number or UID quotes nobody, though it may have somebody's digits
_SEARCHED = (TEXT_VRS | ASCII_VRS | {"UI"}) - TEMPORAL_VRS
_OF_NUMBERS = frozenset({"DS", "IS", "UI"})
_NUMBERS_ONLY = re.compile(rb"[-+0-9.eE\\\s\0]*")
# without which text, pixels and reports cannot be read: character sets, colour models, types of content items
_NOT_SEARCHED = frozenset({SPECIFIC_CHARACTER_SET, 0x00280004, 0x0040A040})
# PS3.5 section 6.2
_TIME = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_TEMPORAL = {
    "DA": re.compile(r"\d{8}", re.ASCII),
    "DT": re.compile(rf"\d{{8}}(?:{_TIME})?(?:[+-][01]\d[0-5]\d)?", re.ASCII),
    "TM": re.compile(_TIME, re.ASCII),
}
# as before DICOM
_DATE_WITH_POINTS, _TIME_WITH_COLONS = re.compile(r"\d{4}\.\d\d\.\d\d"), re.compile(r"\d\d(?::\d\d){1,2}(?:\.\d+)?")
# everybody's codes (PS3.16 section 8), of which no meaning is about somebody
_PUBLIC_SCHEMES = frozenset({"DCM", "SCT", "SRT", "SNM3", "LN", "UCUM", "FMA", "RADLEX", "NCIt", "UMLS", "MDC"})
# names and numbers by which people are found, wherever they are written
_IDENTIFIERS = frozenset(
    {0x00080050, 0x00080080, 0x00080081, 0x00081040, 0x00100020, 0x00101000, 0x00101040, 0x00102154, 0x00380010}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIdentity:
    """What files become: the patient, and the secret that new UIDs are derived from.

    Files with one secret refer to each other as before. Nobody derives the old UIDs from the new ones without it.
    `shift` moves the dates, if the options say that they are moved.
    """

    patient_id: str
    patient_name: str
    secret: bytes = field(repr=False)
    shift: timedelta = timedelta()

    def uid(self, old: str) -> str:
        """Return the new UID of an old one, of the form 2.25 (PS3.5 section B.2); UIDs of the standard stay."""
        if not old or old.startswith(STANDARD_UID_PREFIX):
            return old
        return f"2.25.{int.from_bytes(hmac.digest(self.secret, old.encode(), 'sha256')[:16], 'big')}"


@dataclass(frozen=True)
class Deidentified:
    """A file without what identifies a patient."""

    source: DicomFile
    elements: Elements

    @cached_property
    def payload(self) -> Payload:
        """The file as it is stored, with file meta information of its own."""
        with malformed_as_error():
            uid = text_of(self.elements, SOP_INSTANCE_UID, Encodings())
            return encoded(replace(self.source, meta={}), self.elements, uid)


def deidentify(file: DicomFile, identity: NewIdentity, options: ConfidentialityOptions) -> Deidentified:
    """Return the file without what identifies its patient; `file` is not changed. Raises UnreadableDicom."""
    with malformed_as_error():
        deidentification = _Deidentification(file, identity, options)
        elements = deidentification.convert(file.elements, file.encodings)
        deidentification.clean_kept_text()
        elements |= _statement(options)
        elements[PATIENT_ID] = text_element(PATIENT_ID, identity.patient_id)
        elements[PATIENT_NAME] = text_element(PATIENT_NAME, identity.patient_name)
        return Deidentified(file, elements)


def _statement(options: ConfidentialityOptions) -> Elements:
    """Return what a file says of its de-identification (PS3.3 sections C.7.1.1, C.12.1.1)."""
    codes = [
        PROFILE_CODE,
        *([DATES_CODE] if options.shifts_dates else []),
        *([DEVICE_CODE] if options.keeps_device else []),
    ]
    items = [
        {
            tag: text_element(tag, value)
            for tag, value in ((CODE_VALUE, code), (CODING_SCHEME, "DCM"), (CODE_MEANING, meaning))
        }
        for code, meaning in codes
    ]
    return {
        PATIENT_IDENTITY_REMOVED: text_element(PATIENT_IDENTITY_REMOVED, "YES"),
        DEIDENTIFICATION_METHOD: text_element(DEIDENTIFICATION_METHOD, METHOD),
        METHOD_CODES: Element(METHOD_CODES, "SQ", items),
        LONGITUDINAL_INFORMATION: text_element(
            LONGITUDINAL_INFORMATION, "MODIFIED" if options.shifts_dates else "REMOVED"
        ),
    }


class _Deidentification:
    """The conversion of one file."""

    def __init__(self, file: DicomFile, identity: NewIdentity, options: ConfidentialityOptions) -> None:
        self._file = file
        self._identity = identity
        self._options = options
        self._identifiers = Identifiers()
        self._kept: list[tuple[Elements, Element, str, str]] = []

    def convert(self, elements: Elements, encodings: Encodings, *, is_cleaned: bool = False) -> Elements:
        """Return the elements of a data set or item; `is_cleaned`: without any text that people write."""
        encodings = encodings_of(elements, encodings)
        is_code = is_cleaned and self._is_public_code(elements, encodings)
        converted: Elements = {}
        for tag, element in elements.items():
            vr = vr_of(element, elements)
            rule = rule_of(tag, vr, self._options)
            if is_cleaned and not is_code and rule is Rule.KEEP and vr in _FREE_TEXT:
                rule = Rule.REPLACE
            if rule is Rule.KEEP and isinstance(element.value, ByteRange) and self._is_searched(element, vr):
                # too long to be searched for identifiers
                rule = Rule.REPLACE
            if tag in _IDENTIFIERS or vr == "PN":
                self._note_identifiers(element, vr, encodings)
            new = self._converted(element, vr, rule, encodings, is_cleaned=is_cleaned)
            if new is not None:
                converted[tag] = new
                if rule is Rule.KEEP and isinstance(new.value, bytes) and self._is_searched(new, vr):
                    self._kept.append((converted, new, vr, encodings.decode(new.value)[0]))
        return converted

    def clean_kept_text(self) -> None:
        """Replace text that names what identifies the patient elsewhere in the file."""
        cleaned: dict[tuple[str, str], str] = {}
        for elements, element, vr, text in self._kept:
            if (vr, text) not in cleaned:
                cleaned[vr, text] = self._without_identifiers(vr, text)
            if cleaned[vr, text] != text:
                elements[element.tag] = text_element(element.tag, cleaned[vr, text], element.vr or vr)

    def _without_identifiers(self, vr: str, text: str) -> str:
        if not self._identifiers.are_in(text):
            return text
        if vr == "CS" and text.isascii():
            # the other values are terms of their own, such as those of ImageType
            values = text.split("\\")
            return "\\".join(REPLACEMENT if self._identifiers.are_in(value) else value for value in values)
        return _DUMMIES.get(vr, "" if vr == "UI" else REPLACEMENT)

    def _is_searched(self, element: Element, vr: str) -> bool:
        if vr not in _SEARCHED or element.tag in _NOT_SEARCHED or not element.value:
            return False
        return vr not in _OF_NUMBERS or not all(map(_NUMBERS_ONLY.fullmatch, self._chunks(element.value)))

    def _converted(
        self, element: Element, vr: str, rule: Rule, encodings: Encodings, *, is_cleaned: bool
    ) -> Element | None:
        tag, value = element.tag, element.value
        if isinstance(value, list):
            if rule is Rule.REMOVE:
                return None
            is_cleaned |= rule is Rule.REPLACE
            items = [] if rule is Rule.EMPTY else [self.convert(one, encodings, is_cleaned=is_cleaned) for one in value]
            return Element(tag, element.vr, items, element.undefined, element.is_little)
        match rule:
            case Rule.REMOVE:
                return None
            case Rule.EMPTY:
                return Element(tag, element.vr, b"")
            case Rule.REPLACE:
                return Element(tag, element.vr, self._dummy(value, vr))
            case Rule.MAP_UIDS:
                return text_element(tag, "\\".join(map(self._identity.uid, self._texts(value))), "UI")
        if vr in TEMPORAL_VRS:
            return text_element(tag, "\\".join(self._shifted(one, vr) for one in self._texts(value)), element.vr or vr)
        return element

    def _dummy(self, value: bytes | ByteRange, vr: str) -> bytes:
        if not value:
            return b""
        if vr in _NUMBERS:
            return bytes(_NUMBERS[vr])
        if vr in _BINARY:
            return b"\0\0"
        text = _DUMMIES.get(vr, REPLACEMENT)
        return text.encode() + b" " * (len(text) % 2)

    def _shifted(self, text: str, vr: str) -> str:
        """Return a time, or a date with an optional time, moved; empty for what is incomplete or malformed."""
        if (_TIME_WITH_COLONS if vr == "TM" else _DATE_WITH_POINTS).fullmatch(text):
            text = text.replace(":" if vr == "TM" else ".", "")
        if not _TEMPORAL[vr].fullmatch(text):
            return ""
        if vr == "TM":
            return text
        try:
            moved = datetime.strptime(text[:8], "%Y%m%d") + self._identity.shift  # noqa: DTZ007 - a date
        except (ValueError, OverflowError):
            return ""
        return f"{moved:%Y%m%d}".rjust(8, "0") + text[8:]

    def _texts(self, value: bytes | ByteRange) -> list[str]:
        return [one.strip("\0 ") for one in b"".join(self._chunks(value)).decode("latin-1").split("\\")]

    def _chunks(self, value: bytes | ByteRange | list[Elements]) -> Iterator[bytes]:
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, ByteRange):
            end = value.offset + value.length
            for start in range(value.offset, end, CHUNK_BYTES):
                yield self._file.source.read_at(start, min(CHUNK_BYTES, end - start))

    def _is_public_code(self, elements: Elements, encodings: Encodings) -> bool:
        return text_of(elements, CODING_SCHEME, encodings) in _PUBLIC_SCHEMES

    def _note_identifiers(self, element: Element, vr: str, encodings: Encodings) -> None:
        if not isinstance(element.value, bytes):
            return
        text = encodings.decode(element.value)[0]
        if vr == "PN":
            self._identifiers.note_name(text)
        else:
            self._identifiers.note(text)
