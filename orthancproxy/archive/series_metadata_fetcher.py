"""A fetcher that reads tags outside Orthanc's index from attachments of series, where Orthanc would read the files."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from orthancproxy.archive.decoding import batched, find
from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.find_bodies import FindBodies
from orthancproxy.archive.keywords import tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import any_of, criteria_of, decisive, select
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.series_metadata import (
    MAX_COMPRESSED_BYTES,
    MalformedMetadata,
    Tags,
    are_instances,
    has_exact_text,
    tags_by_uid,
)
from orthancproxy.errors import ArchiveRejected, LimitExceeded, NotFound
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.endpoints import SERIES_METADATA
from orthancproxy.orthanc.metadata_attachments import SeriesState

# reading a file takes 1 to 3 ms, and a series' attachment 3 ms and 0.1 ms for each of its instances (1.12.7, 1.13.0)
MIN_INSTANCES = 10
MAX_INSTANCES_FOR_EACH = 10

_ATTACHMENT = 4301
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Series:
    """A series with an attachment, and its instances."""

    state: SeriesState
    instances: Sequence[str]


class SeriesMetadataFetcher:
    """Fetches with another fetcher, on an Orthanc with extended find. Of instances, it reads tags itself."""

    def __init__(self, fetcher: Fetcher, client: OrthancClient) -> None:
        self._fetcher = fetcher
        self._client = client
        self._plugins = client.capabilities().plugins
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
        return in_files if in_files and self._plugins.metadata_attachments else frozenset()

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
        attachments = self._plugins.metadata_attachments
        if attachments is None:
            return {}
        by_series = _by_series(found)
        worth = {
            series_id: one
            for series_id, one in self._series(by_series).items()
            if len(one.instances) <= MAX_INSTANCES_FOR_EACH * len(by_series[series_id])
        }
        read: dict[str, Tags] = {}
        for series_id in attachments.current({series_id: one.state for series_id, one in worth.items()}):
            one = worth[series_id]
            try:
                content = self._content(series_id)
                tags = tags_by_uid(content, readable) if are_instances(content, one.instances) else {}
            except (MalformedMetadata, ArchiveRejected):
                attachments.reject(series_id, one.state)
                continue
            for instance in by_series[series_id]:
                uid = instance.tags.get(Level.INSTANCE.identifier, "")
                if uid in tags:
                    read[instance.orthanc_id] = tags[uid]
        return read

    def _series(self, by_series: Mapping[str, Sequence[Resource]]) -> dict[str, _Series]:
        """Find the series that have this attachment and no other: Orthanc's log does not tell them apart."""
        key = Level.SERIES.identifier
        uids = dict.fromkeys(instances[0].tags.get(key, "") for instances in by_series.values())
        found = {}
        for part in batched(filter(_UID.fullmatch, uids)):
            body = {
                "Level": Level.SERIES.value,
                "Query": {tag_of(key): any_of(part)},
                "Short": True,
                "ResponseContent": ["Attachments", "Children", "MainDicomTags", "Metadata"],
            }
            for payload in find(self._client, body):
                instances, metadata = payload.instances or [], payload.metadata
                match payload.attachments:
                    case [one] if one.content_type == _ATTACHMENT and one.uncompressed_size <= MAX_COMPRESSED_BYTES:
                        state = SeriesState((metadata and metadata.last_update) or "", len(instances), one.uuid or "")
                        found[payload.id] = _Series(state, instances)
        return {series_id: one for series_id, one in found.items() if series_id in by_series}

    def _content(self, series_id: str) -> bytes:
        content = bytearray()
        try:
            with closing(self._client.open(SERIES_METADATA, id=series_id)) as chunks:
                for chunk in chunks:
                    content += chunk
                    if len(content) > MAX_COMPRESSED_BYTES:
                        raise MalformedMetadata
        except NotFound:
            # deleted in the meantime
            return b"2;;"
        return bytes(content)


def _without(needs: Needs, readable: frozenset[str]) -> Needs:
    """The data that the index has, with the UIDs by which series are found."""
    return replace(needs.without(readable), parent=True)


def _by_series(found: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Group instances by their series, of which enough are needed."""
    families: defaultdict[str, list[Resource]] = defaultdict(list)
    for instance in found:
        families[instance.parent_id or ""].append(instance)
    return {series_id: family for series_id, family in families.items() if len(family) >= MIN_INSTANCES}
