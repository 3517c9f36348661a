"""Executes plans: from the root of a query to its leaves, with one fetch for each selected level."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial, reduce
from itertools import chain
from operator import or_
from typing import Any

from orthancproxy.archive.cross_level_fetcher import CrossLevelFetcher
from orthancproxy.archive.extended_find import ExtendedFind
from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.hiding_fetcher import HidingFetcher
from orthancproxy.archive.index import IndexFetcher, Keeper
from orthancproxy.archive.levels import Level, patient_orthanc_id
from orthancproxy.archive.matching import identifier_filter
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.ordering import slice_page, sort
from orthancproxy.archive.plain_find import PlainFind
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs
from orthancproxy.archive.prefetch import Fetch, Prefetch
from orthancproxy.archive.records import RESOURCE_TYPES, Page, Resource
from orthancproxy.archive.revision_fetcher import RevisionFetcher
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.archive.scoped_fetcher import ScopedFetcher
from orthancproxy.archive.search import SearchFetcher
from orthancproxy.archive.series_metadata_fetcher import SeriesMetadataFetcher
from orthancproxy.archive.study_counts import StudyCounts
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.endpoints import ORTHANC_ID, check_orthanc_id

# that lists show a PatientID without: in a value of 64 characters
_LEADING_BLANKS = range(1, 64)
_ALL, _NOTHING = Filter(), Needs()


class Hierarchy:
    """Turns plans into resources, for one request.

    Resources out of scope look as if they did not exist, and so do studies that are `hidden` from everybody.
    """

    def __init__(
        self,
        client: OrthancClient,
        scope: Scope = EVERYTHING,
        budget: ObjectBudget | None = None,
        keeper: Keeper | None = None,
        cache: RevisionCache | None = None,
        hidden: Sequence[Resource] = (),
    ) -> None:
        self.capabilities = capabilities = client.capabilities()
        self._budget = budget or ObjectBudget()
        self._has_labels = capabilities.has_labels
        find = ExtendedFind if capabilities.has_extended_find else PlainFind
        fetcher: Fetcher = find(client, self._budget)
        if capabilities.has_extended_find:
            fetcher = SeriesMetadataFetcher(fetcher, client)
        if not self._has_labels:
            # an Orthanc without labels ignores them in a find, and returns everything
            scope = replace(scope, labels=frozenset())
        self.is_restricted = scope.is_restricted
        # before 1.12.1, deletions leave no trace in `LastUpdate`
        cache = cache if capabilities.has_extended_find else None
        series: Fetcher | None = None
        if capabilities.walks_index:
            series = find(client, ObjectBudget())
            # not for those whose hidden studies are counted before they are left out: the time would tell of them
            if cache and not self.is_restricted:
                series = RevisionFetcher(series, cache, capabilities, ObjectBudget())
        if cache or series:
            fetcher = StudyCounts(fetcher, capabilities.find_limits, cache, series, is_restricted=self.is_restricted)
        self._revisions: RevisionFetcher | None = None
        if cache:
            fetcher = self._revisions = RevisionFetcher(
                fetcher, cache, capabilities, self._budget, looks_up=not self.is_restricted
            )
        self._hiding = HidingFetcher(fetcher, hidden) if hidden else None
        fetcher = self._hiding or fetcher
        self._visible: Fetcher = ScopedFetcher(fetcher, scope) if scope.is_restricted else fetcher
        self._fetcher: Fetcher = SearchFetcher(CrossLevelFetcher(self._visible))
        if keeper and capabilities.has_extended_find:
            self._fetcher = IndexFetcher(self._fetcher, keeper, scope, self._hiding)
        # hidden resources are not prefetched; older versions find children only by their parents
        self._can_prefetch = capabilities.has_extended_find and not scope.is_restricted
        self._prefetch = Prefetch()

    def page(self, plan: LevelPlan) -> Page:
        """Return a page of a root list, with the related resources of the plan. Raises InvalidRequest."""
        self._check(plan)
        page = self._fetcher.page(_fetchable(plan))
        is_everything = plan.filter == Filter() and not plan.offset and not page.has_next and not self.is_restricted
        roots = None if is_everything else page.resources
        return replace(page, resources=tuple(self._linked(plan, page.resources, roots)))

    def by_ids(self, plan: LevelPlan, ids: Sequence[str], *, as_stored: bool = False) -> list[Resource]:
        """Return the resources of the plan's level with these Orthanc ids, unordered.

        If `as_stored`, they have the patient's tags from their own files, which saves a call. Raises InvalidRequest for
        a malformed id.
        """
        for orthanc_id in ids:
            check_orthanc_id(orthanc_id)
        self._check(plan)
        fetcher = self._visible if as_stored else self._fetcher
        with self._prefetching_below(plan, ids) as self._prefetch:
            found = fetcher.by_ids(plan.level, ids, _fetchable(plan).needs)
            return self._linked(plan, found, found)

    def by_identifier(self, plan: LevelPlan, value: str) -> Resource | None:
        """Return the resource with this PatientID or UID. Raises InvalidRequest if there are several."""
        self._check(plan)
        needs = _fetchable(plan).needs
        if plan.level is Level.PATIENT:
            # by its id, which is made of the PatientID: a find does not tell `p` from `P`, nor takes `P\\Q`
            found = self._fetcher.by_ids(plan.level, [patient_orthanc_id(value)], needs)
            if not found:
                padded = [patient_orthanc_id(value.rjust(len(value) + blanks)) for blanks in _LEADING_BLANKS]
                found = self._fetcher.by_ids(plan.level, padded, needs)
        else:
            found = self._fetcher.matching(plan.level, identifier_filter(plan.level.identifier, [value]), needs)
        if len(found) > 1:
            raise InvalidRequest(f"{len(found)} {plan.level.path} have this {plan.level.identifier}: use orthancId.")
        return next(iter(self._linked(plan, found, found)), None)

    def matching(self, plan: LevelPlan) -> list[Resource]:
        """Return all resources that match the plan's filter, in its order. Raises InvalidRequest."""
        self._check(plan)
        found = sort(self._fetcher.matching(plan.level, plan.filter, _fetchable(plan).needs), plan.full_order)
        return self._linked(plan, found, found)

    def by_name(self, plan: LevelPlan, name: str) -> Resource | None:
        """Return the resource with this Orthanc id, PatientID or UID. Raises like `by_identifier`."""
        if ORTHANC_ID.fullmatch(name):
            return next(iter(self.by_ids(plan, [name])), None)
        return self.by_identifier(plan, name)

    def visible_studies(self, needs: Needs) -> list[Resource]:
        """Return all studies in scope."""
        return list(self._fetcher.page(_fetchable(LevelPlan(level=Level.STUDY, needs=needs))).resources)

    def hidden(self, level: Level, criteria: Filter = _ALL, needs: Needs = _NOTHING) -> list[Resource]:
        """Return the matching resources that are hidden from everybody, whatever the scope."""
        return self._hiding.hidden_matching(level, criteria, needs) if self._hiding else []

    @contextmanager
    def _prefetching_below(self, plan: LevelPlan, ids: Sequence[str]) -> Iterator[Prefetch]:
        """Prefetch the lists below this resource that need only its id, and are probably not kept."""
        if len(ids) != 1 or not self._can_prefetch or not plan.related:
            yield Prefetch()
            return
        [root_id] = ids
        root = RESOURCE_TYPES[plan.level](root_id, None, {}, {})
        revisions = self._revisions
        with revisions.fetching_ahead(root_id) if revisions else nullcontext():
            # the lowest levels first: they take the longest
            lists: dict[Hashable, Fetch] = {
                (root_id, level, criteria, needs): partial(self._fetcher.children, level, [], criteria, needs, [root])
                for level, criteria, needs in reversed(list(_independent(plan)))
                if not (revisions and revisions.may_be_kept(root_id, level, criteria, needs))
            }
            with Prefetch(lists) as prefetch:
                yield prefetch

    def _check(self, plan: LevelPlan) -> None:
        if plan.filter.labels and not self._has_labels:
            raise InvalidRequest("This Orthanc does not support labels (1.12.0 and newer do).")
        for related_plan in plan.related.values():
            self._check(related_plan)

    def _linked(self, plan: LevelPlan, found: Sequence[Resource], roots: Roots) -> list[Resource]:
        """Return the resources of a root field with their related ones, and charge them to the budget."""
        resources = self._link(plan, found, roots)
        self._budget.spend(plan, resources)
        return resources

    def _link(self, plan: LevelPlan, found: Sequence[Resource], roots: Roots) -> list[Resource]:
        """Add the related resources of the plan; drop resources whose parent was deleted in the meantime."""
        if not plan.related or not found:
            return list(found)
        related: dict[str, dict[str, Any]] = {resource.orthanc_id: {} for resource in found}
        for names in _same_fetch(plan):
            for name, by_id in self._fetch_related(plan, names, found, roots).items():
                for orthanc_id, value in by_id.items():
                    related[orthanc_id][name] = value
        return [
            replace(resource, related=related[resource.orthanc_id])
            for resource in found
            if len(related[resource.orthanc_id]) == len(plan.related)
        ]

    def _fetch_related(
        self, plan: LevelPlan, names: Sequence[str], found: Sequence[Resource], roots: Roots
    ) -> dict[str, dict[str, Any]]:
        """Fetch once what several names share; return it by name and by resource id."""
        plans = [plan.related[name] for name in names]
        level, criteria, needs = _fetch_of(plans)
        if level.depth < plan.level.depth:
            above = self._fetcher.parents(level, found, needs)
            return {
                name: self._parent_by_child(self._link(related_plan, above, above), found)
                for name, related_plan in zip(names, plans, strict=True)
            }
        only_root = roots[0].orthanc_id if roots and len(roots) == 1 else None
        below = self._prefetch.result(
            (only_root, level, criteria, needs),
            partial(self._fetcher.children, level, found, criteria, needs, roots),
        )
        return {
            name: self._children_by_parent(related_plan, below, found, roots)
            for name, related_plan in zip(names, plans, strict=True)
        }

    def _parent_by_child(self, parents: Iterable[Resource], children: Iterable[Resource]) -> dict[str, Resource]:
        by_id = {parent.orthanc_id: parent for parent in parents}
        return {child.orthanc_id: by_id[child.parent_id] for child in children if child.parent_id in by_id}

    def _children_by_parent(
        self, plan: LevelPlan, children: Iterable[Resource], parents: Iterable[Resource], roots: Roots
    ) -> dict[str, tuple[Resource, ...]]:
        families: dict[str, list[Resource]] = {parent.orthanc_id: [] for parent in parents}
        # PatientIDs that Orthanc normalises to the same value return the same studies
        for child in {child.orthanc_id: child for child in children}.values():
            if child.parent_id in families:
                families[child.parent_id].append(child)
        wanted = list(
            chain.from_iterable(slice_page(sort(family, plan.full_order), plan) for family in families.values())
        )
        if not _is_complete(plan) or (self.is_restricted and plan.level is Level.STUDY):
            # patients of a restricted caller may have hidden studies
            roots = wanted
        by_parent: dict[str, list[Resource]] = defaultdict(list)
        for resource in self._link(plan, wanted, roots):
            by_parent[resource.parent_id or ""].append(resource)
        return {parent_id: tuple(by_parent[parent_id]) for parent_id in families}


def _independent(plan: LevelPlan) -> Iterator[tuple[Level, Filter, Needs]]:
    """The lists below one resource that `_link` fetches by its id only."""
    for names in _same_fetch(plan):
        plans = [plan.related[name] for name in names]
        if plans[0].level.depth > plan.level.depth:
            yield _fetch_of(plans)
            yield from chain.from_iterable(_independent(one) for one in plans if _is_complete(one))


def _fetch_of(plans: Sequence[LevelPlan]) -> tuple[Level, Filter, Needs]:
    """The arguments of one fetch for several plans."""
    return plans[0].level, plans[0].filter, reduce(or_, (_fetchable(plan).needs for plan in plans))


def _is_complete(plan: LevelPlan) -> bool:
    """Whether a list is complete."""
    return plan.filter == Filter() and plan.first is None and not plan.offset


def _same_fetch(plan: LevelPlan) -> list[list[str]]:
    """Groups of names that one fetch can serve: of the same level with the same filter."""
    groups: dict[tuple[Level, Filter], list[str]] = defaultdict(list)
    for name, related_plan in plan.related.items():
        groups[related_plan.level, related_plan.filter].append(name)
    return list(groups.values())


def _fetchable(plan: LevelPlan) -> LevelPlan:
    """The plan with the data needed to sort its resources and to find the related ones."""
    keys = frozenset(order.by for order in plan.full_order)
    # what is below a study or series is kept under its `LastUpdate`
    is_proof = plan.level in (Level.STUDY, Level.SERIES) and any(
        below.level.depth > plan.level.depth for below in plan.related.values()
    )
    needs = plan.needs | Needs(
        keys - {"LastUpdate"},
        frozenset({Fact.CHANGES}) if "LastUpdate" in keys or is_proof else frozenset(),
        any(related_plan.level.depth < plan.level.depth for related_plan in plan.related.values()),
    )
    return replace(plan, needs=needs)
