"""Sorting records in the gateway as Orthanc's `OrderBy` does on SQLite, where Orthanc is let do it."""

import re
from collections.abc import Iterable, Sequence

from orthancproxy.archive.keywords import NORMALISED
from orthancproxy.archive.plan import LevelPlan, Order
from orthancproxy.archive.records import Resource

# Names and descriptions are in people's scripts: Orthanc would sort all Korean ones alike.
SORTED_HERE = frozenset({"PatientName", "StudyDescription"})
SORTED_NORMALISED = NORMALISED - SORTED_HERE

_LEADING_INTEGER = re.compile(r"\s*[+-]?\d+", re.ASCII)
_LEADING_DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _comparable(text: str | None, order: Order) -> tuple[bool, str | float]:
    """What SQL compares: nothing before anything, text, or the number that CAST takes from its start (0 for none)."""
    if text is None or order.kind == "text":
        if text and order.by in SORTED_NORMALISED:
            text = "".join(character for character in text if " " <= character <= "~").strip().upper()
        return text is not None, text or ""
    match = (_LEADING_INTEGER if order.kind == "integer" else _LEADING_DECIMAL).match(text)
    return True, float(match.group()) if match else 0.0


def arrange(records: Iterable[Resource], order: Sequence[Order]) -> list[Resource]:
    """Sort by several keys, equal ones by Orthanc id. A missing value counts as the smallest."""
    arranged = sorted(records, key=lambda record: record.orthanc_id)
    for key in reversed(order):
        arranged.sort(key=lambda record: _comparable(record.sort_value(key.by), key), reverse=key.descending)
    return arranged


def cut(records: Sequence[Resource], plan: LevelPlan) -> Sequence[Resource]:
    """The part of an ordered list that a plan asks for."""
    return records[plan.offset : None if plan.first is None else plan.offset + plan.first]
