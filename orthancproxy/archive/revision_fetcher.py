"""A fetcher that keeps instances between requests, and proves by a find for their series that they are unchanged.

Orthanc renews the `LastUpdate` of a series, and of its study, when it stores, overwrites or deletes an instance below
(1.12.1). It does not for labels, for the FileUuid, which `compress` replaces, nor for the tags of series and above,
which `reconstruct` takes from another instance. Labels and FileUuids are fetched each time, and added.

Where Orthanc walks through its index to find the series of a study, their UIDs are kept under the `LastUpdate` of the
study: by these, Orthanc finds them fastest.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

from orthancproxy.archive.decoding import batched
from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.kept_data import FRESH_FACTS, by_parent, indexed_keywords, lack_facts, merged, reduced
from orthancproxy.archive.keywords import ALL_COMPUTED
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.revisions import Children, Revision, RevisionCache
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.deadline import clip_to_deadline

# how long a request waits for others that fetch the same, before it fetches it too
PATIENCE_SECONDS = 5.0
# the time grows with the square of the number of UIDs: 25 take 2 ms, 250 50 ms, 1,000 940 ms; the series of 50 studies
# take 215 ms by the UIDs of the studies (1.13.0 over SQLite without statistics, 1,000,000 instances)
MAX_BY_UID = 250

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
_FACTS = frozenset({Fact.FILE_SIZE, Fact.METADATA})
# an Orthanc id is made of them, so that they never change
_IDENTIFIERS = frozenset(level.identifier for level in Level.INSTANCE.above)
_CHANGES = Needs(facts=frozenset({Fact.CHANGES}))

_Found = dict[str, Sequence[Resource] | None]  # instances by series


class RevisionFetcher:
    """Fetches with another fetcher what the cache does not hold. For one request, on an Orthanc with extended find.

    `looks_up` is false for callers with a scope: the response time would tell them whether others have seen a hidden
    resource.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        cache: RevisionCache,
        capabilities: Capabilities,
        budget: ObjectBudget,
        *,
        looks_up: bool = True,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._budget = budget
        self._looks_up = looks_up
        self._patience_seconds = patience_seconds
        self._began = cache.clock.moment()
        self._walks_index = capabilities.walks_index
        self._find_limits = capabilities.find_limits
        self._studies: dict[str, Resource] = {}
        self._seen: dict[str, Resource] = {}  # studies and series with their `LastUpdate`, of this request
        self._revisions: dict[str, Revision | None] = {}
        self._ahead: list[tuple[Level, Needs, list[Resource]]] = []  # lists that were fetched before their parents
        self._others: Sequence[Event] = ()  # set when other requests have fetched what is below the same root
        self._at_hand = indexed_keywords(capabilities, [Level.INSTANCE])
        self._of_parents = (
            (ALL_COMPUTED | indexed_keywords(capabilities, Level.INSTANCE.above)) - self._at_hand - _IDENTIFIERS
        )

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""
        page = self._fetcher.page(plan)
        self._note(plan.level, page.resources)
        return page

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        return self._note(level, self._fetcher.matching(level, criteria, needs))

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources below these parents, possibly with those of others."""
        if roots and not parents:
            found = self._fetcher.children(level, parents, criteria, needs, roots)
            if criteria == Filter():
                self._ahead.append((level, needs, found))
            return self._note(level, found)
        if criteria == Filter() and level is Level.SERIES:
            return self._series(parents, needs, roots)
        if criteria == Filter() and level is Level.INSTANCE and self._can_keep(needs):
            return self._instances(parents, needs, roots)
        return self._note(level, self._fetcher.children(level, parents, criteria, needs, roots))

    @contextmanager
    def fetching_ahead(self, root_id: str) -> Iterator[None]:
        """Let lists below this resource be fetched before their parents are known; keep them at the end of the block.

        They are `children` of no parents. Any number of threads may fetch them, which end before the block.
        """
        if self._cache.has_below(root_id):
            yield
            return
        with self._cache.flights.claim([root_id]) as (_, self._others):
            yield
            self._keep_ahead()

    def may_be_kept(self, root_id: str, level: Level, criteria: Filter, needs: Needs) -> bool:
        """Whether a list below this resource is fetched after its parents: it is probably kept, or another fetches it.

        If nothing is kept, Orthanc is asked at once for what is below. It is a guess: either way shows the same.
        """
        if criteria != Filter() or not (self._others or self._cache.has_below(root_id)):
            return False
        return self._can_keep(needs) if level is Level.INSTANCE else level is Level.SERIES and self._walks_index

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""
        return self._note(level, self._fetcher.parents(level, children, needs))

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        found: list[Resource] = []
        if self._looks_up:
            if level is Level.INSTANCE:
                found = self._kept_instances(ids, needs)
            else:
                known = {orthanc_id: uid for orthanc_id in ids if (uid := self._cache.uid_of(orthanc_id))}
                # of the others, Orthanc is asked in one call
                if len(known) == len(ids):
                    return self._by_uids(level, known, needs)
        rest = set(ids).difference(one.orthanc_id for one in found)
        if rest:
            found += self._fetcher.by_ids(level, [one for one in ids if one in rest], needs)
        return self._note(level, found)

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        return self._note(level, self._fetcher.complete(level, found, needs))

    def _series(self, studies: Sequence[Resource], needs: Needs, roots: Roots) -> list[Resource]:
        """Return the series of studies, found by their UIDs if all are known and Orthanc finds them faster so."""
        self._note(Level.STUDY, studies)
        revisions = [self._revision(study.orthanc_id) for study in studies] if self._walks_index else []
        kept = [self._cache.get(revision) if revision else None for revision in revisions]
        uids = {one.orthanc_id: one.tags[Level.SERIES.identifier] for each in kept if each for one in each.resources}
        if kept and all(kept) and len(uids) <= MAX_BY_UID:
            self._budget.check_fetch(len(uids))
            return self._by_uids(Level.SERIES, uids, needs)
        found = self._note(Level.SERIES, self._fetcher.children(Level.SERIES, studies, Filter(), needs, roots))
        if not self._is_whole(Level.SERIES, found):
            return found
        by_study = by_parent(found) if revisions else {}
        for revision, known in zip(revisions, kept, strict=True):
            if revision is not None and known is None:
                self._keep_series(revision, by_study[revision.orthanc_id])
        return found

    def _keep_series(self, revision: Revision, found: Iterable[Resource]) -> None:
        """Keep the UIDs of the series of a study."""
        series = tuple(reduced(one, {Level.SERIES.identifier}) for one in found)
        if all(_UID.fullmatch(one.tags.get(Level.SERIES.identifier, "")) for one in series):
            self._cache.put(revision, Children(Needs(), series))

    def _keep_ahead(self) -> None:
        """Keep lists that were fetched before their parents were seen: both are of the state of the `LastUpdate`."""
        for level, needs, found in self._ahead:
            if not self._is_whole(level, found):
                continue
            for parent_id, children in by_parent(found).items():
                if level is Level.INSTANCE and self._can_keep(needs) and (series := self._seen.get(parent_id)):
                    self._keep(series, children, needs)
                elif level is Level.SERIES and self._walks_index and (revision := self._revision(parent_id)):
                    self._keep_series(revision, children)

    def _instances(self, series: Sequence[Resource], needs: Needs, roots: Roots) -> list[Resource]:
        """Return the instances of series: kept ones, and those that this or another request fetches now."""
        found: _Found = {one.orthanc_id: self._kept(one.orthanc_id, needs) for one in series}
        if cold := [one for one in series if found[one.orthanc_id] is None]:
            # without a revision, they are for this request only
            if any(self._revision(one.orthanc_id) for one in cold):
                self._wait(self._others)
            claims = {one.orthanc_id: self._revision(one.orthanc_id) or (self, one.orthanc_id) for one in cold}
            with self._cache.flights.claim(claims.values()) as (own, others):
                mine = [one for one in cold if claims[one.orthanc_id] in own]
                found |= self._kept_or_fetched(mine, needs, roots if len(mine) == len(series) else mine)
            self._wait(others)
            rest = [one for one in cold if found[one.orthanc_id] is None]
            found |= self._kept_or_fetched(rest, needs, rest)
        self._budget.check_fetch(sum(len(instances or ()) for instances in found.values()))
        if fresh := needs.facts & FRESH_FACTS.keys():
            missing = [one for one in series if lack_facts(found[one.orthanc_id] or (), fresh)]
            kept = [each for one in missing for each in found[one.orthanc_id] or ()]
            added = by_parent(self._with_facts(missing, kept, fresh, roots if len(missing) == len(series) else missing))
            found |= {one.orthanc_id: added[one.orthanc_id] for one in missing}
        return [instance for instances in found.values() for instance in instances or ()]

    def _kept_or_fetched(self, series: Sequence[Resource], needs: Needs, roots: Roots) -> _Found:
        found: _Found = {one.orthanc_id: self._kept(one.orthanc_id, needs) for one in series}
        missing = [one for one in series if found[one.orthanc_id] is None]
        if missing:
            below = roots if len(missing) == len(series) else missing
            fetched = self._fetcher.children(Level.INSTANCE, missing, Filter(), needs, below)
            by_series = by_parent(fetched)
            if self._is_whole(Level.INSTANCE, fetched):
                found |= {one.orthanc_id: self._keep(one, by_series[one.orthanc_id], needs) for one in missing}
            else:
                found |= {one.orthanc_id: by_series[one.orthanc_id] for one in missing}
        return found

    def _is_whole(self, level: Level, fetched: Sequence[Resource]) -> bool:
        """Whether no list was fetched in parts: a deletion between two finds makes Orthanc skip other resources."""
        return not self._find_limits.may_truncate(level.value, len(fetched))

    def _with_facts(
        self, series: Sequence[Resource], kept: Sequence[Resource], facts: frozenset[Fact], roots: Roots
    ) -> list[Resource]:
        """Return the kept instances of these series that still exist, with facts that change without a trace."""
        needs = Needs(facts=facts, only_facts=True)
        if self._walks_index and len(kept) <= MAX_BY_UID:
            fresh = self._fetcher.complete(Level.INSTANCE, kept, needs) if kept else []
        else:
            fresh = self._fetcher.children(Level.INSTANCE, series, Filter(), needs, roots) if series else []
        by_id = {one.orthanc_id: one.facts for one in fresh}
        return [replace(one, facts={**one.facts, **by_id[one.orthanc_id]}) for one in kept if one.orthanc_id in by_id]

    def _kept(self, series_id: str, needs: Needs) -> Sequence[Resource] | None:
        """Return the instances of a series, if they are kept with all data needed."""
        revision = self._revision(series_id)
        children = self._cache.get(revision) if revision else None
        facts = needs.facts - FRESH_FACTS.keys()
        if children is None or not (needs.tags <= children.needs.tags and facts <= children.needs.facts):
            return None
        return children.resources

    def _keep(self, series: Resource, fetched: Sequence[Resource], needs: Needs) -> Sequence[Resource]:
        """Keep the instances of a series if it is settled, and return them with what is needed."""
        revision = self._revision(series.orthanc_id)
        if revision is None:
            return fetched
        study = self._studies.get(series.parent_id or "")
        above = {**(study.tags if study else {}), **series.tags}
        identifiers = {keyword: above[keyword] for keyword in _IDENTIFIERS if keyword in above}
        # a study has all of them, but for those that its files lack
        known_above = _IDENTIFIERS if study else identifiers.keys()
        wanted = Needs(needs.tags | self._at_hand | known_above, needs.facts & _FACTS)
        resources = [reduced(one, wanted.tags, identifiers) for one in fetched]
        if before := self._cache.get(revision):
            known = {one.orthanc_id: one for one in before.resources}
            if known.keys() != {one.orthanc_id for one in fetched}:
                # they have changed since their series was seen
                return fetched
            resources = [merged(known[one.orthanc_id], one) for one in resources]
            wanted |= before.needs
        ids_above = [one for one in (series.parent_id, study.parent_id if study else None) if one]
        kept = self._cache.put(revision, Children(wanted, tuple(resources)), ids_above).resources
        return kept if needs.facts <= _FACTS else fetched

    def _kept_instances(self, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return those of these instances that are kept with all data needed, and unchanged."""
        fresh = needs.facts & FRESH_FACTS.keys()
        if not self._can_keep(needs) or (fresh and not self._walks_index):
            return []
        parents = {parent for orthanc_id in ids if (parent := self._cache.parent_of(orthanc_id))}
        series = {parent: uid for parent in parents if (uid := self._cache.uid_of(parent))}
        if unseen := {one: uid for one, uid in series.items() if one not in self._seen}:
            self._by_uids(Level.SERIES, unseen, _CHANGES)
        wanted = set(ids)
        kept = [each for one in series for each in self._kept(one, needs) or () if each.orthanc_id in wanted]
        return self._with_facts([], kept, fresh, None) if fresh else kept

    def _wait(self, others: Iterable[Event]) -> None:
        """Wait until other requests have fetched their lists, for a while."""
        until = time.monotonic() + self._patience_seconds
        for other in dict.fromkeys(others):
            while not other.is_set() and (remaining := until - time.monotonic()) > 0:
                # the deadline is checked now and then: it tells that the client has gone away
                other.wait(clip_to_deadline(min(remaining, 0.5)))

    def _by_uids(self, level: Level, uids: Mapping[str, str], needs: Needs) -> list[Resource]:
        """Find studies or series by their UIDs, given by Orthanc id."""
        found: list[Resource] = []
        for part in batched(dict.fromkeys(uids.values())):
            found += self.matching(level, Filter(identifiers=((level.identifier, frozenset(part)),)), needs)
        # two patients may have studies or series of one UID
        return [one for one in found if one.orthanc_id in uids]

    def _can_keep(self, needs: Needs) -> bool:
        return needs.facts <= _FACTS | FRESH_FACTS.keys() and needs.tags.isdisjoint(self._of_parents)

    def _note(self, level: Level, found: Sequence[Resource]) -> list[Resource]:
        """Remember the studies and series among these resources."""
        if level is Level.STUDY:
            self._studies |= {study.orthanc_id: study for study in found}
        if level in (Level.STUDY, Level.SERIES):
            for one in found:
                if one.facts.get("LastUpdate"):
                    self._seen[one.orthanc_id] = one
                    self._revisions.pop(one.orthanc_id, None)
        return list(found)

    def _revision(self, orthanc_id: str) -> Revision | None:
        """Return the revision of a study or series that was seen in this request, if it names one state only."""
        seen = self._seen.get(orthanc_id)
        if seen is None:
            return None
        if orthanc_id not in self._revisions:
            uid = seen.tags.get(seen.level.identifier, "")
            revision = Revision(orthanc_id, uid, seen.facts["LastUpdate"])
            is_usable = _UID.fullmatch(uid) and self._cache.is_settled(revision, self._began)
            self._revisions[orthanc_id] = revision if is_usable else None
        return self._revisions[orthanc_id]
