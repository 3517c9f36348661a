"""What an Orthanc has, and what of a file's values identifies its patient."""

import json
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask

PROFILE = frozenset(tag[0] << 16 | tag[1] for tag in table.ALL_TAGS if len(tag) == 2)
STANDARD_UID = re.compile(rb"1\.2\.840\.10008\.[0-9.]+")
# UID of the instance, what made the file, who sent it to whom, and what is private
META = frozenset({0x00020003, 0x00020012, 0x00020013, 0x00020016, 0x00020017, 0x00020018, 0x00020100, 0x00020102})
MIN_VALUE_BYTES = 4
# what the gateway writes instead
DUMMIES = frozenset({b"ANONYMIZED", b"000000", b"0000", b"000Y", b"19000101", b"19000101000000"})
_KINDS = ("ClassUID", "SyntaxUID", "SchemeUID", "ContextUID", "MappingResourceUID")


def studies(orthanc: LocalOrthanc) -> list[str]:
    found: list[str] = json.loads(ask(orthanc, "/studies"))
    return found


def clear(orthanc: LocalOrthanc) -> None:
    for patient in json.loads(ask(orthanc, "/patients")):
        ask(orthanc, f"/patients/{patient}", "DELETE")


def files(orthanc: LocalOrthanc, study: str) -> list[bytes]:
    """The files of a study."""
    instances = json.loads(ask(orthanc, f"/studies/{study}/instances"))
    return [ask(orthanc, f"/instances/{one['ID']}/file") for one in instances]


def parsed(data: bytes) -> Dataset:
    return dcmread(BytesIO(data), force=True)


def identifying_values(originals: Iterable[bytes], *, are_dates_shifted: bool = False) -> set[bytes]:
    """The values of the files of a study that must not be anywhere in the bytes of the anonymized files.

    These are, as stored and in UTF-8, at every depth, each value of a multi-valued attribute by itself, and the parts
    of names: of the attributes of PS3.15 table E.1-1; of private attributes; of curves and overlays; of file meta
    information; and all UIDs but those of the standard and those that name a kind of thing, such as a SOP class.

    Not counted is what says nothing, or cannot be told from something else: values of less than MIN_VALUE_BYTES ("1",
    "M"); where dates are shifted, dates and times, of which a shifted one may be another; values that stand within a
    value that does not identify anybody (a manufacturer's name that is the institution's, too; a number that some
    private attribute has); and what the gateway writes instead of them.
    """
    identifying: set[bytes] = set()
    other: set[bytes] = set()
    for dataset in map(parsed, originals):
        for element, raw in _elements(dataset):
            if are_dates_shifted and element.VR in ("DA", "DT", "TM"):
                continue
            values = set(_values(element, raw))
            (identifying if _identifies(int(element.tag), element.VR) else other).update(values)
        for element in getattr(dataset, "file_meta", ()):
            if int(element.tag) in META:
                identifying.update(_values(element, None))
    rest = b"\n".join(other)
    return {
        value
        for value in identifying
        if len(value) >= MIN_VALUE_BYTES
        and value not in DUMMIES
        and not STANDARD_UID.fullmatch(value)
        and set(value) != {0}
        and value not in rest
    }


def left(originals: Iterable[bytes], anonymized: Iterable[bytes], *, are_dates_shifted: bool = False) -> set[bytes]:
    """The identifying values of files that anonymized files have."""
    values = identifying_values(originals, are_dates_shifted=are_dates_shifted)
    searched = b"\n".join(_without_digits(one) for one in anonymized)
    return {value for value in values if value in searched}


def _without_digits(anonymized: bytes) -> bytes:
    """Return a file without its new UIDs, dates and times, of which the digits contain any short number."""
    new = {raw for element, raw in _elements(parsed(anonymized)) if element.VR in ("DA", "DT", "TM") and raw}
    for value in new:
        anonymized = anonymized.replace(value, b"")
    return re.sub(rb"2\.25\.[0-9]+", b"", anonymized)


def _identifies(tag: int, vr: str) -> bool:
    group = tag >> 16
    if group % 2 or group & 0xFF00 == 0x5000 or (group & 0xFF00 == 0x6000 and tag & 0xFFFF in (0x3000, 0x4000)):
        return True
    if vr == "UI":
        return not keyword_for_tag(tag).endswith(_KINDS)
    return tag in PROFILE


def _elements(dataset: Dataset) -> Iterator[tuple[Any, Any]]:
    for tag in list(dataset.keys()):
        stored: Any = dataset.get_item(tag)
        raw = stored.value if isinstance(stored, RawDataElement) else None
        element = dataset[BaseTag(tag)]
        if str(element.VR) == "SQ":
            for item in element.value:
                yield from _elements(item)
        else:
            yield element, raw


def _values(element: Any, raw: Any) -> Iterator[bytes]:
    if isinstance(raw, bytes):
        parts = raw.split(b"\\") if element.VR not in ("OB", "OW", "UN", "OF", "OD") else [raw]
        for part in parts:
            yield part.strip(b"\0 ")[:200]
            if element.VR == "PN":
                yield from (name.strip(b"\0 ") for name in re.split(rb"[\^=\s]+", part))
    value = element.value
    for one in value if element.VM > 1 else [value]:
        if not isinstance(one, bytes):
            yield str(one).encode(errors="replace").strip(b"\0 ")[:200]
