"""The DICOM JSON model (PS3.18 annex F) of tags as Orthanc sends them: text by keyword."""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

import orjson

from orthancproxy.archive import parsing
from orthancproxy.archive.keywords import tag_of, vr_of
from orthancproxy.archive.matching import SINGLE_VALUE_VRS

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_TAG = re.compile(r"([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})")
# the text of an attribute with several VRs does not tell which one its file has
_FIRST_VRS = {"US or SS": "US", "US or OW": "US", "US or SS or OW": "US"}
# most instances of a list share most of their values, but not these
_UNIQUE_VRS = frozenset({"UI", "UR"})
_CACHED_MEMBERS = 16_384
_MAX_CACHED_LENGTH = 64
_MAX_WHOLE_LENGTH = 20  # of a 64-bit number


@cache
def json_tag(keyword: str) -> str:
    """Return the name of an attribute: `00100020`. Raises InvalidRequest for an unknown keyword."""
    return tag_of(keyword).replace(",", "").upper()


def element(keyword: str, text: str) -> dict[str, Any]:
    """Return an attribute: its VR and its values, without those that are not of its VR; empty ones have no value."""
    vr = vr_of(keyword)
    vr = _FIRST_VRS.get(vr, vr)
    convert = _CONVERTERS.get(vr, parsing.text)
    values = [convert(one) for one in ([text] if vr in SINGLE_VALUE_VRS else text.split("\\"))]
    if all(value is None for value in values):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def member(keyword: str, text: str) -> bytes:
    """Return an attribute with its tag, as a member of a JSON object."""
    return writer(keyword)(text)


@cache
def writer(keyword: str) -> Callable[[str], bytes]:
    """Return the function that makes a member of the text of an attribute, for many texts."""
    vr = vr_of(keyword)
    if vr not in _UNIQUE_VRS:
        return lambda text: (_member if len(text) > _MAX_CACHED_LENGTH else _kept)(keyword, text)
    name = json_tag(keyword)
    begin, empty = f'"{name}":{{"vr":"{vr}","Value":['.encode(), f'"{name}":{{"vr":"{vr}"}}'.encode()

    def write(text: str) -> bytes:
        if "\\" in text and vr == "UI":
            return _member(keyword, text)
        value = text.strip(" \0")
        return begin + orjson.dumps(value) + b"]}" if value else empty

    return write


def _member(keyword: str, text: str) -> bytes:
    return b'"%b":%b' % (json_tag(keyword).encode(), orjson.dumps(element(keyword, text)))


_kept = lru_cache(_CACHED_MEMBERS)(_member)


def _person_name(text: str) -> Mapping[str, str] | None:
    groups = zip(_NAME_GROUPS, text.split("="), strict=False)
    return {name: group for name, part in groups if (group := part.strip(" \0"))} or None


def _long_text(text: str) -> str | None:
    return text.rstrip(" \0") or None


def _attribute_tag(text: str) -> str | None:
    match = _TAG.fullmatch(text.strip())
    return f"{match[1]}{match[2]}".upper() if match else None


def _whole(text: str) -> int | None:
    text = text.strip(" \0")
    try:
        return int(text) if len(text) <= _MAX_WHOLE_LENGTH else None
    except ValueError:
        return None


def _decimal(text: str) -> float | None:
    return parsing.decimal(text.strip("\0"))


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US", "UV"), _whole),
    **dict.fromkeys(("DS", "FD", "FL"), _decimal),
    **dict.fromkeys(("LT", "ST", "UT"), _long_text),
    "PN": _person_name,
    "AT": _attribute_tag,
}
