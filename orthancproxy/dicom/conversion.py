"""Converts the elements of a file to UTF-8, and updates its references to other instances."""

from collections.abc import Mapping
from dataclasses import dataclass

from orthancproxy.dicom.elements import SPECIFIC_CHARACTER_SET, ByteRange, Element, Elements
from orthancproxy.dicom.file_format import STANDARD_UID_PREFIX, STUDY_INSTANCE_UID, UID, DicomFile, text_of
from orthancproxy.dicom.payload import text_element
from orthancproxy.dicom.text import ASCII_VRS, TEXT_VRS, UTF_8, Encodings, encode, encodings_of, vr_of
from orthancproxy.errors import LimitExceeded, UnreadableDicom

# limits for one file
MAX_TEXT_BYTES = 16 * 1024**2  # converted text and UIDs
MAX_UIDS = 500_000
MAX_ESCAPES = 30_000  # each part between two is decoded separately
MAX_ESCAPED_BYTES = 4 * 1024**2
MAX_CHARACTER_SETS = 100  # distinct values of SpecificCharacterSet
LENGTH_TO_END = 0x00080001  # retired, and no longer correct
# SOPInstanceUIDOfConcatenationSource; all other references are within sequences
TOP_LEVEL_REFERENCES = frozenset({0x00200242})
# (Referenced, Related, Synchronization) FrameOfReferenceUID, DimensionOrganizationUID: no references to a study, series
# or instance, though some devices reuse the UID of one
UNMAPPED = frozenset({0x00200052, 0x00200200, 0x00209164, 0x30060024, 0x300600C2})

# MACParametersSequence and DigitalSignaturesSequence (PS3.3 section C.12.1.1.3)
SIGNATURES = frozenset({0x4FFE0001, 0xFFFAFFFA})


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What references become: `uids` maps old UIDs of instances, series and studies to new ones.

    `old_study_uids` are the old UIDs of the study, which resolve references to a study if a series had the same UID.
    """

    uids: Mapping[str, str]
    study_instance_uid: str
    old_study_uids: frozenset[str] = frozenset()


class Conversion:
    """The conversion of the elements of one file to UTF-8, without digital signatures, with updated references.

    `patient` are the new PatientID and PatientName by tag, which replace those of the file in its sequences.
    """

    def __init__(self, file: DicomFile, references: References, patient: Mapping[int, str]) -> None:
        self._file = file
        self._references = references
        self._patient = {tag: (file.text(tag), value) for tag, value in patient.items()}
        self.references: set[str] = set()
        self.text_guessed = False
        self.was_signed = False
        self._text = 0
        self._uids = 0
        self._character_sets: dict[bytes, Encodings] = {}
        self._escapes = 0
        self._escaped = 0

    def convert(self, elements: Elements, encodings: Encodings, *, nested: bool) -> Elements:
        """Return the elements with text in UTF-8 and, within sequences, with updated references."""
        converted: Elements = {}
        for tag, element in elements.items():
            value = element.value
            if tag in SIGNATURES:
                self.was_signed = True
            elif isinstance(value, list):
                items = [self.convert(item, self._encodings(item, encodings), nested=True) for item in value]
                converted[tag] = Element(tag, element.vr, items, element.undefined, element.is_little)
            elif nested and tag in self._patient:
                converted[tag] = self._updated_patient(element, elements, encodings)
            elif nested and tag == SPECIFIC_CHARACTER_SET:
                converted[tag] = text_element(tag, UTF_8)
            elif (nested or tag in TOP_LEVEL_REFERENCES) and tag not in UNMAPPED and vr_of(element, elements) == "UI":
                converted[tag] = self._updated_reference(element)
            elif isinstance(value, bytes) and value.isascii() and b"\x1b" not in value:
                converted[tag] = element
            elif not element.undefined and self._is_text(element, elements):
                converted[tag] = self._in_utf8(element, encodings)
            elif tag != LENGTH_TO_END:
                converted[tag] = element
        return converted

    def _is_text(self, element: Element, elements: Elements) -> bool:
        vr = vr_of(element, elements)
        # long numbers, which can be many megabytes, stay in the source
        return vr in TEXT_VRS or (vr in ASCII_VRS and isinstance(element.value, bytes))

    def _updated_reference(self, element: Element) -> Element:
        """Map one or more UIDs to the new ones of the upload."""
        value = self._bytes(element)
        self._uids += 1 + value.count(b"\\")
        if self._uids > MAX_UIDS:
            raise LimitExceeded("The file contains too many UIDs.")
        old = value.decode("latin-1").split("\\")
        new = []
        for uid in (one.strip("\0 ") for one in old):
            new.append(self._new_uid(element.tag, uid))
            if UID.fullmatch(uid) and not uid.startswith(STANDARD_UID_PREFIX):
                self.references.add(uid)
        text = "\\".join(new)
        return element if text == value.decode("latin-1").rstrip("\0 ") else text_element(element.tag, text, element.vr)

    def _new_uid(self, tag: int, uid: str) -> str:
        # some devices give a study and a series the same UID
        if tag == STUDY_INSTANCE_UID and uid in self._references.old_study_uids:
            return self._references.study_instance_uid
        return self._references.uids.get(uid, uid)

    def _updated_patient(self, element: Element, elements: Elements, encodings: Encodings) -> Element:
        """Update a PatientID or PatientName in an item if it equals the file's own."""
        old, new = self._patient[element.tag]
        if old and text_of(elements, element.tag, encodings) == old:
            return text_element(element.tag, new, element.vr)
        return self._in_utf8(element, encodings)

    def _in_utf8(self, element: Element, encodings: Encodings) -> Element:
        value = self._bytes(element)
        if value.isascii() and b"\x1b" not in value:
            return element
        self._count_escapes(value)
        text, is_declared = encodings.decode(value)
        self.text_guessed |= not is_declared
        # some devices pad text with NUL
        return Element(element.tag, element.vr, encode(text.rstrip("\0 ")))

    def _encodings(self, item: Elements, above: Encodings) -> Encodings:
        """Return the encodings of an item, cached because resolving them is slow. Raises LimitExceeded."""
        element = item.get(SPECIFIC_CHARACTER_SET)
        if element is None or not isinstance(element.value, bytes):
            return above
        if element.value not in self._character_sets:
            if len(self._character_sets) == MAX_CHARACTER_SETS:
                raise LimitExceeded("The file contains too many character sets.")
            self._character_sets[element.value] = encodings_of(item, above)
        return self._character_sets[element.value]

    def _count_escapes(self, value: bytes) -> None:
        """Limit the cost of code extensions (PS3.5 section 6.1.2.5). Raises LimitExceeded."""
        if escapes := value.count(b"\x1b"):
            self._escapes += escapes
            self._escaped += len(value)
            if self._escapes > MAX_ESCAPES or self._escaped > MAX_ESCAPED_BYTES:
                raise LimitExceeded("The text of the file contains too many escape sequences.")

    def _bytes(self, element: Element) -> bytes:
        """Return a value of text or UIDs, loading long ones. Raises LimitExceeded."""
        value = element.value
        if isinstance(value, list):
            raise UnreadableDicom("The file contains a sequence instead of text or a UID.")
        self._text += value.length if isinstance(value, ByteRange) else len(value)
        if self._text > MAX_TEXT_BYTES:
            raise LimitExceeded("The file contains too much text.")
        return self._file.source.read_at(value.offset, value.length) if isinstance(value, ByteRange) else value
