"""What is different in two versions of a file, attribute by attribute."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.datadict import keyword_for_tag

from orthancproxy.dicom.elements import Element, Elements
from orthancproxy.dicom.text import TEXT_VRS, Encodings, encodings_of, vr_of

MAX_SHOWN_CHARACTERS = 200
_ASCII_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute by the keywords of the sequences above it and its own, or their tags, with its values as text.

    None: there is no such attribute. Binary values and sequences are described.
    """

    path: str
    before: str | None
    after: str | None


def differences(
    before: Elements, after: Elements, encodings: Encodings, after_encodings: Encodings, above: str = ""
) -> Iterator[Difference]:
    """Yield the attributes whose values differ, in the order of their tags, each item of a sequence by itself."""
    encodings, after_encodings = encodings_of(before, encodings), encodings_of(after, after_encodings)
    for tag in sorted(before.keys() | after.keys()):
        # group lengths are no values
        if not tag & 0xFFFF:
            continue
        old, new = before.get(tag), after.get(tag)
        path = above + _name(tag)
        if old and new and isinstance(old.value, list) and isinstance(new.value, list) and new.value:
            for number, (one, other) in enumerate(zip(old.value, new.value, strict=False)):
                yield from differences(one, other, encodings, after_encodings, f"{path}[{number}].")
            continue
        shown, new_shown = _shown(old, before, encodings), _shown(new, after, after_encodings)
        if shown != new_shown:
            yield Difference(path, shown, new_shown)


def _name(tag: int) -> str:
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _shown(element: Element | None, elements: Elements, encodings: Encodings) -> str | None:
    if element is None:
        return None
    value, vr = element.value, vr_of(element, elements)
    if isinstance(value, list):
        return f"{len(value)} items" if len(value) != 1 else "1 item"
    if not isinstance(value, bytes):
        return f"{value.length} bytes"
    if vr in TEXT_VRS or vr in _ASCII_VRS:
        text = encodings.decode(value)[0].strip("\0 ")
        return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
    return f"{len(value)} bytes" if value else ""
