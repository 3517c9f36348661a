"""Finds resources by their UIDs, as DICOMweb names them."""

from dataclasses import replace

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.uid_path import UIDPath

_BELOW = "below"


def found(hierarchy: Hierarchy, plan: LevelPlan, path: UIDPath) -> list[Resource]:
    """Return the resources of the plan's level at or below a path, in its order, with the identifiers of those above.

    The path names a resource of this level or of one above; or several: two patients may have studies of one
    StudyInstanceUID. The number of calls depends on the levels only; what is kept of a series is not fetched again.
    For operations, which authorize the caller and audit what was found.
    """
    named = path.named_level
    levels = [*plan.level.above[named.depth :], plan.level]
    plan = replace(plan, needs=plan.needs | _identifiers_of(plan.level))
    for level in reversed(levels[:-1]):
        needs = _identifiers_of(level) if level is named else Needs()
        plan = LevelPlan(level=level, needs=needs, related={_BELOW: plan})
    criteria = replace(plan.filter, identifiers=((named.identifier, frozenset({path.levels[named]})),))
    resources = [one for one in hierarchy.matching(replace(plan, filter=criteria)) if path.leads_to(one)]
    for _ in levels[1:]:
        resources = [below for one in resources for below in one.related[_BELOW]]
    return resources


def _identifiers_of(level: Level) -> Needs:
    return Needs(frozenset(one.identifier for one in (*level.above, level)))
