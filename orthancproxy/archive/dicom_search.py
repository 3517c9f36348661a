"""Searches for studies, series or instances by attributes, also by those of the levels above (PS3.18 section 10.6)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.search_columns import (
    FIXED,
    RETRIEVE_URL,
    SEARCHED_LEVELS,
    Column,
    columns_of,
    level_of,
    needs_of,
)
from orthancproxy.archive.uid_path import UIDPath
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.capabilities import Capabilities

MAX_RESULTS = 10_000
"""Maximum number of results of a search."""

Line = Sequence[Resource]
"""A result: its resource, preceded by those above that were fetched, from the study down."""
Matches = Mapping[Level, tuple[tuple[str, str], ...]]

_BELOW, _ABOVE = "below", "above"
_UNMATCHED = {*FIXED, RETRIEVE_URL, "AvailableTransferSyntaxUID"}
_UNIVERSAL = " *\\\0"


@dataclass(frozen=True, slots=True)
class DicomSearch:
    """A search for resources of a level below a path, or in the whole archive.

    `matches` are values to match by keyword (PS3.4 section C.2.2.2), whose alternatives are separated by backslashes;
    `includes` are keywords to show besides the default ones.
    """

    level: Level
    path: UIDPath = field(default_factory=UIDPath)
    matches: Mapping[str, str] = field(default_factory=dict)
    includes: Sequence[str] = ()
    includes_all: bool = False
    limit: int = MAX_RESULTS
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SearchResults:
    """A page of results, with their attributes; `total` is the length of the whole list, if it is known."""

    lines: Sequence[Line]
    columns: Sequence[Column]
    has_next: bool
    total: int | None


def search_archive(hierarchy: Hierarchy, search: DicomSearch) -> tuple[SearchResults, Sequence[Resource]]:
    """Return the results of a search, and the resources that were read for it.

    Results are ordered by their studies, series and instances, each in the order of its level; or, where instances or
    series of a large archive are found by their own attributes, in the order of their level. Raises InvalidRequest.
    """
    capabilities = hierarchy.capabilities
    levels = SEARCHED_LEVELS[: search.level.depth]
    shown = [level for level in levels[:-1] if search.path.level is None or level.depth > search.path.level.depth]
    columns = columns_of(
        search.level, shown, (*search.includes, *search.matches), capabilities, every=search.includes_all
    )
    matches = _matches_by_level(search)
    if search.path.level:
        in_use = {search.path.level, *matches, *(column.level for column in columns)}
        levels = levels[min(map(levels.index, in_use)) :]
        found = [
            one
            for one in hierarchy.matching(_downwards(levels, columns, matches, search.path))
            if search.path.leads_to(one)
        ]
        return _part(search, columns, list(_lines_below(found, levels)), is_whole=True), found
    if search.level is Level.STUDY or not _goes_down(search, matches, capabilities):
        page = hierarchy.page(_upwards(search, levels, columns, matches))
        return _page(search, columns, page, [_line_above(one) for one in page.resources]), page.resources
    plan = _downwards(levels, columns, matches, search.path)
    if not matches.keys() - {Level.STUDY}:
        # each study has at least one of what is below
        plan = replace(plan, first=search.offset + search.limit + 1)
    page = hierarchy.page(plan)
    lines = list(_lines_below(page.resources, levels))
    return _part(search, columns, lines, is_whole=not page.has_next), page.resources


def _matches_by_level(search: DicomSearch) -> Matches:
    """Return what to match at each level, without universal matching. Raises InvalidRequest."""
    matches: dict[Level, tuple[tuple[str, str], ...]] = defaultdict(tuple)
    for keyword, value in search.matches.items():
        level = level_of(keyword, search.level)
        if keyword in _UNMATCHED or level is None:
            raise InvalidRequest(f"{keyword} cannot be matched in a search for {search.level.path}.")
        if value.strip(_UNIVERSAL):
            matches[level] += ((keyword, value),)
    return matches


def _goes_down(search: DicomSearch, matches: Matches, capabilities: Capabilities) -> bool:
    """Whether a search of the archive begins with studies: those that match, or all of a small archive.

    What is below these is kept between requests. Otherwise Orthanc finds the resources by their own attributes.
    """
    return Level.STUDY in matches or (not matches and capabilities.stored[search.level.value] <= MAX_RESULTS)


def _downwards(levels: Sequence[Level], columns: Sequence[Column], matches: Matches, path: UIDPath) -> LevelPlan:
    """Return a plan for what matches at each level, and is on a path."""
    related: dict[str, LevelPlan] = {}
    for level in reversed(levels):
        uid = path.levels.get(level)
        identifiers = ((level.identifier, frozenset({uid})),) if uid else ()
        needs = needs_of(columns, level)
        if level is levels[0]:
            # for URLs and the audit
            needs |= Needs(frozenset({Level.PATIENT.identifier, Level.STUDY.identifier}))
        criteria = Filter(matches.get(level, ()), identifiers=identifiers)
        plan = LevelPlan(level=level, needs=needs, filter=criteria, related=related)
        related = {_BELOW: plan}
    return plan


def _upwards(search: DicomSearch, levels: Sequence[Level], columns: Sequence[Column], matches: Matches) -> LevelPlan:
    """Return a plan for a page of the level that is searched, with the resources above each."""
    related: dict[str, LevelPlan] = {}
    for level in levels[:-1]:
        plan = LevelPlan(level=level, needs=needs_of(columns, level), related=related)
        related = {_ABOVE: plan}
    criteria = Filter(tuple(match for level in levels for match in matches.get(level, ())))
    return LevelPlan(
        level=search.level,
        needs=needs_of(columns, search.level),
        filter=criteria,
        first=search.limit,
        offset=search.offset,
        related=related,
    )


def _lines_below(found: Sequence[Resource], levels: Sequence[Level], above: Line = ()) -> Iterator[Line]:
    for resource in found:
        line = (*above, resource)
        if len(levels) == 1:
            yield line
        else:
            yield from _lines_below(resource.related[_BELOW], levels[1:], line)


def _line_above(resource: Resource) -> Line:
    above = resource.related.get(_ABOVE)
    return (*_line_above(above), resource) if above else (resource,)


def _part(search: DicomSearch, columns: Sequence[Column], lines: Sequence[Line], *, is_whole: bool) -> SearchResults:
    """Return the part of a list that a search asks for."""
    end = search.offset + search.limit
    total = len(lines) if is_whole else None
    return SearchResults(lines[search.offset : end], columns, len(lines) > end or not is_whole, total)


def _page(search: DicomSearch, columns: Sequence[Column], page: Page, lines: Sequence[Line]) -> SearchResults:
    total = page.total
    if total is None and not page.has_next and (lines or not search.offset):
        total = search.offset + len(lines)
    return SearchResults(lines, columns, page.has_next, total)
