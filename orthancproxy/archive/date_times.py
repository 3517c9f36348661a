"""Compares values of VR DT, which may have an offset from UTC (PS3.5 section 6.2).

Two values are compared as instants if both have an offset. Otherwise they are compared as written: the time zone that
one of them leaves out is taken to be that of the other.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_ONE = r"\d{4}(?:\d\d){0,5}(?:\.\d{1,6})?(?:[+-](?:0\d|1[0-4])[0-5]\d)?"
_VALUE = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(?<=\d{14})\.(\d{1,6}))?([+-]\d{4})?", re.ASCII)
# what ends in a hyphen and four digits is one value with an offset: no range ends in the year 500
_RANGE = re.compile(rf"({_ONE})?-({_ONE})?", re.ASCII)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Period:
    """What a value denotes: one of four digits is a year, for example."""

    first: datetime
    last: datetime
    offset: timedelta | None

    def as_seen_from(self, other: "_Period") -> "_Period":
        """The same period in UTC if both have an offset."""
        if self.offset is None or other.offset is None:
            return self
        return _Period(self.first - self.offset, self.last - self.offset, self.offset)


def matcher(wanted: str) -> Callable[[str], bool] | None:
    """Return the test of a value by a date-time or a range of them; None if it is neither."""
    if one := _period(wanted):
        return lambda value: (known := _period(value)) is not None and _is_same(known, one)
    match = _RANGE.fullmatch(wanted)
    bounds = [bound and _period(bound) for bound in match.groups()] if match else [None, None]
    if (
        match is None
        or not any(bounds)
        or any(text and not bound for text, bound in zip(match.groups(), bounds, strict=True))
    ):
        return None
    low, high = bounds
    return lambda value: (known := _period(value)) is not None and _is_between(known, low or None, high or None)


def _is_same(known: _Period, wanted: _Period) -> bool:
    seen, by = known.as_seen_from(wanted), wanted.as_seen_from(known)
    return (seen.first, seen.last) == (by.first, by.last)


def _is_between(known: _Period, low: _Period | None, high: _Period | None) -> bool:
    return (low is None or low.as_seen_from(known).first <= known.as_seen_from(low).first) and (
        high is None or known.as_seen_from(high).first <= high.as_seen_from(known).last
    )


def _period(value: str) -> _Period | None:
    match = _VALUE.fullmatch(value.strip(" \0"))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if second == "60":
        # a leap second is the last microsecond before it, since Python has none
        second, fraction = "59", "999999"
    try:
        first = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0").ljust(6, "0")), UTC,
        )  # fmt: skip
        if fraction:
            last = first + timedelta(microseconds=10 ** (6 - len(fraction))) - _MICROSECOND
        elif second or minute or hour or day:
            unit = timedelta(seconds=1) if second else timedelta(minutes=1) if minute else timedelta(hours=1)
            last = first + (unit if hour else timedelta(days=1)) - _MICROSECOND
        else:
            following = first.replace(day=28) + timedelta(days=4) if month else first.replace(month=12, day=31)
            last = following.replace(day=1) - _MICROSECOND if month else following + timedelta(days=1) - _MICROSECOND
    except (ValueError, OverflowError):
        return None
    return _Period(first, last, _offset(offset))


def _offset(text: str | None) -> timedelta | None:
    if not text:
        return None
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return -size if text[0] == "-" else size
