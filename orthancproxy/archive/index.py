"""The gateway's index of the archive: it selects the resources of a page, and Orthanc answers with their data.

An entry that Orthanc contradicts is corrected, and the page is selected again. So nothing that is shown can be stale.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.hiding_fetcher import HidingFetcher
from orthancproxy.archive.keywords import MAIN_DICOM_TAGS
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import Criterion, criteria_of
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs
from orthancproxy.archive.records import RESOURCE_TYPES, Page, Resource
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.archive.search import SEARCHED_TAGS
from orthancproxy.database import storable

logger = logging.getLogger(__name__)

INDEXED_LEVELS = (Level.PATIENT, Level.STUDY)
_OF_PATIENT = frozenset({"PatientID", "PatientName", "PatientBirthDate", "PatientSex"})
# the tags of an entry; those of the patient are the patient's own at both levels
INDEXED_TAGS = {
    Level.PATIENT: _OF_PATIENT,
    Level.STUDY: _OF_PATIENT.union(
        "StudyInstanceUID StudyDate StudyTime StudyDescription AccessionNumber ReferringPhysicianName".split()
    ),
}
MAX_SELECTIONS = 5
# SQLite takes 32,766 parameters
MAX_HIDDEN = 10_000
_MODALITIES = "ModalitiesInStudy"


@dataclass(frozen=True, slots=True)
class Selection:
    """The resources of a page, in order, and one more if there is a next page. `total` is the length of the list."""

    resources: Sequence[Resource]
    total: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an index has come.

    `last_change` is the `Last` of Orthanc's changes up to which additions are indexed, `newest_update` the newest
    LastUpdate of a study, `updated_at` when this was recorded. `version` grows with each write of entries.
    """

    is_ready: bool = False
    last_change: int = 0
    newest_update: str = ""
    updated_at: datetime | None = None
    version: int = 0


class IndexStage(Enum):
    """Whether an index selects the lists of a caller."""

    OFF = auto()  # there is none, or it does not hold what the caller's scope needs
    BUILDING = auto()
    READY = auto()
    UNAVAILABLE = auto()  # its database is


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """The state of an index, the number of its studies in a caller's scope, and without a scope when it changed."""

    state: IndexStage = IndexStage.OFF
    studies_count: int = 0
    updated_at: datetime | None = None


NO_INDEX = IndexStatus()


class IndexUnavailable(Exception):
    """The database of the index cannot be reached or written."""


class IndexChanged(Exception):
    """Others have written entries in the meantime."""


class Index(Protocol):
    """Keeps the patients and studies of an archive. Its methods raise IndexUnavailable."""

    def progress(self) -> Progress:
        """Return how far the index has come."""

    def advance(self, progress: Progress, before: Progress | None = None) -> bool:
        """Record how far the index has come; return False, and do nothing, unless it is still where it was `before`."""

    def select(self, plan: LevelPlan, scope: Scope, hidden: Collection[str] = ()) -> Selection | None:
        """Return the resources of a page, with their indexed data; None if the index does not hold what decides it.

        Studies that are `hidden`, by their Orthanc ids, are left out, and patients who have no others.
        """

    def write(
        self, found: Sequence[Resource], gone: Mapping[Level, Collection[str]], version: int | None = None
    ) -> list[Resource]:
        """Write the entries of patients, and of studies with their modalities; return those that were removed.

        `gone` are the Orthanc ids of what is removed, with the studies of a patient. Raises IndexChanged, and writes
        nothing, if others have written since the index had this version, before Orthanc was read.
        """

    def ids(self, level: Level, parents: Iterable[str] | None = None) -> set[str]:
        """Return the Orthanc ids of all entries of a level, or of those below these parents."""

    def count(self, level: Level, scope: Scope = EVERYTHING, hidden: Collection[str] = ()) -> int | None:
        """Return the number of entries of a level in a scope; None if it needs what the index does not hold.

        Those that are `hidden` do not count, as in `select`.
        """


class Keeper(Protocol):
    """Keeps an index current."""

    def current_index(self, *, by_update: bool) -> Index | None:
        """Return the index with all that was added to the archive so far; None if it is not built.

        Unless `by_update`, without the LastUpdate of what only got more instances. Raises ArchiveError and
        IndexUnavailable.
        """

    def refresh(self, level: Level, entries: Sequence[Resource]) -> None:
        """Replace these entries, and those above and below them. Raises like `current_index`."""


class IndexFetcher:
    """Selects the pages of root lists of patients and studies from the index, and leaves the rest to a fetcher.

    That also fetches what was selected, which is checked against what decided the selection.
    """

    def __init__(self, fetcher: Fetcher, keeper: Keeper, scope: Scope, hiding: HidingFetcher | None = None) -> None:
        self._fetcher = fetcher
        self._hiding = hiding
        self._keeper = keeper
        self._scope = scope

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""
        if plan.first is None or not self._can_select(plan):
            return self._fetcher.page(plan)
        # an invalid filter is rejected before Orthanc is asked for changes
        criteria = criteria_of(plan.level, plan.filter)
        try:
            index = self._keeper.current_index(by_update="LastUpdate" in _deciding(plan))
            page = index and self._selected(index, plan, plan.first, criteria)
        except IndexUnavailable as error:
            logger.warning("the index is unavailable: %r", error.__cause__)
            page = None
        return page or self._fetcher.page(plan)

    def _can_select(self, plan: LevelPlan) -> bool:
        if plan.level not in INDEXED_LEVELS or self._scope.labels or self._scope.studies is not None:
            return False
        if self._scope.is_restricted:
            # patients are shown with the data of their visible studies
            others = MAIN_DICOM_TAGS[Level.PATIENT] - {Level.PATIENT.identifier}
            return plan.level is Level.STUDY and others.isdisjoint(_deciding(plan))
        return True

    def _selected(self, index: Index, plan: LevelPlan, first: int, criteria: Sequence[Criterion]) -> Page | None:
        deciding = _deciding(plan)
        needs = plan.needs | Needs(
            deciding & {*INDEXED_TAGS[plan.level], _MODALITIES} | {plan.level.identifier}, frozenset({Fact.CHANGES})
        )
        by_modalities = [one for one in criteria if one.keyword == _MODALITIES]
        hidden = self._hiding.hidden_studies if self._hiding else frozenset[str]()
        if len(hidden) > MAX_HIDDEN:
            return None
        for _ in range(MAX_SELECTIONS):
            selection = index.select(plan, self._scope, hidden)
            if selection is None:
                return None
            found = self._fetch(plan.level, selection.resources, needs)
            if not self._corrects(plan, deciding, selection.resources, self._matching(plan, by_modalities, found)):
                return Page(tuple(found[:first]), len(found) > first, selection.total)
        # the archive changes faster than the index
        return None

    def _fetch(self, level: Level, selected: Sequence[Resource], needs: Needs) -> list[Resource]:
        if not selected:
            return []
        if not self._scope.is_restricted:
            return self._fetcher.complete(level, selected, needs)
        # a scope completes only what it has checked
        uids = frozenset(one.tags.get(level.identifier, "").rstrip(" \0") for one in selected)
        matching = self._fetcher.matching(level, Filter(identifiers=((level.identifier, uids),)), needs)
        found = {one.orthanc_id: one for one in matching}
        return [found[one.orthanc_id] for one in selected if one.orthanc_id in found]

    def _matching(self, plan: LevelPlan, criteria: Sequence[Criterion], found: Sequence[Resource]) -> list[Resource]:
        """Return the resources that match by what is not among their indexed tags."""
        matching = [one for one in found if all(each.matches(one.tags.get(each.keyword)) for each in criteria)]
        if plan.level is Level.STUDY or not plan.filter.search or not matching:
            return matching
        words = Filter(search=plan.filter.search)
        studies = self._fetcher.children(Level.STUDY, matching, words, Needs(), matching)
        patients = {study.parent_id for study in studies}
        return [patient for patient in matching if patient.orthanc_id in patients]

    def _corrects(
        self, plan: LevelPlan, deciding: frozenset[str], selected: Sequence[Resource], matching: Sequence[Resource]
    ) -> bool:
        """Refresh the entries that Orthanc contradicts; return whether there are any."""
        found = {one.orthanc_id: indexed(one) for one in matching}
        wrong = [
            entry
            for entry in selected
            if (now := found.get(entry.orthanc_id)) is None
            or any(entry.tags.get(tag) != now.tags.get(tag) for tag in deciding & INDEXED_TAGS[plan.level])
            or ("LastUpdate" in deciding and entry.facts != now.facts)
        ]
        if wrong:
            self._keeper.refresh(plan.level, wrong)
        return bool(wrong)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        return self._fetcher.matching(level, criteria, needs)

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these parents, unordered, possibly with those of others."""
        return self._fetcher.children(level, parents, criteria, needs, roots)

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""
        return self._fetcher.parents(level, children, needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        return self._fetcher.by_ids(level, ids, needs)

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        return self._fetcher.complete(level, found, needs)


def _deciding(plan: LevelPlan) -> frozenset[str]:
    """Return the keywords of the data that decide which resources are on a page."""
    searched = SEARCHED_TAGS if plan.filter.search else frozenset[str]()
    return searched.union((keyword for keyword, _ in plan.filter.tags), (order.by for order in plan.full_order))


def indexed(resource: Resource) -> Resource:
    """Return a resource with no data but those of its entry in the index."""
    tags = {tag: resource.tags.get(tag) for tag in INDEXED_TAGS[resource.level]}
    return RESOURCE_TYPES[resource.level](
        resource.orthanc_id,
        resource.parent_id,
        {tag: storable(value) for tag, value in tags.items() if value},
        {"LastUpdate": resource.facts.get("LastUpdate")},
    )
