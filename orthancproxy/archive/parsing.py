"""Parses DICOM values from text (PS3.5 section 6.2). Invalid values are None."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache

_IS = re.compile(r" *[+-]?[0-9]{1,12} *", re.ASCII)
_DS = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *", re.ASCII)
_DA = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})", re.ASCII)
_TM = re.compile(r"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(?:\.([0-9]{1,6}))?)?)?", re.ASCII)
_INT_RANGE = range(-(2**31), 2**31)
# the slices of a series share most of their numbers
_CACHED_VALUES = 4096
# an IS has at most 12 characters, a DS 16; an orientation is six DS
_MAX_NUMBER_LENGTH = 64
_MAX_CACHED_LIST_LENGTH = 128
_LATIN = re.compile(r"[\u0000-\u024f]*")


@dataclass(frozen=True, slots=True)
class NameGroup:
    """One component group of a PN (PS3.5 section 6.2.1)."""

    formatted: str
    family: str | None
    given: str | None
    middle: str | None
    prefix: str | None
    suffix: str | None


@dataclass(frozen=True, slots=True)
class PersonNameParts:
    """The component groups of a PN (PS3.5 section 6.2.1), the components of the first, and the others as stored."""

    formatted: str
    alphabetic: NameGroup | None
    ideographic_group: NameGroup | None
    phonetic_group: NameGroup | None
    family: str | None
    given: str | None
    middle: str | None
    prefix: str | None
    suffix: str | None
    ideographic: str | None
    phonetic: str | None


def text(value: str | None) -> str | None:
    """Return the text without its padding; None if it is empty."""
    return (value.strip(" \0") or None) if value else None


def integer(value: str | None) -> int | None:
    """Parse an IS, or a US that Orthanc sends as text; within 32 bits, like IS and GraphQL's Int."""
    return _integer(value) if value and len(value) <= _MAX_NUMBER_LENGTH else None


def decimal(value: str | None) -> float | None:
    """Parse a DS of one value; None if it is invalid or too long."""
    return _decimal(value) if value and len(value) <= _MAX_NUMBER_LENGTH else None


def decimals(value: str | None) -> tuple[float, ...] | None:
    """Parse a DS with several values; None if one of them is invalid."""
    if not value:
        return None
    return _decimals(value) if len(value) <= _MAX_CACHED_LIST_LENGTH else _decimals.__wrapped__(value)


@lru_cache(_CACHED_VALUES)
def _integer(value: str) -> int | None:
    if not _IS.fullmatch(value):
        return None
    number = int(value)
    return number if number in _INT_RANGE else None


@lru_cache(_CACHED_VALUES)
def _decimal(value: str) -> float | None:
    return float(value) if _DS.fullmatch(value) and abs(float(value)) < float("inf") else None


@lru_cache(_CACHED_VALUES)
def _decimals(value: str) -> tuple[float, ...] | None:
    numbers = tuple(number for part in value.split("\\") if (number := decimal(part)) is not None)
    return numbers if len(numbers) == value.count("\\") + 1 else None


def texts(value: str | None) -> list[str]:
    """Split a multi-valued text."""
    return [part.strip() for part in value.split("\\") if part.strip()] if value else []


def calendar_date(value: str | None) -> date | None:
    """Parse a DA: YYYYMMDD, or YYYY.MM.DD of earlier versions of the standard."""
    match = _DA.fullmatch(value.rstrip(" \0")) if value else None
    if match is None:
        return None
    year, _, month, day = match.groups()
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def time_of_day(value: str | None) -> time | None:
    """Parse a TM: HH, HHMM, HHMMSS or HHMMSS.FFFFFF, also with colons as in earlier versions of the standard.

    A leap second (60) is the last microsecond before it, since Python has none.
    """
    match = _TM.fullmatch(value.rstrip(" \0")) if value else None
    if match is None:
        return None
    hour, _, minute, second, fraction = match.groups()
    if second == "60":
        second, fraction = "59", "999999"
    try:
        return time(int(hour), int(minute or 0), int(second or 0), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None


def timestamp(value: str | None) -> datetime | None:
    """Parse Orthanc's timestamp, in UTC: YYYYMMDDTHHMMSS."""
    try:
        return datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if value else None
    except ValueError:
        return None


def person_name(value: str | None) -> PersonNameParts | None:
    """Parse a PN. `formatted` is `Family, Given Middle` in Latin script; other scripts have no comma."""
    if not (value := text(value)):
        return None
    alphabetic, ideographic, phonetic, *_ = [*value.split("="), "", ""]
    groups = _name_group(alphabetic), _name_group(ideographic), _name_group(phonetic)
    first = groups[0] or NameGroup("", None, None, None, None, None)
    return PersonNameParts(
        next((group.formatted for group in groups if group), ""),
        *groups,
        first.family,
        first.given,
        first.middle,
        first.prefix,
        first.suffix,
        ideographic.strip() or None,
        phonetic.strip() or None,
    )


def _name_group(value: str) -> NameGroup | None:
    components = [component.strip() or None for component in [*value.split("^"), "", "", "", ""]][:5]
    if not any(components):
        return None
    family, given, middle, prefix, suffix = components
    others = " ".join(filter(None, (given, middle)))
    name = (", " if _LATIN.fullmatch(value) else " ").join(filter(None, (family, others)))
    return NameGroup(" ".join(filter(None, (prefix, name, suffix))), *components)
