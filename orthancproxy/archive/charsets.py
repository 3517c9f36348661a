"""Repairs text that Orthanc decodes wrongly (1.10.1 to 1.13.0; docs/orthanc.md).

- It has ¥ for the backslash between values where SpecificCharacterSet begins with ISO_IR 13 (not 1.13.0).
- It does not apply the escape sequences of ISO 2022 IR 149, 58 and so on where one of them is the only value: it keeps
  the sequence before the decoded text, and Japanese text undecoded. Its index has lost the escape characters.
- It drops those of `ISO 2022 IR 13\\ISO 2022 IR 87`. The kanji of a name can be told by the katakana before them; in
  other text they cannot.
"""

import re
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword

# values of these VRs may contain the character (PS3.5 section 6.2)
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
# designations of a G1 set (PS3.3 section C.12.1.1.2), without the escape character only of the two that no text ends in
_DESIGNATION = re.compile(r"\x1b(?:-[A-Z]|\)I|\$\)[AC])|\$\)[AC](?=[^\x00-\x7f])")
# JIS X 0208 up to the designation of ISO 646 or JIS X 0201
_JAPANESE = re.compile(r"\x1b?\$B((?:[!-~]{2}){1,128}?)\x1b?\([BJ]")
_HALF_WIDTH_KATAKANA = re.compile(r"[\uff61-\uff9f]")
# two characters of ASCII are one of JIS X 0208; ^ and = between such are delimiters
_PAIRS = r"(?:[!-\]_-~][!-~])+?"
_JIS_GROUP = rf"{_PAIRS}(?:\^{_PAIRS})*?"
_JIS_GROUPS = re.compile(rf"({_JIS_GROUP})(?:=({_JIS_GROUP}))?")


def repaired(keyword: str, value: str) -> str:
    """Return the value of a keyword as it is stored."""
    if "$" in value or "\x1b" in value:
        value = _DESIGNATION.sub("", _JAPANESE.sub(_decoded, value))
    if not value.isascii():
        if "¥" in value and not _is_free_text(keyword):
            return value.replace("¥", "\\")
        if _HALF_WIDTH_KATAKANA.search(value) and "=" in value and keyword.endswith("Name"):
            return _name(value)
    return value


@cache
def _is_free_text(keyword: str) -> bool:
    tag = tag_for_keyword(keyword)
    return tag is None or dictionary_VR(tag) in _TEXT_VRS


def _decoded(match: re.Match[str]) -> str:
    return _from_jis(match[1]) or match[0]


def _from_jis(text: str) -> str | None:
    """Decode JIS X 0208, of which each character is two of ASCII."""
    try:
        return f"\x1b$B{text}\x1b(B".encode("ascii").decode("iso2022_jp")
    except UnicodeError:
        return None


def _name(value: str) -> str:
    """Decode the ideographic and the phonetic group of a name."""
    alphabetic, _, rest = value.partition("=")
    match = _JIS_GROUPS.fullmatch(rest)
    groups = [_group(group) for group in match.groups() if group] if match else []
    return value if match is None or None in groups else "=".join([alphabetic, *map(str, groups)])


def _group(text: str) -> str | None:
    components, start = [""], 0
    while start < len(text):
        if text[start] == "^":
            components.append("")
            start += 1
        else:
            components[-1] += text[start : start + 2]
            start += 2
    decoded = [_from_jis(component) for component in components]
    return None if None in decoded else "^".join(map(str, decoded))
