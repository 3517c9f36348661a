"""Values that people give, checked as values of DICOM (PS3.5 section 6.2)."""

import unicodedata

from orthancproxy.errors import InvalidRequest

MAX_CHARACTERS = 64  # of an LO, and of each group of a PN
MAX_GROUPS = 3
MAX_COMPONENTS = 5


def long_string(value: str, what: str) -> str:
    """The text as an LO: composed (NFC) and without padding. Raises InvalidRequest."""
    text = unicodedata.normalize("NFC", value).strip(" ")
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"The {what} has more than {MAX_CHARACTERS} characters.")
    _check_characters(text, what)
    return text


def person_name(value: str, what: str) -> str:
    """The text as a PN: up to three groups, each of up to five components. Raises InvalidRequest."""
    text = unicodedata.normalize("NFC", value).strip(" ")
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
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise InvalidRequest(f"The {what} has control characters in it.")
