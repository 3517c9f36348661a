"""What of a file may identify its patient and is not in an attribute that can be cleaned: pixels and documents."""

from collections.abc import Iterator
from enum import Enum

from orthancproxy.dicom.elements import Elements
from orthancproxy.dicom.file_format import DicomFile

MODALITY, BODY_PART_EXAMINED, BURNED_IN_ANNOTATION = 0x00080060, 0x00180015, 0x00280301
RECOGNIZABLE_VISUAL_FEATURES, GRAPHIC_ANNOTATION_SEQUENCE = 0x00280302, 0x00700001
CONTENT_SEQUENCE, PIXEL_DATA = 0x0040A730, 0x7FE00010
FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA = 0x7FE00008, 0x7FE00009
ENCAPSULATED_DOCUMENT = 0x00420011
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
OVERLAY_BIT_POSITION, OVERLAY_DATA = 0x0102, 0x3000

# images of screens, scanners, cameras and devices that write the patient's name beside the image
_MODALITIES_WITH_TEXT = frozenset(
    {"US", "IVUS", "SC", "OT", "XC", "ES", "GM", "BI", "DOC", "OP", "PX", "IO", "BMD", "HC"}
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MODALITIES_OF_FACES = frozenset({"CT", "MR", "PT"})
_PARTS_WITH_FACES = frozenset(
    {"HEAD", "BRAIN", "SKULL", "FACE", "NECK", "HEADNECK", "ORBIT", "SINUS", "JAW", "MANDIBLE", "MAXILLA", "WHOLEBODY"}
)


class UncleanedContent(Enum):
    """Content of a file that may identify its patient. Files with `is_left_out` are not anonymized by default."""

    DOCUMENT = "A document, such as a PDF, cannot be cleaned: the instance is left out."
    BURNED_IN = "The instance says that text is burned into its pixels (BurnedInAnnotation): it is left out."
    TEXT_IN_PIXELS = "Images of this kind often have text in their pixels, which is not removed: look at them."
    FACE = "A face may be recognizable in the images, which are not changed."
    REPORT = "A report keeps its structure, numbers and codes. Its text is replaced."
    GRAPHICS = "Text and labels of a presentation state or of structures are replaced."
    UNREADABLE = "An instance cannot be parsed: it is left out."
    OVERLAY = "Overlays are removed."
    OVERLAY_IN_PIXELS = "The pixels may contain an overlay, which is not removed: look at the images."

    @property
    def is_left_out(self) -> bool:
        """Whether the file cannot be cleaned at all."""
        return self in (UncleanedContent.DOCUMENT, UncleanedContent.BURNED_IN, UncleanedContent.UNREADABLE)


def uncleaned_content(file: DicomFile) -> Iterator[UncleanedContent]:
    """Yield what a file has that may identify its patient."""
    elements = file.elements
    modality = file.text(MODALITY).upper()
    has_pixels = not elements.keys().isdisjoint({PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA})
    if ENCAPSULATED_DOCUMENT in elements or file.sop_class_uid.startswith("1.2.840.10008.5.1.4.1.1.104."):
        yield UncleanedContent.DOCUMENT
    if text := text_in_pixels(modality, file.sop_class_uid, file.text(BURNED_IN_ANNOTATION), has_pixels=has_pixels):
        yield text
    if has_pixels and _may_have_face(file, modality):
        yield UncleanedContent.FACE
    if CONTENT_SEQUENCE in elements:
        yield UncleanedContent.REPORT
    if GRAPHIC_ANNOTATION_SEQUENCE in elements or modality in ("PR", "RTSTRUCT"):
        yield UncleanedContent.GRAPHICS
    if overlays := list(_overlays(elements)):
        yield UncleanedContent.OVERLAY
        if has_pixels and any(not elements.get(group | OVERLAY_DATA) for group in overlays):
            yield UncleanedContent.OVERLAY_IN_PIXELS


def text_in_pixels(
    modality: str, sop_class_uid: str, burned_in_annotation: str, *, has_pixels: bool
) -> UncleanedContent | None:
    """Return BURNED_IN for an instance that says so, TEXT_IN_PIXELS for images of a kind that often has text."""
    modality, burned_in = modality.strip().upper(), burned_in_annotation.strip().upper()
    if burned_in == "YES":
        return UncleanedContent.BURNED_IN
    is_capture = sop_class_uid.startswith(_SECONDARY_CAPTURE) and modality not in _MODALITIES_OF_FACES
    if has_pixels and burned_in != "NO" and (modality in _MODALITIES_WITH_TEXT or is_capture):
        return UncleanedContent.TEXT_IN_PIXELS
    return None


def _may_have_face(file: DicomFile, modality: str) -> bool:
    features = file.text(RECOGNIZABLE_VISUAL_FEATURES).upper()
    part = file.text(BODY_PART_EXAMINED).upper().replace(" ", "")
    return features == "YES" or (features != "NO" and modality in _MODALITIES_OF_FACES and part in _PARTS_WITH_FACES)


def _overlays(elements: Elements) -> Iterator[int]:
    for number in OVERLAY_GROUPS:
        if any(tag >> 16 == number for tag in elements):
            yield number << 16
