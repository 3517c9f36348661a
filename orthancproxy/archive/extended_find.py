"""The fetcher for Orthanc 1.12.5 and newer, whose find sorts, pages and returns exactly the requested data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any

from orthancproxy.archive.decoding import batched, bulk_content, find, find_pages, to_resources
from orthancproxy.archive.fetcher import Roots
from orthancproxy.archive.find_bodies import FindBodies, label_constraints, order_by
from orthancproxy.archive.keywords import COMPUTED, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import (
    Criterion,
    any_of,
    can_be_listed,
    criteria_of,
    decisive,
    has_labels,
    matched_in_index,
    query,
    select,
)
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.ordering import POSITION, SORTED_HERE, page_of
from orthancproxy.archive.plan import IN_METADATA, Fact, Filter, LevelPlan, Needs, Order
from orthancproxy.archive.records import Page, Resource
from orthancproxy.errors import NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import COUNT_DECODER, ID_LIST_DECODER, RESOURCE_DECODER, ResourcePayload

# finding 2,000 resources takes 0.1 to 0.3 s (1.12.7)
MAX_SORTED = 2000
# Orthanc's index answers nobody while it lists instances with their tags: 10,000 take 0.7 s (1.13.0) to 2.7 s (1.12.7)
MAX_READ_PER_CALL = 500


class ExtendedFind:
    """Fetches each list of resources with one find: a page, the children of many parents, the parents of many."""

    def __init__(self, client: OrthancClient, budget: ObjectBudget, max_read_per_call: int = MAX_READ_PER_CALL) -> None:
        self._client = client
        self._max_read_per_call = max_read_per_call
        self._budget = budget
        self._capabilities = client.capabilities()
        self._find_limits = self._capabilities.find_limits
        self._bodies = FindBodies(self._capabilities)

    def page(self, plan: LevelPlan) -> Page:
        """Return one page of a root list.

        Orthanc sorts and pages lists of more than MAX_SORTED resources if it can; all others are fetched and sorted.
        """
        criteria = criteria_of(plan.level, plan.filter)
        if plan.first is None or not self._can_page(plan, criteria):
            return page_of(plan, self.matching(plan.level, plan.filter, plan.needs))
        if plan.first == 0:
            length = self._count(plan, criteria)
            return Page((), length > plan.offset, length)
        if self._is_counted_first(plan, criteria) and (length := self._count(plan, criteria)) > MAX_SORTED:
            return self._page_in_order(plan, criteria, plan.first, length)
        in_files = {keyword for keyword in plan.needs.tags if self._bodies.is_in_files(plan.level, keyword)}
        needs = plan.needs.without(in_files)
        body = self._bodies.body(plan.level, query(criteria), needs, plan.filter) | {"Limit": MAX_SORTED + 1}
        every = to_resources(plan.level, self._find_all(body))
        if len(every) > MAX_SORTED:
            total = self._count(plan, criteria) if plan.total else None
            return self._page_in_order(plan, criteria, plan.first, total)
        page = page_of(plan, every)
        if not in_files:
            return page
        return replace(page, resources=tuple(self.complete(plan.level, page.resources, plan.needs)))

    def _is_counted_first(self, plan: LevelPlan, criteria: Sequence[Criterion]) -> bool:
        """Whether a list is probably too long to be sorted here: without a filter, or by modality.

        Counting 20,000 studies takes 70 ms, finding 2,000 of them to see that there are more 130 to 260 ms (1.13.0).
        """
        return (
            self._capabilities.stored[plan.level.value] > MAX_SORTED
            and not plan.filter.labels
            and all(one.keyword == "ModalitiesInStudy" for one in criteria)
        )

    def _page_in_order(self, plan: LevelPlan, criteria: Sequence[Criterion], first: int, total: int | None) -> Page:
        ordered = self._find_in_order(plan, criteria, first)
        return Page(tuple(ordered[:first]), len(ordered) > first, total)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        return self._find(level, criteria_of(level, criteria), needs, criteria)

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources below these parents, possibly with those of others.

        They are found by the roots: 10,000 instances take 3.5 s by the UIDs of 400 series, 1.3 s by the PatientIDs of
        20 patients, and 1.1 s as the whole archive (1.12.7).
        """
        found: list[Resource] = []
        wanted = criteria_of(level, criteria)
        for below, identifiers in self._below(roots):
            limit = {"Limit": self._budget.maximum + 1}
            found += self._find(level, wanted, needs, criteria, identifiers, below | limit)
            self._budget.check_fetch(len(found))
        return found

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources above these children."""
        identifiers = {child.parent_id or "": _identifier(child, level) for child in children}
        # a series is found by its UID in any case, which its instances hold
        if len(identifiers) <= 1 and level is not Level.SERIES:
            return self.by_ids(level, list(identifiers), needs)
        return self._by_identifiers(level, identifiers, needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        if len(ids) == 1 and needs.facts.isdisjoint(IN_METADATA):
            one = self._series_by_id if level is Level.SERIES else partial(self._get, level)
            return one(ids[0], needs)
        payloads = [
            payload
            for part in batched(ids)
            for payload in bulk_content(self._client, part, with_metadata=not needs.facts.isdisjoint(IN_METADATA))
        ]
        found = to_resources(level, [payload for payload in payloads if payload.type == level.value])
        if not found or not self._bodies.requested(level, needs):
            return found
        # bulk-content has no RequestedTags: fetch again by the identifiers it returned
        facts = {resource.orthanc_id: resource.facts for resource in found}
        identifiers = {resource.orthanc_id: _identifier(resource, level) for resource in found}
        return [
            replace(resource, facts={**facts[resource.orthanc_id], **resource.facts})
            for resource in self._by_identifiers(level, identifiers, needs)
            if resource.orthanc_id in facts
        ]

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, fetched again with all data needed."""
        identifiers = {resource.orthanc_id: _identifier(resource, level) for resource in found}
        again = {resource.orthanc_id: resource for resource in self._by_identifiers(level, identifiers, needs)}
        return [again[orthanc_id] for orthanc_id in identifiers if orthanc_id in again]

    def _get(self, level: Level, orthanc_id: str, needs: Needs) -> list[Resource]:
        if level is Level.PATIENT and not self._capabilities.has_patient_routes:
            return self._find(level, [], needs, Filter(), restriction={"ParentPatient": orthanc_id})
        requested = ";".join(tag.replace(",", "-") for tag in self._bodies.requested(level, needs))
        query_string = f"short&requestedTags={requested}" if requested else "short"
        try:
            payload = self._client.call(
                endpoints.RESOURCE, query=query_string, decoder=RESOURCE_DECODER, level=level.path, id=orthanc_id
            )
        except NotFound:
            return []
        found = to_resources(level, [payload])
        if needs.facts.isdisjoint(IN_METADATA):
            return found
        # that route has none
        described = to_resources(level, bulk_content(self._client, [orthanc_id], with_metadata=True))
        return [replace(one, facts={**one.facts, **more.facts}) for one, more in zip(found, described, strict=False)]

    def _series_by_id(self, orthanc_id: str, needs: Needs) -> list[Resource]:
        """Find a series by the UID that its instances hold.

        To get a series by id, Orthanc reads all of its instances to count the expected ones: 8 ms for 25 (1.12.7).
        """
        uid = Level.SERIES.identifier
        body = self._bodies.body(Level.INSTANCE, {}, Needs(frozenset({uid})), Filter()) | {
            "ParentSeries": orthanc_id,
            "Limit": 1,
        }
        below = to_resources(Level.INSTANCE, find(self._client, body))
        if not below:
            return []
        found = self._by_identifiers(Level.SERIES, {orthanc_id: below[0].tags.get(uid, "")}, needs)
        return [series for series in found if series.orthanc_id == orthanc_id]

    def _by_identifiers(self, level: Level, identifiers: Mapping[str, str], needs: Needs) -> list[Resource]:
        """Find resources by PatientID or UID, given by Orthanc id; others that share one are included."""
        found: list[Resource] = []
        for orthanc_id, identifier in identifiers.items():
            if not self._can_be_listed(identifier):
                found += self._get(level, orthanc_id, needs)
        for part in batched(dict.fromkeys(filter(self._can_be_listed, identifiers.values()))):
            found += self._find(level, [], needs, Filter(), {tag_of(level.identifier): any_of(part)})
        return found

    def _find(
        self,
        level: Level,
        criteria: Sequence[Criterion],
        needs: Needs,
        filtered: Filter,
        identifiers: Mapping[str, str] | None = None,
        restriction: Mapping[str, Any] | None = None,
    ) -> list[Resource]:
        if filtered.nothing:
            return []
        in_index = self._bodies.in_index(level)
        reads_files = any(self._bodies.is_in_files(level, one.keyword) for one in criteria)
        if reads_files or not in_index.issuperset(query(criteria)):
            self._find_limits.refresh(level.value)
        if self._find_limits.found:
            criteria = matched_in_index(criteria, in_index)
        wanted = _wanted(criteria, identifiers or {})
        self._bodies.check_index(level, wanted)
        if reads_files and not self._find_limits.found:
            found = self._read_in_parts(level, criteria, needs, filtered, identifiers or {}, restriction)
        else:
            if criteria:
                needs |= Needs(decisive(criteria))
            body = self._bodies.body(level, wanted, needs, filtered) | dict(restriction or {})
            found = to_resources(level, self._find_all(body))
            if restriction:
                self._budget.check_fetch(len(found))
            found = select(criteria, found)
        if len(label_constraints(filtered)) > 1:
            return [resource for resource in found if has_labels(resource.facts.get("Labels"), filtered.labels)]
        return found

    def _read_in_parts(
        self,
        level: Level,
        criteria: Sequence[Criterion],
        needs: Needs,
        filtered: Filter,
        identifiers: Mapping[str, str],
        restriction: Mapping[str, Any] | None,
    ) -> list[Resource]:
        """Find with a call for every `max_read_per_call` resources that match as far as the index can tell.

        In one call, Orthanc would list all of them with their tags before it reads the first file, and read on after
        the deadline.
        """
        findable = self._bodies.in_index(level) | {tag_of(keyword) for keyword in COMPUTED[level]}
        criteria = [
            one if tag_of(one.keyword) in findable else replace(one, sent=None, is_exact=False) for one in criteria
        ]
        needs |= Needs(decisive(criteria), frozenset({Fact.LABELS} if len(label_constraints(filtered)) > 1 else ()))
        # the limit is for what matches
        within = {name: value for name, value in (restriction or {}).items() if name != "Limit"}
        body = self._bodies.body(level, _wanted(criteria, identifiers), needs, filtered) | within
        missing = dict.fromkeys(self._list_ids(body))
        found: list[Resource] = []

        def add(part: list[Resource]) -> None:
            found.extend(select(criteria, [one for one in part if one.orthanc_id in missing]))
            for one in part:
                missing.pop(one.orthanc_id, None)
            if restriction:
                self._budget.check_fetch(len(found))

        for start in range(0, len(missing), self._max_read_per_call):
            part = {**body, "Since": start, "Limit": self._max_read_per_call}
            add(to_resources(level, find(self._client, part)))
        # those that moved up because others were deleted, or that Orthanc skipped
        for ids in batched(missing):
            add(self.by_ids(level, ids, needs))
        return found

    def _list_ids(self, body: Mapping[str, Any]) -> list[str]:
        left_out = {"RequestedTags", "ResponseContent"}
        listing = {name: value for name, value in body.items() if name not in left_out}
        ids: list[str] = self._client.call(endpoints.FIND, body=listing, decoder=ID_LIST_DECODER)
        return ids

    def _find_in_order(self, plan: LevelPlan, criteria: Sequence[Criterion], first: int) -> list[Resource]:
        """Find a page and one more resource, which shows whether there is a next page, in Orthanc's order.

        That has absent values last, and sorts values that are shown as null by their text, or as 0.
        """
        body = self._bodies.body(plan.level, query(criteria), plan.needs, plan.filter)
        # two patients may have studies, series or instances of one UID
        order = dict.fromkeys((*plan.full_order, Order(Level.PATIENT.identifier)))
        body["OrderBy"] = [order_by(key) for key in order if key.by != POSITION]
        found: list[Resource] = []
        while len(found) <= first:
            part = {**body, "Since": plan.offset + len(found), "Limit": first + 1 - len(found)}
            more = to_resources(plan.level, find(self._client, part))
            found += more
            if len(found) > first or not self._find_limits.may_truncate(plan.level.value, len(more)):
                break
        return found

    def _find_all(self, body: Mapping[str, Any]) -> list[ResourcePayload]:
        """Repeat a find until it has found all, or as many as its limit."""
        found: dict[str, ResourcePayload] = {}
        for page in find_pages(self._client, body):
            found |= {one.id: one for one in page}
            if len(found) >= body.get("Limit", inf):
                break
        return list(found.values())

    def _can_be_listed(self, identifier: str) -> bool:
        """Whether a resource is found by its identifier among others, also if results are truncated.

        Orthanc truncates what has the same letters within ASCII, and then drops what differs in others.
        """
        return can_be_listed(identifier) and (identifier.isascii() or not self._find_limits.found)

    def _can_page(self, plan: LevelPlan, criteria: Sequence[Criterion]) -> bool:
        """Whether Orthanc can sort, page and count the list. It ignores an OrderBy on tags outside its index."""
        in_index = self._bodies.in_index(plan.level)
        orders = {order.by for order in plan.full_order} - {"LastUpdate", POSITION}
        return (
            not plan.filter.nothing
            and len(label_constraints(plan.filter)) <= 1
            and orders.isdisjoint(SORTED_HERE)
            and in_index.issuperset(map(tag_of, orders))
            and all(
                one.is_exact and (one.keyword == "ModalitiesInStudy" or tag_of(one.keyword) in in_index)
                for one in criteria
            )
        )

    def _count(self, plan: LevelPlan, criteria: Sequence[Criterion]) -> int:
        body = self._bodies.body(plan.level, query(criteria), Needs(), plan.filter)
        del body["ResponseContent"]
        return int(self._client.call(endpoints.COUNT_RESOURCES, body=body, decoder=COUNT_DECODER).count)

    def _below(self, roots: Roots) -> list[tuple[dict[str, str], dict[str, str]]]:
        """Return the finds for the resources below these roots: for each a parent by id, or identifiers to find."""
        if roots is None:
            return [({}, {})]
        if not roots:
            return []
        above = roots[0].level
        if len(roots) == 1:
            return [({f"Parent{above.value}": roots[0].orthanc_id}, {})]
        identifiers = {root.orthanc_id: _identifier(root, above) for root in roots}
        alone = [root for root in identifiers if not self._can_be_listed(identifiers[root])]
        parts = batched(dict.fromkeys(filter(self._can_be_listed, identifiers.values())))
        return [
            *(({f"Parent{above.value}": root}, {}) for root in alone),
            *(({}, {tag_of(above.identifier): any_of(part)}) for part in parts),
        ]


def _wanted(criteria: Sequence[Criterion], identifiers: Mapping[str, str]) -> dict[str, str]:
    """The query of a find below these identifiers: what is above is checked later, what is matched exactly is not."""
    return {**query(criteria), **identifiers, **query([one for one in criteria if one.is_exact])}


def _identifier(resource: Resource, level: Level) -> str:
    """The PatientID or UID of a resource or of its parent; empty for a patient without PatientID."""
    return resource.tags.get(level.identifier, "")
