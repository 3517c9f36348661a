"""Validates user input as DICOM values (PS3.5 section 6.2)."""

import unicodedata

from orthancproxy.errors import InvalidRequest

MAX_CHARACTERS = 64  # of an LO, or of each group of a PN
# control characters, surrogates, unassigned characters, line and paragraph separators
FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
# zero-width and bidirectional formatting characters: two texts that look alike would be two patients
INVISIBLE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
MAX_GROUPS = 3
MAX_COMPONENTS = 5


def long_string(value: str, label: str) -> str:
    """Return the text as an LO, in NFC and stripped. Raises InvalidRequest, with `label` in its message."""
    text = unicodedata.normalize("NFC", value).strip()
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"The {label} has more than {MAX_CHARACTERS} characters.")
    check_characters(text, label)
    return text


def person_name(value: str, label: str) -> str:
    """Return the text as a PN, in NFC and without trailing empty parts. Raises InvalidRequest like `long_string`."""
    text = unicodedata.normalize("NFC", value).strip().rstrip("^= ")
    check_characters(text, label)
    groups = text.split("=")
    if len(groups) > MAX_GROUPS or any(group.count("^") >= MAX_COMPONENTS for group in groups):
        raise InvalidRequest(f"The {label} has too many parts: at most three groups (=) of five components (^).")
    if any(len(group) > MAX_CHARACTERS for group in groups):
        raise InvalidRequest(f"The {label} has a group of more than {MAX_CHARACTERS} characters.")
    return text


def check_characters(text: str, label: str) -> None:
    """Raise InvalidRequest for a backslash, control characters and invisible characters."""
    if "\\" in text:
        raise InvalidRequest(f"The {label} contains a backslash, which separates values in DICOM.")
    if any(unicodedata.category(character) in FORBIDDEN_CATEGORIES or character in INVISIBLE for character in text):
        raise InvalidRequest(f"The {label} contains control characters or invisible characters.")
