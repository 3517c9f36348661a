"""Values that people give, checked as values of DICOM (PS3.5 section 6.2)."""

import unicodedata

from orthancproxy.errors import InvalidRequest

MAX_CHARACTERS = 64  # of an LO, and of each group of a PN
# control characters, halves of surrogate pairs, unassigned ones, separators of lines and paragraphs
NOT_ALLOWED = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
# zero width, and what changes the direction of writing: two texts that look alike would be two patients
INVISIBLE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")
MAX_GROUPS = 3
MAX_COMPONENTS = 5


def long_string(value: str, what: str) -> str:
    """The text as an LO: composed (NFC) and without blanks around it. Raises InvalidRequest."""
    text = unicodedata.normalize("NFC", value).strip()
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"The {what} has more than {MAX_CHARACTERS} characters.")
    _check_characters(text, what)
    return text


def person_name(value: str, what: str) -> str:
    """The text as a PN, without empty groups and components at its end. Raises InvalidRequest."""
    text = unicodedata.normalize("NFC", value).strip().rstrip("^= ")
    _check_characters(text, what)
    groups = text.split("=")
    if len(groups) > MAX_GROUPS or any(group.count("^") >= MAX_COMPONENTS for group in groups):
        raise InvalidRequest(f"The {what} has too many parts: three groups (=) of five components (^) are allowed.")
    if any(len(group) > MAX_CHARACTERS for group in groups):
        raise InvalidRequest(f"The {what} has a group of more than {MAX_CHARACTERS} characters.")
    return text


def _check_characters(text: str, what: str) -> None:
    if "\\" in text:
        raise InvalidRequest(f"The {what} has a backslash in it, which separates values in DICOM.")
    if any(unicodedata.category(character) in NOT_ALLOWED or character in INVISIBLE for character in text):
        raise InvalidRequest(f"The {what} has control characters or invisible ones in it.")
