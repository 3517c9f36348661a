"""A fetcher that leaves a few studies out of another one, as if they were deleted.

What is far from them costs nothing: lists are sorted and paged by the other fetcher, and completed where some of a page
are left out. A scope, which shows a few of many, starts from what it shows instead (`scoped_fetcher`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.levels import Level
from orthancproxy.archive.ordering import is_behind, position_of, sort_needs
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import RESOURCE_TYPES, Page, Resource
from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.archive.scoped_fetcher import ScopedFetcher

# of a page at first, for those that are left out
MARGIN = 20
MAX_TRIES = 10


class HidingFetcher:
    """Fetches with another fetcher, without these studies, what is below, and patients who have no others.

    The studies must hold the identifiers of their level and of the patient.
    """

    def __init__(self, fetcher: Fetcher, hidden: Sequence[Resource]) -> None:
        self._fetcher = fetcher
        self._hidden = {study.orthanc_id: study for study in hidden}

    @property
    def hidden_studies(self) -> frozenset[str]:
        """The Orthanc ids of the studies."""
        return frozenset(self._hidden)

    def hidden_matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return the hidden resources of a level that match."""
        ids = self._hidden_among(self._patients) if level is Level.PATIENT else self.hidden_studies
        if criteria.nothing or not ids:
            return []
        studies = list(self._hidden.values())
        if level is Level.SERIES:
            return self._below(level, studies, criteria, needs)
        if level is Level.INSTANCE:
            return self._below(level, self._below(Level.SERIES, studies, Filter(), Needs()), criteria, needs)
        every = self._patients.values() if level is Level.PATIENT else studies
        identifiers = frozenset(one.tags.get(level.identifier, "").rstrip(" \0") for one in every)
        wanted = replace(criteria, identifiers=(*criteria.identifiers, (level.identifier, identifiers)))
        return [one for one in self._fetcher.matching(level, wanted, needs) if one.orthanc_id in ids]

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""
        # a page is completed by what follows its last resource, which leads to its study
        needs = plan.needs | self._way_up(plan.level)
        hidden: list[Resource] = []
        if plan.total or plan.offset or plan.first == 0:
            hidden = self.hidden_matching(plan.level, plan.filter, sort_needs(plan))
        if plan.first is None or plan.first == 0:
            page = self._fetcher.page(replace(plan, needs=needs, total=plan.total or plan.first == 0))
            length = None if page.total is None else page.total - len(hidden)
            has_next = plan.first == 0 and (length or 0) > plan.offset
            return Page(tuple(self._shown(plan.level, page.resources, plan.needs)), has_next, length)
        start = self._start(plan, hidden)
        part = replace(plan, needs=needs, offset=start, first=plan.first + min(MARGIN, len(self._hidden)))
        found: dict[str, Resource] = {}
        total: int | None = None
        while True:
            page = self._fetcher.page(part)
            if part.total and page.total is not None:
                total = page.total - len(hidden)
            found |= {one.orthanc_id: one for one in self._shown(plan.level, page.resources, plan.needs)}
            if len(found) > plan.first or not page.has_next or not page.resources:
                break
            after = plan.after and position_of(page.resources[-1], plan.full_order)
            part = replace(part, offset=part.offset + len(page.resources), after=after, total=False)
        shown = tuple(found.values())
        return Page(shown[: plan.first], len(shown) > plan.first or page.has_next, total)

    def _start(self, plan: LevelPlan, hidden: Sequence[Resource]) -> int:
        """Return the number of resources before the page, with the hidden ones."""
        order = plan.full_order
        if not plan.offset or not hidden:
            return plan.offset
        if plan.after:
            return plan.offset + sum(not is_behind(one, plan.after, order) for one in hidden)
        before = 0
        for _ in range(MAX_TRIES):
            page = self._fetcher.page(replace(plan, offset=plan.offset + before, first=1, total=False))
            if not page.resources:
                break
            [first] = page.resources
            position = position_of(first, order)
            passed = sum(one.orthanc_id != first.orthanc_id and not is_behind(one, position, order) for one in hidden)
            if passed == before:
                break
            before = passed
        return plan.offset + before

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        return self._shown(level, self._fetcher.matching(level, criteria, needs | self._way_up(level)), needs)

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these visible parents, possibly with those of others."""
        found = self._fetcher.children(level, parents, criteria, needs, roots)
        return [one for one in found if one.orthanc_id not in self._hidden]

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these visible children, possibly with others."""
        return self._recounted(level, self._fetcher.parents(level, children, needs), needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        if level is Level.STUDY:
            ids = [one for one in ids if one not in self._hidden]
        found = self._fetcher.by_ids(level, ids, needs | self._way_up(level)) if ids else []
        return self._shown(level, found, needs)

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        return self._recounted(level, self._fetcher.complete(level, found, needs), needs)

    def _way_up(self, level: Level) -> Needs:
        return Needs(parent=level is Level.INSTANCE)

    def _shown(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        return self._recounted(level, list(self._visible(level, found)), needs)

    def _visible(self, level: Level, found: Sequence[Resource]) -> Iterable[Resource]:
        match level:
            case Level.PATIENT:
                hidden = self._hidden_among(one.orthanc_id for one in found)
                return (one for one in found if one.orthanc_id not in hidden)
            case Level.STUDY:
                return (one for one in found if one.orthanc_id not in self._hidden)
            case Level.SERIES:
                return (one for one in found if one.parent_id not in self._hidden)
        series = self._fetcher.parents(Level.SERIES, found, Needs()) if found else []
        of_hidden = {one.orthanc_id for one in series if one.parent_id in self._hidden}
        return (one for one in found if one.parent_id not in of_hidden)

    def _recounted(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources; patients of whom a study is hidden have their tags from the visible ones.

        What Orthanc's index has of them is of the file that was stored first, which may be hidden.
        """
        if level is not Level.PATIENT or not needs.tags:
            return list(found)
        partial = [one for one in found if one.orthanc_id in self._patients]
        tags = {one.orthanc_id: one.tags for one in ScopedFetcher(self, EVERYTHING).from_studies(partial, needs)}
        return [
            replace(one, tags={**one.tags, **of_visible}) if (of_visible := tags.get(one.orthanc_id)) else one
            for one in found
        ]

    def _below(self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs) -> list[Resource]:
        ids = {parent.orthanc_id for parent in parents}
        studies = list(self._hidden.values())
        found = self._fetcher.children(level, parents, criteria, needs, studies) if parents else []
        return list({one.orthanc_id: one for one in found if one.parent_id in ids}.values())

    @cached_property
    def _patients(self) -> dict[str, Resource]:
        """The patients of the hidden studies, with their PatientIDs."""
        return {patient.orthanc_id: patient for patient in _patients_of(self._hidden.values())}

    def _hidden_among(self, patients: Iterable[str]) -> frozenset[str]:
        """Return those of these patients who have hidden studies only."""
        touched = [self._patients[one] for one in patients if one in self._patients]
        studies = self.children(Level.STUDY, touched, Filter(), Needs(), touched) if touched else []
        return frozenset(one.orthanc_id for one in touched).difference(study.parent_id or "" for study in studies)


def _patients_of(studies: Iterable[Resource]) -> Iterator[Resource]:
    make, identifier = RESOURCE_TYPES[Level.PATIENT], Level.PATIENT.identifier
    for study in studies:
        yield make(study.parent_id or "", None, {identifier: study.tags.get(identifier, "")}, {})
