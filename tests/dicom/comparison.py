"""Differences between two data sets, except those that rewriting makes."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

REWRITTEN = frozenset(
    {
        0x00080005,  # SpecificCharacterSet
        0x00080018,  # SOPInstanceUID
        0x00080020,  # StudyDate
        0x00080030,  # StudyTime
        0x00081030,  # StudyDescription
        0x00100010,  # PatientName
        0x00100020,  # PatientID
        0x0020000D,  # StudyInstanceUID
        0x0020000E,  # SeriesInstanceUID
    }
)
"""The elements of the top level that rewriting may change."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected nested values: UIDs, and the patient of the old file."""

    uids: Mapping[str, str]
    old_patient_id: str
    patient_id: str
    old_patient_name: str
    patient_name: str


def differences(old: Dataset, new: Dataset, expected: Expected) -> list[str]:
    """The unexpected differences of the new data set; empty if there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_differences(old, new, expected, ""))


def _differences(old: Dataset, new: Dataset, expected: Expected, path: str) -> Iterator[str]:
    ignored = {0x00080005} if path else REWRITTEN
    old_tags = [tag for tag in sorted(old.keys()) if tag not in ignored and tag.element != 0]
    new_tags = [tag for tag in sorted(new.keys()) if tag not in ignored]
    if old_tags != new_tags:
        yield f"{path}: elements {old_tags} are now {new_tags}"
        return
    for tag in old_tags:
        here = f"{path}/{tag}"
        old_raw, new_raw = _raw(old, tag), _raw(new, tag)
        old_element, new_element = _element(old, tag), _element(new, tag)
        if old_element is None or new_element is None:
            # pydicom can't make sense of the value: then nothing else may
            if old_raw is None or not _same_bytes(old_raw, new_raw):
                yield f"{here}: {old_raw!r} is now {new_raw!r}"
            continue
        yield from _element_differences(old_element, new_element, old_raw, new_raw, expected, here, nested=bool(path))


def _element_differences(
    old: DataElement,
    new: DataElement,
    old_raw: bytes | None,
    new_raw: bytes | None,
    expected: Expected,
    path: str,
    *,
    nested: bool,
) -> Iterator[str]:
    if old.VR != new.VR:
        yield f"{path}: VR {old.VR} is now {new.VR}"
    elif old.VR == "SQ":
        old_items, new_items = list(old.value or []), list(new.value or [])
        if len(old_items) != len(new_items):
            yield f"{path}: {len(old_items)} items are now {len(new_items)}"
            return
        for number, (old_item, new_item) in enumerate(zip(old_items, new_items, strict=True)):
            yield from _differences(old_item, new_item, expected, f"{path}[{number}]")
    elif old.VR in TEXT_VRS or (old.VR == "UI" and nested):
        wanted = [_expected_value(old, value, expected) if nested else value for value in values(old)]
        if values(new) != wanted:
            yield f"{path}: {values(old)!r} should be {wanted!r}, is {values(new)!r}"
    elif old_raw is None or new_raw is None:
        if old.value != new.value:
            yield f"{path}: {old.value!r} is now {new.value!r}"
    elif not _same_bytes(old_raw, new_raw):
        yield f"{path}: {old_raw[:80]!r} is now {new_raw[:80]!r}"


def _expected_value(element: DataElement, value: str, expected: Expected) -> str:
    if element.VR == "UI":
        return expected.uids.get(value, value)
    if element.tag == 0x00100020 and value == expected.old_patient_id != "":
        return expected.patient_id
    if element.tag == 0x00100010 and value == expected.old_patient_name != "":
        return expected.patient_name
    return value


def values(element: DataElement) -> list[str]:
    """The values of an element as text; none for an empty one."""
    if element.value is None or element.value == "":
        return []
    many = [element.value] if element.VM == 1 or isinstance(element.value, str) else element.value
    return [str(value) for value in many]


def texts(dataset: Dataset, path: str = "") -> dict[str, list[str]]:
    """Every text value at every depth: path → values."""
    found: dict[str, list[str]] = {}
    for element in dataset:
        here = f"{path}/{element.tag}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                found |= texts(item, f"{here}[{number}]")
        elif element.VR in TEXT_VRS:
            found[here] = values(element)
    return found


def _raw(dataset: Dataset, tag: int) -> bytes | None:
    """The raw bytes of a value; None if pydicom has parsed it."""
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    value: object = element.value
    return value if isinstance(value, bytes) else None


def _element(dataset: Dataset, tag: int) -> DataElement | None:
    try:
        return dataset[tag]
    except Exception:  # noqa: BLE001  pydicom raises whatever it meets
        return None


def _same_bytes(old: bytes, new: bytes | None) -> bool:
    return new is not None and (new == old or (len(old) % 2 == 1 and new[:-1] == old))
