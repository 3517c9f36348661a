"""Sorts resources by the values that the gateway shows, so that every Orthanc's lists have one order."""

from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from operator import attrgetter
from typing import Any, cast

from orthancproxy.archive import parsing
from orthancproxy.archive.keywords import vr_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs, Order, Position
from orthancproxy.archive.records import Page, Resource

# Often not ASCII: Orthanc would sort all Korean names alike.
SORTED_HERE = frozenset({"PatientName", "StudyDescription"})
# Stands for the position along the normal of the slices.
POSITION = "ImagePositionPatient"

_PARSERS: Mapping[str, Callable[[str | None], Any]] = {
    "DA": parsing.calendar_date,
    "TM": parsing.time_of_day,
    "IS": parsing.integer,
    "DS": parsing.decimal,
}


def sort(resources: Iterable[Resource], order: Sequence[Order]) -> list[Resource]:
    """Sort by several keys, equal ones by Orthanc id. A value that is missing or shown as null is the smallest."""
    return _sorted(list(resources), order)


def _sorted(resources: list[Resource], order: Sequence[Order]) -> list[Resource]:
    """Sort likewise; further keys are read of equal ones only: positions take longer than the rest of a kept list."""
    if len(resources) < 2:
        return resources
    if not order:
        return sorted(resources, key=attrgetter("orthanc_id"))
    key, rest = order[0], order[1:]
    value = _value(key.by)
    equal: dict[Any, list[Resource]] = {}
    for resource in resources:
        equal.setdefault(value(resource), []).append(resource)
    missing = _sorted(equal.pop(None, []), rest)
    present = [one for found in sorted(equal, reverse=key.descending) for one in _sorted(equal[found], rest)]
    return present + missing if key.descending else missing + present


def position_of(resource: Resource, order: Sequence[Order]) -> Position:
    """Return the position behind a resource, which must hold the data that it is sorted by."""
    return Position(tuple(_comparable(_value(key.by)(resource)) for key in order), resource.orthanc_id)


def is_position(position: Position, order: Sequence[Order]) -> bool:
    """Whether a position has a value of the right type for each key of this order."""
    return len(position.values) == len(order) and all(
        value is None or isinstance(value, float if key.by == POSITION or vr_of(key.by) in ("IS", "DS") else str)
        for key, value in zip(order, position.values, strict=True)
    )


def is_behind(resource: Resource, position: Position, order: Sequence[Order]) -> bool:
    """Whether a resource comes after a position in a list of this order."""
    for key, limit in zip(order, position.values, strict=True):
        value = _comparable(_value(key.by)(resource))
        if value != limit:
            is_smaller = value is None or (limit is not None and value < limit)  # type: ignore[operator]
            return is_smaller is key.descending
    return resource.orthanc_id > position.orthanc_id


def _comparable(value: Any) -> str | float | None:
    """Return a value as text or a number, which sort alike."""
    match value:
        case date():
            return value.isoformat().replace("-", "")
        case time():
            return value.strftime("%H%M%S.%f")
        case int():
            return float(value)
        case _:
            return cast("str | float | None", value)


def _value(by: str) -> Callable[[Resource], Any]:
    if by == "LastUpdate":
        return lambda resource: resource.facts.get(by)
    if by == POSITION:
        return _position
    parse = _PARSERS.get(vr_of(by), parsing.text)
    return lambda resource: parse(resource.tags.get(by))


def _position(instance: Resource) -> float | None:
    """The distance of a slice from the origin along its normal, in mm (PS3.3 section C.7.6.2.1.1)."""
    position = parsing.decimals(instance.tags.get(POSITION))
    if position is None or len(position) != 3:
        return None
    match parsing.decimals(instance.tags.get("ImageOrientationPatient")):
        case (a, b, c, d, e, f):
            normal = (b * f - c * e, c * d - a * f, a * e - b * d)
        case _:
            normal = (0.0, 0.0, 1.0)
    return sum(part * along for part, along in zip(position, normal, strict=True))


def sort_needs(plan: LevelPlan, *, with_facts: bool = False) -> Needs:
    """Return the data that sorting a list takes, of those that its plan needs.

    If `with_facts`, with all facts that the plan needs, which `ScopedFetcher` does not fetch again.
    """
    keys = frozenset(order.by for order in plan.full_order)
    facts = frozenset({Fact.CHANGES}) if "LastUpdate" in keys else frozenset[Fact]()
    return Needs(keys & plan.needs.tags, facts | plan.needs.facts if with_facts else facts)


def page_of(
    plan: LevelPlan,
    every: Iterable[Resource],
    complete: Callable[[Level, Sequence[Resource], Needs], Sequence[Resource]] | None = None,
) -> Page:
    """Return the page that a plan asks for of a whole list, which is sorted here; `complete` adds the data needed."""
    found = sort(every, plan.full_order)
    start = _start(found, plan)
    part = found[start : None if plan.first is None else start + plan.first]
    resources = complete(plan.level, part, plan.needs) if complete and part else part
    return Page(tuple(resources), start + len(part) < len(found), len(found))


def _start(found: Sequence[Resource], plan: LevelPlan) -> int:
    """Return the number of resources of a sorted list that come before the page."""
    position = plan.after
    if position is None:
        return plan.offset
    return bisect(found, False, key=lambda one: is_behind(one, position, plan.full_order))


def slice_page(resources: Sequence[Resource], plan: LevelPlan) -> Sequence[Resource]:
    """Return the part of a sorted list that a plan asks for."""
    return resources[plan.offset : None if plan.first is None else plan.offset + plan.first]
