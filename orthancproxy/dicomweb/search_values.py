"""The values that a search matches attributes by (PS3.18 section 8.3.4, PS3.4 section C.2.2.2)."""

import re
from collections.abc import Callable, Mapping

from orthancproxy.archive import date_times, parsing
from orthancproxy.archive.keywords import vr_of
from orthancproxy.errors import InvalidRequest

# Bounds of a range may be shorter than a value, and be the 31st of any month. Earlier versions of the standard have the
# separators.
_DAY = r"[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])?|\.(?:0[1-9]|1[0-2])\.(?:0[1-9]|[12][0-9]|3[01]))?"
_TIME = (
    r"(?:[01][0-9]|2[0-3])"
    r"(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?|:[0-5][0-9](?::(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
)
_AGE = re.compile(r"[0-9]{1,3}[DWMY]", re.ASCII)
_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)


def check_value(keyword: str, value: str) -> None:
    """Raise InvalidRequest for a value that no attribute of this VR can match. Empty ones and `*` match all."""
    if vr_of(keyword) not in _VALUES:
        return
    is_valid, expected = _VALUES[vr_of(keyword)]
    for one in (part.strip(" \0") for part in value.split("\\")):
        if one.strip("*") and not is_valid(one):
            raise InvalidRequest(f"{keyword} must be {expected}.")


def _is_period(one: Callable[[str], object], bound: str) -> Callable[[str], bool]:
    """Return the test of one value or a range of them."""
    matches = re.compile(rf"(?:{bound}) *- *(?:{bound})?|- *(?:{bound})", re.ASCII).fullmatch
    return lambda text: one(text) is not None or matches(text) is not None


_INTEGER = (lambda text: re.fullmatch(r"[+-]?[0-9]{1,20}", text, re.ASCII) is not None), "a whole number"
_DECIMAL = (lambda text: parsing.decimal(text) is not None), "a number"
_VALUES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "DA": (_is_period(parsing.calendar_date, _DAY), "a date, such as 20240522, or a range, such as 20240501-20240531"),
    "TM": (_is_period(parsing.time_of_day, _TIME), "a time, such as 143000, or a range, such as 1400-1459"),
    "DT": (
        (lambda text: date_times.matcher(text) is not None),
        "a date and time, such as 20240522143000, or a range, such as 20240522-20240523",
    ),
    "AS": ((lambda text: _AGE.fullmatch(text) is not None), "an age, such as 045Y"),
    "AT": ((lambda text: _TAG.fullmatch(text) is not None), "a tag, such as 00100020"),
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US", "US or SS", "UV"), _INTEGER),
    **dict.fromkeys(("DS", "FD", "FL"), _DECIMAL),
}
