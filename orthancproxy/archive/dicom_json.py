"""The DICOM JSON model (PS3.18 annex F) of tags as Orthanc sends them: text by keyword."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

from orthancproxy.archive import parsing
from orthancproxy.archive.keywords import tag_of, vr_of
from orthancproxy.archive.matching import SINGLE_VALUE_VRS

Element = Mapping[str, Any]

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_TAG = re.compile(r"([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})")
# of an attribute with several VRs, a text does not tell which one its file has
_FIRST_VRS = {"US or SS": "US", "US or OW": "US", "US or SS or OW": "US"}
_CACHED_ELEMENTS = 16_384


@cache
def json_tag(keyword: str) -> str:
    """Return the name of an attribute: `00100020`. Raises InvalidRequest for an unknown keyword."""
    return tag_of(keyword).replace(",", "").upper()


def elements(tags: Mapping[str, str], keywords: Iterable[str]) -> dict[str, Element]:
    """Return attributes by tag, in the order of the keywords; absent and empty ones have no value."""
    return {json_tag(keyword): element(keyword, tags.get(keyword, "")) for keyword in keywords}


@lru_cache(_CACHED_ELEMENTS)
def element(keyword: str, text: str) -> Element:
    """Return an attribute. Values that are not of its VR are left out; the result must not be changed."""
    return element_of(vr_of(keyword), text)


def element_of(vr: str, text: str) -> Element:
    """Return an attribute of a VR, with several values where its text has backslashes."""
    vr = _FIRST_VRS.get(vr, vr)
    texts = [text] if vr in SINGLE_VALUE_VRS else text.split("\\")
    convert = _CONVERTERS.get(vr, parsing.text)
    values = [convert(one) for one in texts]
    if all(value is None for value in values):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def _person_name(text: str) -> Mapping[str, str] | None:
    groups = {
        name: group for name, part in zip(_NAME_GROUPS, text.split("="), strict=False) if (group := part.strip(" \0"))
    }
    return groups or None


def _long_text(text: str) -> str | None:
    return text.rstrip(" \0") or None


def _attribute_tag(text: str) -> str | None:
    match = _TAG.fullmatch(text.strip())
    return f"{match[1]}{match[2]}".upper() if match else None


def _whole(text: str) -> int | None:
    text = text.strip(" \0")
    try:
        return int(text) if len(text) <= 20 else None
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
