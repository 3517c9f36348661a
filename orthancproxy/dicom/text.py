"""Converts text from any DICOM character set (PS3.3 section C.12.1.1.2) to UTF-8, without loss."""

import re
import warnings
from collections.abc import Sequence
from typing import cast

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import private_dictionary_VR
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, TEXT_VR_DELIMS

from orthancproxy.dicom.elements import SPECIFIC_CHARACTER_SET, Element, Elements, known_vr

UTF_8 = "ISO_IR 192"
TEXT_VRS = frozenset(str(vr) for vr in CUSTOMIZABLE_CHARSET_VR)
DEFAULT_CODEC = "iso8859"
# has no escape sequences, so that rewritten files remain unchanged when rewritten again
UTF_8_CODEC = python_encoding[UTF_8]
# of ISO 2022 IR 58, which pydicom leaves in the decoded text
UNDECODED_ESCAPE = "\x1b$)A"

Encodings = Sequence[str]

# they quote file contents
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.charset")


def encodings_of(elements: Elements, above: Encodings = (DEFAULT_CODEC,)) -> Encodings:
    """Return Python's codecs for the character sets of a data set or item; `above` if it declares none."""
    element = elements.get(SPECIFIC_CHARACTER_SET)
    if element is None or not isinstance(element.value, bytes):
        return above
    names = [name.strip() for name in element.value.decode("latin-1").rstrip("\0 ").split("\\")]
    known = [_known(name) for name in names]
    if names[0] and not known[0]:
        # so that decoding of non-ASCII text fails and is reported
        return ("ascii",)
    return cast("Encodings", convert_encodings(known))


def _known(name: str) -> str:
    """Return the defined term for a misspelt character set; empty if it is unknown."""
    code_extension = re.sub(r"^ISO.?2022.?IR.?", "ISO 2022 IR ", name)
    single = re.sub(r"^ISO.?IR.?", "ISO_IR ", name)
    return next((known for known in (name, single, code_extension) if known in python_encoding), "")


def vr_of(element: Element, elements: Elements) -> str:
    """Return the VR of an element, from the dictionary if the file has none or UN."""
    if element.vr not in (None, "UN"):
        return str(element.vr)
    return _private_vr(element.tag, elements) if element.tag & 0x10000 else known_vr(element.tag)


def decode(value: bytes, encodings: Encodings) -> tuple[str, bool]:
    """Return the text, and whether it was valid; invalid text is decoded as Latin-1."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii"), True
    try:
        if b"\x1b" not in value or encodings[0] == UTF_8_CODEC:
            return value.decode(encodings[0]), True
        # pydicom handles the escape sequences, and replaces undecodable bytes
        text = decode_bytes(value, encodings, TEXT_VR_DELIMS).replace(UNDECODED_ESCAPE, "")
    except (UnicodeError, LookupError):
        text = "\ufffd"
    if "\ufffd" in text or "\x1b" in text:
        return value.decode("latin-1"), False
    return text, True


def encode(text: str, padding: bytes = b" ") -> bytes:
    """Return the text in UTF-8, padded to an even length."""
    value = text.encode()
    return value + padding if len(value) % 2 else value


def _private_vr(tag: int, elements: Elements) -> str:
    """Return the VR of a private element (PS3.5 section 7.8); UN if pydicom does not know its creator."""
    number = tag & 0xFFFF
    if 0x10 <= number <= 0xFF:
        return "LO"
    creator = elements.get(tag & 0xFFFF0000 | number >> 8)
    if creator is None or not isinstance(creator.value, bytes):
        return "UN"
    try:
        return str(private_dictionary_VR(tag, creator.value.decode("latin-1").rstrip("\0 ")))
    except KeyError:
        return "UN"
