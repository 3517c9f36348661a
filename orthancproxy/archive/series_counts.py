"""A fetcher that computes attributes of studies from their series, where Orthanc scans its whole index for them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from orthancproxy.archive.decoding import MAX_IDS_PER_CALL
from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource

# NumberOfStudyRelatedSeries is not among them: Orthanc counts children without a scan
_FROM_SERIES = frozenset({"ModalitiesInStudy", "NumberOfStudyRelatedInstances"})
_OF_SERIES = Needs(frozenset({"Modality", "NumberOfSeriesRelatedInstances"}))


class SeriesCounts:
    """Fetches with another fetcher; modalities and numbers of instances of studies come from a fetch of their series.

    Of 50 of 20,000 studies: 240 ms instead of 700 ms (1.13.0 over SQLite without statistics). For lists of the whole
    archive a scan is faster, so these are left to Orthanc. `series` fetches the series, without a budget: they are not
    part of the response.
    """

    def __init__(self, fetcher: Fetcher, series: Fetcher) -> None:
        self._fetcher = fetcher
        self._series = series

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""
        if plan.first is None:
            return self._fetcher.page(plan)
        counted = _counted(plan.level, plan.needs)
        page = self._fetcher.page(replace(plan, needs=plan.needs.without(counted)))
        return replace(page, resources=tuple(self._with_counts(page.resources, counted)))

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        if level.identifier not in dict(criteria.identifiers):
            return self._fetcher.matching(level, criteria, needs)
        return self._counting(level, needs, lambda some: self._fetcher.matching(level, criteria, some))

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these parents, unordered, possibly with those of others."""
        if roots is None:
            return self._fetcher.children(level, parents, criteria, needs, roots)
        return self._counting(level, needs, lambda some: self._fetcher.children(level, parents, criteria, some, roots))

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""
        return self._counting(level, needs, lambda some: self._fetcher.parents(level, children, some))

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        return self._counting(level, needs, lambda some: self._fetcher.by_ids(level, ids, some))

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        return self._counting(level, needs, lambda some: self._fetcher.complete(level, found, some))

    def _counting(self, level: Level, needs: Needs, fetch: Callable[[Needs], list[Resource]]) -> list[Resource]:
        counted = _counted(level, needs)
        return self._with_counts(fetch(needs.without(counted)), counted)

    def _with_counts(self, studies: Sequence[Resource], counted: frozenset[str]) -> list[Resource]:
        """Return the studies with these tags, and without those deleted in the meantime, which have no series."""
        if not counted:
            return list(studies)
        # other studies may share a UID, and series are then found twice
        series_of: dict[str, dict[str, Resource]] = {study.orthanc_id: {} for study in studies}
        for start in range(0, len(studies), MAX_IDS_PER_CALL):
            part = studies[start : start + MAX_IDS_PER_CALL]
            for series in self._series.children(Level.SERIES, part, Filter(), _OF_SERIES, part):
                series_of.get(series.parent_id or "", {})[series.orthanc_id] = series
        return [
            replace(study, tags={**study.tags, **_counts(found.values(), counted)})
            for study in studies
            if (found := series_of[study.orthanc_id])
        ]


def _counted(level: Level, needs: Needs) -> frozenset[str]:
    return needs.tags & _FROM_SERIES if level is Level.STUDY else frozenset()


def _counts(series: Collection[Resource], counted: frozenset[str]) -> dict[str, str]:
    """Return the counted attributes of a study (PS3.4 section C.6.1.1) as text, like Orthanc."""
    modalities = {one.tags["Modality"] for one in series if one.tags.get("Modality")}
    instances = sum(int(one.tags["NumberOfSeriesRelatedInstances"]) for one in series)
    counts = {"ModalitiesInStudy": "\\".join(sorted(modalities)), "NumberOfStudyRelatedInstances": str(instances)}
    return {keyword: value for keyword, value in counts.items() if keyword in counted}
