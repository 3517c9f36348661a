"""Sorts resources as Orthanc's `OrderBy` does on SQLite, for lists that Orthanc cannot sort."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter

from orthancproxy.archive.keywords import NORMALISED
from orthancproxy.archive.plan import LevelPlan, Order
from orthancproxy.archive.records import Resource

# Often not ASCII: Orthanc would sort all Korean names alike.
SORTED_HERE = frozenset({"PatientName", "StudyDescription"})
SORTED_NORMALISED = NORMALISED - SORTED_HERE

_LEADING_INTEGER = re.compile(r"\s*[+-]?\d+", re.ASCII)
_LEADING_DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def sort(resources: Iterable[Resource], order: Sequence[Order]) -> list[Resource]:
    """Sort by several keys, equal ones by Orthanc id. A missing value counts as the smallest."""
    result = sorted(resources, key=attrgetter("orthanc_id"))
    for key in reversed(order):
        result.sort(key=_value(key), reverse=key.descending)
    return result


def _value(order: Order) -> Callable[[Resource], tuple[bool, str | float]]:
    """The value that SQL compares: NULL first, then text, or the number that CAST reads from its start."""
    by = order.by
    compared = _COMPARED[order.kind]
    if by in SORTED_NORMALISED and order.kind == "text":
        compared = _normalised
    if by == "LastUpdate":
        return lambda resource: compared(resource.facts.get(by))
    return lambda resource: compared(resource.tags.get(by))


def _text(text: str | None) -> tuple[bool, str]:
    return text is not None, text or ""


def _normalised(text: str | None) -> tuple[bool, str]:
    return _text(text and "".join(character for character in text if " " <= character <= "~").strip().upper())


@lru_cache(maxsize=4096)
def _integer(text: str | None) -> tuple[bool, float]:
    return _number(_LEADING_INTEGER, text)


@lru_cache(maxsize=4096)
def _decimal(text: str | None) -> tuple[bool, float]:
    return _number(_LEADING_DECIMAL, text)


def _number(leading: re.Pattern[str], text: str | None) -> tuple[bool, float]:
    match = leading.match(text) if text is not None else None
    # 0 without a leading number, like CAST
    return text is not None, float(match.group()) if match else 0.0


_COMPARED: Mapping[str, Callable[[str | None], tuple[bool, str | float]]] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
}


def slice_page(resources: Sequence[Resource], plan: LevelPlan) -> Sequence[Resource]:
    """Return the part of a sorted list that a plan asks for."""
    return resources[plan.offset : None if plan.first is None else plan.offset + plan.first]
