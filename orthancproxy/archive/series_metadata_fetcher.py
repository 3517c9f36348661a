"""A fetcher that reads tags outside Orthanc's index from attachments of series, where Orthanc would read the files."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.find_bodies import FindBodies
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import criteria_of, decisive, select
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.series_attachments import AttachedSeries, SeriesAttachments
from orthancproxy.archive.series_metadata import Tags, has_exact_text, tags_by_uid
from orthancproxy.errors import LimitExceeded
from orthancproxy.orthanc.client import OrthancClient

# reading a file takes 1 to 3 ms, and a series' attachment 3 ms and 0.1 ms for each of its instances (1.12.7, 1.13.0)
MIN_INSTANCES = 10
MAX_INSTANCES_FOR_EACH = 10


class SeriesMetadataFetcher:
    """Fetches with another fetcher, on an Orthanc with extended find. Of instances, it reads tags itself."""

    def __init__(self, fetcher: Fetcher, client: OrthancClient) -> None:
        self._fetcher = fetcher
        self._attachments = SeriesAttachments(client)
        self._bodies = FindBodies(client.capabilities())

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""
        readable = self._readable(plan.level, plan.needs, plan.filter)
        if not readable or not readable.isdisjoint(order.by for order in plan.full_order):
            return self._fetcher.page(plan)
        page = self._fetcher.page(replace(plan, needs=_without(plan.needs, readable)))
        read = self._read(page.resources, readable)
        return replace(page, resources=tuple(self._completed(page.resources, plan.needs, read)))

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        return self._reading(level, criteria, needs, lambda some: self._fetcher.matching(level, criteria, some))

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these parents, unordered, possibly with those of others."""

        def fetch(some: Needs, matching: Filter = criteria) -> list[Resource]:
            return self._fetcher.children(level, parents, matching, some, roots)

        of_files = Filter(tuple(one for one in criteria.tags if self._bodies.is_in_files(level, one[0])))
        if level is not Level.INSTANCE or not of_files.tags:
            return self._reading(level, criteria, needs, fetch)
        of_index = replace(criteria, tags=tuple(one for one in criteria.tags if one not in of_files.tags))
        # other than in a root list, what the index selects here is not much of the archive
        matched = [replace(one, sent=None, is_exact=False) for one in criteria_of(level, of_files)]
        readable = self._readable(level, needs | Needs(decisive(matched)), of_index)
        with suppress(LimitExceeded):
            # of what the index selects; what matches may be fewer
            found = fetch(_without(needs, readable), of_index) if readable else []
            if read := self._read(found, readable):
                return select(matched, self._completed(found, needs | Needs(decisive(matched)), read))
        return fetch(needs)

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""
        return self._fetcher.parents(level, children, needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        if len(ids) < MIN_INSTANCES:
            return self._fetcher.by_ids(level, ids, needs)
        return self._reading(level, Filter(), needs, lambda some: self._fetcher.by_ids(level, ids, some))

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        if len(found) < MIN_INSTANCES:
            return self._fetcher.complete(level, found, needs)
        return self._reading(level, Filter(), needs, lambda some: self._fetcher.complete(level, found, some))

    def _reading(
        self, level: Level, criteria: Filter, needs: Needs, fetch: Callable[[Needs], list[Resource]]
    ) -> list[Resource]:
        readable = self._readable(level, needs, criteria)
        if not readable:
            return fetch(needs)
        found = fetch(_without(needs, readable))
        read = self._read(found, readable)
        return self._completed(found, needs, read) if read else fetch(needs)

    def _readable(self, level: Level, needs: Needs, criteria: Filter) -> frozenset[str]:
        """Return the keywords for which the files need not be read; none if they must be for others."""
        if level is not Level.INSTANCE:
            return frozenset()
        in_files = frozenset(one for one in needs.tags if self._bodies.is_in_files(level, one))
        matched = {keyword for keyword, _ in (*criteria.tags, *criteria.identifiers, *criteria.sent)}
        if not all(map(has_exact_text, in_files)) or any(self._bodies.is_in_files(level, one) for one in matched):
            return frozenset()
        return in_files if in_files and self._attachments.can_exist else frozenset()

    def _completed(self, found: Sequence[Resource], needs: Needs, read: Mapping[str, Tags]) -> list[Resource]:
        """Return these instances with the tags that were read, and the others with those from their files."""
        missing = [one for one in found if one.orthanc_id not in read]
        from_files = self._fetcher.complete(Level.INSTANCE, missing, needs) if missing else []
        completed = {one.orthanc_id: one for one in from_files}
        for one in found:
            if (tags := read.get(one.orthanc_id)) is not None:
                completed[one.orthanc_id] = replace(one, tags={**one.tags, **tags})
        return [completed[one.orthanc_id] for one in found if one.orthanc_id in completed]

    def _read(self, found: Sequence[Resource], readable: frozenset[str]) -> dict[str, Tags]:
        """Return tags by Orthanc id, of the instances of series whose attachments are worth reading and current."""
        by_series = _by_series(found)
        key = Level.SERIES.identifier

        def is_worth(series_id: str, one: AttachedSeries) -> bool:
            return len(one.instances) <= MAX_INSTANCES_FOR_EACH * len(by_series[series_id])

        tags = self._attachments.read(
            {series_id: instances[0].tags.get(key, "") for series_id, instances in by_series.items()},
            partial(tags_by_uid, keywords=readable),
            is_worth,
        )
        return {
            instance.orthanc_id: of_series[uid]
            for series_id, of_series in tags.items()
            for instance in by_series[series_id]
            if (uid := instance.tags.get(Level.INSTANCE.identifier, "")) in of_series
        }


def _without(needs: Needs, readable: frozenset[str]) -> Needs:
    """The data that the index has, with the UIDs by which series are found."""
    return replace(needs.without(readable), parent=True)


def _by_series(found: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Group instances by their series, of which enough are needed."""
    families: defaultdict[str, list[Resource]] = defaultdict(list)
    for instance in found:
        families[instance.parent_id or ""].append(instance)
    return {series_id: family for series_id, family in families.items() if len(family) >= MIN_INSTANCES}
