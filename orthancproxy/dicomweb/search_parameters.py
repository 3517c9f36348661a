"""The query parameters of a search (PS3.18 section 8.3.4)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydicom.datadict import keyword_dict, keyword_for_tag, tag_for_keyword

from orthancproxy.archive.keywords import is_text, vr_of
from orthancproxy.dicomweb.search_values import check_value
from orthancproxy.errors import InvalidRequest

MAX_WHOLE = 2**31 - 1
MAX_INCLUDES = 256

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_ATTRIBUTE = re.compile(r"[^a-z_]|[0-9A-Fa-f]{8}|.*\.")
# no value of these VRs contains a comma (PS3.5 section 6.2)
_LISTED_VRS = frozenset({"CS", "UI"})
_SWITCHES = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """What a search asks for: attributes to match and to include, by keyword, and which of the results.

    Alternatives of a value to match are separated by backslashes. `not_supported` are the parameters that were ignored.
    """

    matches: Mapping[str, str]
    includes: Sequence[str]
    includes_all: bool
    limit: int
    offset: int
    not_supported: Sequence[str]


def parse(parameters: Iterable[tuple[str, Sequence[str]]]) -> SearchParameters:
    """Parse query parameters: names with the values of each. Raises InvalidRequest."""
    matches: dict[str, str] = {}
    includes: list[str] = []
    known = dict.fromkeys(("limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching"), "")
    for name, values in parameters:
        if name == "includefield":
            includes += [one.strip() for value in values for one in value.split(",") if one.strip()]
        elif name in known:
            known[name] = _only(name, values)
        elif _is_attribute(name):
            keyword = _matched(name)
            if keyword in matches:
                raise InvalidRequest(f"{keyword} is given twice, by its keyword and by its tag.")
            matches[keyword] = _alternatives(keyword, values)
            check_value(keyword, matches[keyword])
    if len(includes) > MAX_INCLUDES:
        raise InvalidRequest(f"At most {MAX_INCLUDES} attributes can be included.")
    switches = {name: _switch(name, known[name]) for name in ("fuzzymatching", "emptyvaluematching")}
    _switch("multiplevaluematching", known["multiplevaluematching"])
    return SearchParameters(
        matches,
        [keyword for keyword in map(_included, includes) if keyword],
        "all" in includes,
        _whole("limit", known["limit"], MAX_WHOLE),
        _whole("offset", known["offset"], 0),
        [name for name, is_on in switches.items() if is_on],
    )


def _is_attribute(name: str) -> bool:
    """Whether a parameter names an attribute: others are not of DICOM, such as those that avoid caches."""
    return _ATTRIBUTE.match(name) is not None or name.lower() in _keywords()


@cache
def _keywords() -> Mapping[str, str]:
    """Return the keywords by their lower case."""
    return {keyword.lower(): keyword for keyword in keyword_dict if keyword}


def _matched(name: str) -> str:
    if "." in name:
        raise InvalidRequest("Matching attributes inside sequences is not supported.")
    if _TAG.fullmatch(name):
        if keyword := keyword_for_tag(int(name, 16)):
            return keyword
        raise InvalidRequest(f"{name} is not a tag in the DICOM dictionary (PS3.6): matching it is not supported.")
    keyword = _keywords().get(name.lower(), "")
    if keyword and keyword != name:
        # to ignore it would return what the client has excluded
        raise InvalidRequest(f"Keywords are case-sensitive: use {keyword}.")
    if not keyword:
        raise InvalidRequest(
            f"{name[:64]!a} is neither a keyword in the DICOM dictionary (PS3.6) nor a tag, such as 00100020."
        )
    return name


def _included(name: str) -> str | None:
    """Return the keyword of an attribute to include; None for one that no search returns."""
    if name == "all":
        return None
    keyword = keyword_for_tag(int(name, 16)) if _TAG.fullmatch(name) else name
    if not keyword or "." in keyword:
        # private, or inside a sequence
        return None
    tag = tag_for_keyword(keyword) if len(keyword) <= 64 else None
    if tag is None:
        raise InvalidRequest(f"{name[:64]!a} in includefield is not a keyword in the DICOM dictionary (PS3.6).")
    return keyword if tag >> 16 > 2 and is_text(keyword) else None


def _alternatives(keyword: str, values: Sequence[str]) -> str:
    if vr_of(keyword) in _LISTED_VRS:
        return "\\".join(values).replace(",", "\\")
    return _only(keyword, values)


def _only(name: str, values: Sequence[str]) -> str:
    if len(values) > 1:
        raise InvalidRequest(f"The parameter {name} was sent more than once.")
    return values[0]


def _switch(name: str, value: str) -> bool:
    try:
        return _SWITCHES[value or "false"]
    except KeyError:
        raise InvalidRequest(f"The parameter {name} must be true or false.") from None


def _whole(name: str, value: str, default: int) -> int:
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and int(value) <= MAX_WHOLE):
        raise InvalidRequest(f"The parameter {name} must be a whole number from 0 to {MAX_WHOLE}.")
    return int(value)
