"""Matches resources to filters (PS3.4 section C.2.2.2), by the values that the gateway shows.

Orthanc preselects: its versions differ in blanks, letters beyond ASCII, empty and malformed values, and values that are
one of several. So it gets a query that every matching resource fulfils on each of them, and the gateway decides.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from pydicom.datadict import dictionary_VM, tag_for_keyword

from orthancproxy.archive import date_times, parsing
from orthancproxy.archive.keywords import ALL_COMPUTED, is_text, owner_below, tag_of, vr_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LabelMatch
from orthancproxy.archive.records import Resource
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.endpoints import LABEL

# the VRs with wildcard matching (PS3.4 section C.2.2.2.4); Orthanc rejects it for others
WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
SINGLE_VALUE_VRS = frozenset({"LT", "ST", "UR", "UT"})  # a backslash is text (PS3.5 section 6.2)
MAX_VALUE_LENGTH = 1024
MAX_ALTERNATIVES = 10_000
# an LO has at most 64 characters, a DS 16
_MAX_BLANKS = 64
_MAX_BLANKS_OF_NUMBERS = 16
_MAX_PADDED = 6400

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_PRESELECTING = re.compile(r"[0-9A-Za-z]+")
_SEPARATORS = re.compile(r":|(?<=^\d{4})\.|(?<=^\d{4}\.\d\d)\.")
_PATH_STEP = re.compile(r"\.\.[/\\]|\.\.%2f|%2e%2e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One attribute to match.

    Orthanc finds every matching resource by `sent`, and no other if `is_exact`; None is sent for what it cannot
    preselect. `matches` decides about a resource's value. `alternatives` are the values or patterns to match by VR, of
    which identifiers have none.
    """

    keyword: str
    sent: str | None
    matches: Callable[[str | None], bool]
    is_exact: bool = False
    alternatives: tuple[str, ...] = ()


def criteria_of(level: Level, criteria: Filter) -> list[Criterion]:
    """Return the attributes to match. Raises InvalidRequest for an unsupported keyword or value."""
    checked = [(_matchable(keyword, level), _checked(keyword, value)) for keyword, value in criteria.tags]
    counts = Counter(keyword for keyword, _ in (*criteria.tags, *criteria.identifiers, *criteria.sent))
    repeated = {keyword for keyword, count in counts.items() if count > 1}
    found = [_identified(keyword, values, keyword in repeated) for keyword, values in criteria.identifiers]
    for keyword, value in checked:
        alternatives = [part for part in dict.fromkeys(map(_trimmed, value.split("\\"))) if part]
        # universal matching (PS3.4 sections C.2.2.2.3 and C.2.2.2.4), also of absent values
        if all(part.strip("*") for part in alternatives) and alternatives:
            found.append(_criterion(keyword, alternatives, keyword in repeated))
    return [*found, *(Criterion(keyword, value, lambda _: True) for keyword, value in criteria.sent)]


def query(criteria: Sequence[Criterion]) -> dict[str, str]:
    """Return the `Query` of a find that returns every matching resource."""
    return {tag_of(one.keyword): one.sent for one in criteria if one.sent is not None}


def matched_in_index(criteria: Sequence[Criterion], in_index: Collection[str]) -> list[Criterion]:
    """Return the same criteria, with those not sent that Orthanc matches after `LimitFindResults` has truncated."""
    return [
        one if one.is_exact and tag_of(one.keyword) in in_index else replace(one, sent=None, is_exact=False)
        for one in criteria
    ]


def decisive(criteria: Sequence[Criterion]) -> frozenset[str]:
    """Return the keywords whose values decide among what Orthanc finds."""
    return frozenset(one.keyword for one in criteria if not one.is_exact)


def select(criteria: Sequence[Criterion], found: list[Resource]) -> list[Resource]:
    """Return the resources that match. They must hold the tags that are `decisive`."""
    tests = [(one.keyword, one.matches) for one in criteria if not one.is_exact]
    return [one for one in found if all(matches(one.tags.get(keyword)) for keyword, matches in tests)]


def _matchable(keyword: str, level: Level) -> str:
    tag_of(keyword)
    if not is_text(keyword):
        raise InvalidRequest(f"{keyword} is a sequence or binary: filtering by it is not supported.")
    if keyword in ALL_COMPUTED and not (keyword == "ModalitiesInStudy" and level is Level.STUDY):
        raise InvalidRequest(f"{keyword} is computed by the archive: filtering by it is not supported.")
    if owner := owner_below(keyword, level):
        raise InvalidRequest(f"{keyword} is an attribute of the {owner.value.lower()} level: filter by it there.")
    return keyword


def _checked(keyword: str, value: str) -> str:
    alternatives = value.split("\\")
    if len(alternatives) > MAX_ALTERNATIVES or any(len(part) > MAX_VALUE_LENGTH for part in alternatives):
        raise InvalidRequest(f"The value for {keyword} is too long.")
    if _has_control_characters(value):
        raise InvalidRequest(f"The value for {keyword} contains control characters.")
    vr = vr_of(keyword)
    if vr not in WILDCARD_VRS and value.strip(" *") and ("*" in value or "?" in value):
        raise InvalidRequest(f"{keyword} does not support wildcards (PS3.4 section C.2.2.2.4).")
    if vr == "UI":
        for alternative in filter(None, map(_trimmed, alternatives)):
            _check_identifier(keyword, alternative)
    return value


def _identified(keyword: str, values: frozenset[str], is_repeated: bool) -> Criterion:
    """Match one of these values exactly, which need not be valid: archives have UIDs of letters and wildcards."""
    # a list has no wildcards; Orthanc ignores case in it
    sent = any_of(sorted(values)) if all(map(can_be_listed, values)) else None
    is_exact = not is_repeated and all(map(_UID.fullmatch, values))
    return Criterion(keyword, sent, lambda text: (text or "").rstrip(" \0") in values, is_exact)


def _criterion(keyword: str, alternatives: list[str], is_repeated: bool) -> Criterion:
    vr = vr_of(keyword)
    # CS as well: Modality is `PT\\CT` in some files
    has_values = vr == "CS" or (dictionary_VM(tag_for_keyword(keyword) or 0) != "1" and vr not in SINGLE_VALUE_VRS)
    one_of = [_matches(vr, alternative) for alternative in alternatives]

    def matches(text: str | None) -> bool:
        values = [text, *text.split("\\")] if text and has_values else [text or ""]
        return any(match(value) for value in values if _trimmed(value) for match in one_of)

    has_wildcards = any("*" in part or "?" in part for part in alternatives)
    if vr == "UI" and not has_values:
        return _identified(keyword, frozenset(alternatives), is_repeated)
    if keyword == "ModalitiesInStudy" and not has_wildcards:
        return Criterion(keyword, any_of(alternatives), matches, not is_repeated, tuple(alternatives))
    sent = None
    if len(alternatives) == 1 and keyword != "ModalitiesInStudy" and (vr in WILDCARD_VRS or vr in _COMPARABLE):
        sent = _sent(vr, alternatives[0]) if vr in WILDCARD_VRS or not has_values else None
    elif not (has_values or has_wildcards) and vr not in {*_COMPARABLE, "DT"}:
        sent = _padded(vr, alternatives)
    return Criterion(keyword, sent, matches, alternatives=tuple(alternatives))


def _matches(vr: str, wanted: str) -> Callable[[str], bool]:
    """Return the test of one value by one alternative."""
    if comparable := _COMPARABLE.get(vr):
        first, separator, last = wanted.partition("-")
        if separator:
            # a bound of fewer digits includes all that begins with it
            low, high = digits(first), f"{digits(last)}~"
            return lambda value: (known := comparable(value)) is not None and low <= known <= high
        if moment := comparable(wanted):
            return lambda value: comparable(value) == moment
    if vr == "DT" and (match_moment := date_times.matcher(wanted)):
        return match_moment
    folded = fold(wanted)
    if vr in WILDCARD_VRS:
        match = re.compile(translate(folded.replace("[", "[[]"))).match
        return lambda value: match(fold(value)) is not None
    return lambda value: fold(value) == folded


def _sent(vr: str, wanted: str) -> str | None:
    """Return what Orthanc finds every matching value by; None if there is nothing."""
    if vr in WILDCARD_VRS:
        return _widened(wanted)
    first, separator, last = wanted.partition("-")
    # the year or hour, which `yyyy.mm.dd` and `hh:mm:ss` begin with, too; a dot sorts before digits, a colon after them
    low, high = digits(first), digits(last if separator else first)
    low, high = (low, high[:2]) if vr == "TM" else (low[:4], high)
    return f"{low}-{high}~" if high else f"{low}-"


def _padded(vr: str, alternatives: Sequence[str]) -> str | None:
    """Return a list of these texts or numbers, also with blanks before them: Orthanc ignores those at the end only."""
    blanks = _MAX_BLANKS if vr in WILDCARD_VRS else _MAX_BLANKS_OF_NUMBERS
    if len(alternatives) * blanks > _MAX_PADDED or not all(map(str.isascii, alternatives)):
        return None
    return any_of([part.rjust(len(part) + count) for part in alternatives for count in range(blanks)])


def _widened(wanted: str) -> str | None:
    """Return a pattern that matches more than this text or pattern on every Orthanc; None if it would match all.

    Orthanc's `?` is one byte; it drops letters beyond ASCII and then blanks at the ends; blanks, `_` and `%` beside
    `*` match nothing if there are such letters; it compares several values as one.
    """
    parts = _PRESELECTING.findall(unicodedata.normalize("NFC", wanted))
    return "".join(f"*{part}" for part in parts) + "*" if parts else None


def fold(text: str) -> str:
    """Return the text without padding, case and differences of composition, with a character for each shown."""
    text = _trimmed(text)
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFC", text)
    return "".join(lower if len(lower := one.lower()) == 1 else one for one in composed).replace("ς", "σ")


def _has_control_characters(value: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in value)


def _trimmed(value: str) -> str:
    return value.strip(" \0")


def digits(bound: str) -> str:
    """Return a bound without the separators of `yyyy.mm.dd` and `hh:mm:ss`."""
    return _SEPARATORS.sub("", bound.strip())


def day_of(value: str) -> str | None:
    """Return a day as `yyyymmdd`; None if it is shown as null."""
    day = parsing.calendar_date(value)
    return day.isoformat().replace("-", "") if day else None


def _time(value: str) -> str | None:
    time = parsing.time_of_day(value)
    return time.strftime("%H%M%S.%f") if time else None


_COMPARABLE: Mapping[str, Callable[[str], str | None]] = {"DA": day_of, "TM": _time}


def any_of(values: list[str]) -> str:
    """Match any of these values exactly: Orthanc has no wildcards in lists, which are two values or more."""
    return "\\".join(values if len(values) > 1 else values * 2)


def can_be_listed(identifier: str) -> bool:
    """Whether an identifier can be part of a list: a backslash would separate two values.

    Orthanc 1.12.5 and newer find a patient whose files have an empty PatientID by it, but not one without the element.
    """
    return identifier != "" and "\\" not in identifier


def identifier_filter(keyword: str, values: Iterable[str]) -> Filter:
    """Match any of these UIDs as lists show them, valid or not. Raises InvalidRequest for one that cannot be found."""
    wanted = frozenset(map(_trimmed, values))
    for value in wanted:
        _check_identifier(keyword, value)
    return Filter(identifiers=((keyword, wanted),))


def _check_identifier(keyword: str, value: str) -> None:
    if not value or len(value) > MAX_VALUE_LENGTH or _has_control_characters(value):
        raise InvalidRequest(f"This is not a valid {keyword}.")
    if "\\" in value or _PATH_STEP.search(value):
        # a list of two values to Orthanc, which has no wildcards for UIDs; and paths are never forwarded
        raise InvalidRequest(f"Orthanc cannot find this {keyword}: use orthancId.")


def is_patient_id(value: str) -> bool:
    """Whether the value is a PatientID: one LO (PS3.5 section 6.2) that does not look like a path."""
    return (
        len(value) <= 64
        and "\\" not in value
        and not _has_control_characters(value)
        # legal in an LO, but values that look like paths are never forwarded
        and not _PATH_STEP.search(value)
    )


def is_label(value: str) -> bool:
    """Whether the value is a valid label (Orthanc 1.12.0)."""
    return LABEL.fullmatch(value) is not None


def has_labels(labels: list[str] | None, wanted: LabelMatch) -> bool:
    """Whether a resource with these labels matches."""
    present = frozenset(labels or ())
    return (
        wanted.all <= present
        and (not wanted.any or not wanted.any.isdisjoint(present))
        and wanted.none.isdisjoint(present)
    )
