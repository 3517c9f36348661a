"""Builds the `Query` of Orthanc's find from a filter, and rejects values that some version would misread."""

import re
import unicodedata

from pydicom.datadict import dictionary_VR, tag_for_keyword

from orthancproxy.archive.keywords import ALL_COMPUTED, is_text, owner_below, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LabelMatch
from orthancproxy.errors import InvalidRequest

# the VRs with wildcard matching (PS3.4 section C.2.2.2.4); Orthanc rejects it for others
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
MAX_VALUE_LENGTH = 1024
MAX_ALTERNATIVES = 10_000

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_PATH_STEP = re.compile(r"\.\.[/\\]|\.\.%2f|%2e%2e", re.IGNORECASE)


def query(level: Level, criteria: Filter) -> dict[str, str]:
    """Return the `Query` of a find by tag. Raises InvalidRequest for an unsupported keyword or value."""
    wanted: dict[str, str] = {}
    for keyword, value in criteria.tags:
        if wanted.setdefault(_matchable(keyword, level), _checked(keyword, value)) != value:
            raise InvalidRequest(f"{keyword} is given twice with different values.")
    return wanted


def _matchable(keyword: str, level: Level) -> str:
    tag = tag_of(keyword)
    if not is_text(keyword):
        raise InvalidRequest(f"{keyword} is a sequence or binary: filtering by it is not supported.")
    if keyword in ALL_COMPUTED and not (keyword == "ModalitiesInStudy" and level is Level.STUDY):
        raise InvalidRequest(f"{keyword} is computed by the archive: filtering by it is not supported.")
    if owner := owner_below(keyword, level):
        raise InvalidRequest(f"{keyword} is an attribute of the {owner.value.lower()} level: filter by it there.")
    return tag


def _checked(keyword: str, value: str) -> str:
    alternatives = value.split("\\")
    if len(alternatives) > MAX_ALTERNATIVES or any(len(part) > MAX_VALUE_LENGTH for part in alternatives):
        raise InvalidRequest(f"The value for {keyword} is too long.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise InvalidRequest(f"The value for {keyword} contains control characters.")
    vr = dictionary_VR(tag_for_keyword(keyword) or 0)
    wild = value != "*" and ("*" in value or "?" in value)
    if wild and vr not in WILDCARD_VRS:
        raise InvalidRequest(f"{keyword} does not support wildcards (PS3.4 section C.2.2.2.4).")
    malformed = vr == "UI" and value not in ("", "*") and not all(map(_UID.fullmatch, alternatives))
    # legal in an LO, but values that look like paths are never forwarded
    if malformed or (keyword == Level.PATIENT.identifier and _PATH_STEP.search(value)):
        raise InvalidRequest(f"This is not a valid {keyword}.")
    return value


def any_of(values: list[str]) -> str:
    """Match any of these values exactly: Orthanc has no wildcards in lists, which are two values or more."""
    return "\\".join(values if len(values) > 1 else values * 2)


def can_be_listed(identifier: str) -> bool:
    """Whether an identifier can be part of a list: a backslash would separate two values."""
    return "\\" not in identifier


def identifier_filter(level: Level, value: str) -> Filter:
    """Match one PatientID or UID exactly. Raises InvalidRequest if it is malformed."""
    if not (is_patient_id(value) if level is Level.PATIENT else _UID.fullmatch(value)):
        raise InvalidRequest(f"This is not a valid {level.identifier}.")
    return Filter(tags=((level.identifier, any_of([value])),))


def is_patient_id(value: str) -> bool:
    """Whether the value is a PatientID: one LO (PS3.5 section 6.2) that does not look like a path."""
    return (
        len(value) <= 64
        and "\\" not in value
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
        # legal in an LO, but values that look like paths are never forwarded
        and not _PATH_STEP.search(value)
    )


def is_label(value: str) -> bool:
    """Whether the value is a valid label (Orthanc 1.12.0)."""
    return _LABEL.fullmatch(value) is not None


def has_labels(labels: list[str] | None, wanted: LabelMatch) -> bool:
    """Whether a resource with these labels matches."""
    present = frozenset(labels or ())
    return (
        wanted.all <= present
        and (not wanted.any or not wanted.any.isdisjoint(present))
        and wanted.none.isdisjoint(present)
    )
