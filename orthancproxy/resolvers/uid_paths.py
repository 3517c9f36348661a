"""Finds resources by their UIDs, as DICOMweb names them."""

from dataclasses import replace

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.uid_path import UIDPath

_BELOW = "below"


def found(hierarchy: Hierarchy, plan: LevelPlan, path: UIDPath) -> list[Resource]:
    """Return the resources of the plan's level at or below a path, in the plan's order, with the UIDs of the path.

    It names a resource of this level or of one above. A UID may name several: two patients may have studies of one
    StudyInstanceUID. The number of calls depends on the levels only; what is kept of a series is not fetched again.
    For operations, which authorize the caller and audit what was found.
    """
    assert path.level is not None  # noqa: S101 - for mypy: routes of the whole archive read pages
    identifiers = path.identifiers
    named = frozenset({"PatientID", *identifiers})
    levels = [*plan.level.above[path.level.depth :], plan.level]
    plan = replace(plan, needs=plan.needs | Needs(named))
    for level in reversed(levels[:-1]):
        needs = Needs(named if level is path.level else frozenset())
        plan = LevelPlan(level=level, needs=needs, related={_BELOW: plan})
    resources = [
        one
        for one in hierarchy.all_by_identifier(plan, identifiers[path.level.identifier])
        if all(_same(one.tags.get(keyword, ""), uid) for keyword, uid in identifiers.items())
    ]
    for _ in levels[1:]:
        resources = [below for one in resources for below in one.related[_BELOW]]
    return resources


def _same(stored: str, uid: str) -> bool:
    return stored.rstrip(" \0") == uid
