"""Sorting records in the gateway exactly as Orthanc's `OrderBy` does on SQLite."""

import re
from collections.abc import Iterable, Sequence

from orthancproxy.archive.plan import LevelPlan, Order
from orthancproxy.archive.records import Resource

_LEADING_INTEGER = re.compile(r"\s*[+-]?\d+", re.ASCII)
_LEADING_DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _comparable(text: str | None, order: Order) -> str | float | None:
    """What SQL compares: the text, or the number that CAST takes from its start (0 where there is none)."""
    if text is None or order.kind == "text":
        return text
    match = (_LEADING_INTEGER if order.kind == "integer" else _LEADING_DECIMAL).match(text)
    return float(match.group()) if match else 0.0


def arrange(records: Iterable[Resource], order: Sequence[Order]) -> list[Resource]:
    """Sort by several keys; a record without the value comes last in both directions, equal ones by Orthanc id."""
    arranged = sorted(records, key=lambda record: record.orthanc_id)
    for key in reversed(order):
        keyed = [(_comparable(record.sort_value(key.by), key), record) for record in arranged]
        present = [pair for pair in keyed if pair[0] is not None]
        present.sort(key=lambda pair: pair[0], reverse=key.descending)  # type: ignore[arg-type, return-value]
        arranged = [record for _, record in present] + [record for value, record in keyed if value is None]
    return arranged


def cut(records: Sequence[Resource], plan: LevelPlan) -> Sequence[Resource]:
    """The part of an ordered list that a plan asks for."""
    return records[plan.offset : None if plan.first is None else plan.offset + plan.first]
