"""From a filter to the `Query` of Orthanc's find, refusing what some version of Orthanc would misread."""

import re
import unicodedata

from pydicom.datadict import dictionary_VR, tag_for_keyword

from orthancproxy.archive.keywords import ALL_COMPUTED, is_text, owner_below, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LabelMatch
from orthancproxy.errors import InvalidRequest

# wildcard matching is for these only (PS3.4 section C.2.2.2.4); Orthanc refuses it for others
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
MAX_VALUE_LENGTH = 1024
MAX_ALTERNATIVES = 10_000

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_PATH_STEP = re.compile(r"\.\.[/\\]|\.\.%2f|%2e%2e", re.IGNORECASE)


def query(level: Level, criteria: Filter) -> dict[str, str]:
    """Return the `Query` of a find, tag by tag. Raises InvalidRequest for a keyword or value that can't be matched."""
    wanted: dict[str, str] = {}
    for keyword, value in criteria.tags:
        if wanted.setdefault(_matchable(keyword, level), _checked(keyword, value)) != value:
            raise InvalidRequest(f"{keyword} is given twice, with different values.")
    return wanted


def _matchable(keyword: str, level: Level) -> str:
    tag = tag_of(keyword)
    if not is_text(keyword):
        raise InvalidRequest(f"{keyword} is a sequence or binary: it can't be matched.")
    if keyword in ALL_COMPUTED and not (keyword == "ModalitiesInStudy" and level is Level.STUDY):
        raise InvalidRequest(f"{keyword} is counted by the archive: it can't be matched.")
    if owner := owner_below(keyword, level):
        raise InvalidRequest(f"{keyword} is an attribute of the {owner.value.lower()} level: filter there.")
    return tag


def _checked(keyword: str, value: str) -> str:
    alternatives = value.split("\\")
    if len(alternatives) > MAX_ALTERNATIVES or any(len(part) > MAX_VALUE_LENGTH for part in alternatives):
        raise InvalidRequest(f"The value for {keyword} is too long.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise InvalidRequest(f"The value for {keyword} has control characters in it.")
    vr = dictionary_VR(tag_for_keyword(keyword) or 0)
    wild = value != "*" and ("*" in value or "?" in value)
    if wild and vr not in WILDCARD_VRS:
        raise InvalidRequest(f"{keyword} can't be matched with wildcards (PS3.4 section C.2.2.2.4).")
    malformed = vr == "UI" and value not in ("", "*") and not all(map(_UID.fullmatch, alternatives))
    # a legal LO, but what looks like a path is never sent on
    if malformed or (keyword == Level.PATIENT.identifier and _PATH_STEP.search(value)):
        raise InvalidRequest(f"This is not a valid {keyword}.")
    return value


def any_of(values: list[str]) -> str:
    """Match any of these values exactly: Orthanc takes no wildcards in a list, which is two values or more."""
    return "\\".join(values if len(values) > 1 else values * 2)


def can_be_listed(identifier: str) -> bool:
    """Whether an identifier can stand in a list: one with a backslash would be taken for two."""
    return "\\" not in identifier


def identifier_filter(level: Level, value: str) -> Filter:
    """Match one PatientID or UID exactly. Raises InvalidRequest when no resource can have such a one."""
    if not (is_patient_id(value) if level is Level.PATIENT else _UID.fullmatch(value)):
        raise InvalidRequest(f"This is not a valid {level.identifier}.")
    return Filter(tags=((level.identifier, any_of([value])),))


def is_patient_id(value: str) -> bool:
    """Whether a patient can be asked for by it: one LO (PS3.5 section 6.2) that does not look like a path."""
    return (
        len(value) <= 64
        and "\\" not in value
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
        # a legal LO, but what looks like a path is never sent on
        and not _PATH_STEP.search(value)
    )


def is_label(value: str) -> bool:
    """Whether a resource can have it as a label (Orthanc 1.12.0)."""
    return _LABEL.fullmatch(value) is not None


def has_labels(labels: list[str] | None, wanted: LabelMatch) -> bool:
    """Whether a resource with these labels matches."""
    present = frozenset(labels or ())
    return (
        wanted.all <= present
        and (not wanted.any or not wanted.any.isdisjoint(present))
        and wanted.none.isdisjoint(present)
    )
