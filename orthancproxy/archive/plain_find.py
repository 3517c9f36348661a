"""The fetcher for Orthanc before 1.12.5, whose find neither sorts nor pages; its bulk-content returns children.

The gateway does the rest: it sorts, pages, counts children, and reads tags that are not indexed from the files, with
one call for each study.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orthancproxy.archive.decoding import batched, bulk_content, find, to_resources
from orthancproxy.archive.fetcher import Roots
from orthancproxy.archive.file_tags import read_tags
from orthancproxy.archive.keywords import COMPUTED, MAIN_DICOM_TAGS, is_long, main_tags_above, tag_of
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
from orthancproxy.archive.ordering import page_of, sort_needs
from orthancproxy.archive.plan import IN_METADATA, Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.errors import ArchiveRejected
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import ResourcePayload

# 73,000 took 5 s, and 15 s on a busy machine (1.10.1): half of the time that a call has
CHILDREN_PER_CALL = 20_000
# counted attributes for which an expanded resource lists the children
_LISTED = {
    "NumberOfPatientRelatedStudies": "Studies",
    "NumberOfStudyRelatedSeries": "Series",
    "NumberOfSeriesRelatedInstances": "Instances",
}


class PlainFind:
    """Fetches each list with one find or bulk-content, and then the missing data. For one request."""

    def __init__(self, client: OrthancClient, budget: ObjectBudget) -> None:
        self._client = client
        self._budget = budget
        self._find_limits = client.capabilities().find_limits
        self._series_of: dict[str, list[Resource]] = {}  # by study, where all of them were seen
        self._study_of: dict[str, str] = {}  # by series

    def page(self, plan: LevelPlan) -> Page:
        """Return one page of a root list: all matching resources are sorted, and this page is completed."""
        return page_of(plan, self.matching(plan.level, plan.filter, sort_needs(plan)), self.complete)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        return self._find(level, criteria_of(level, criteria), criteria, needs)

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources below these parents, possibly with those of others.

        Roots are ignored: these versions find nothing faster by higher levels.
        """
        if criteria == Filter():
            return self.complete(level, self._below(level, parents, needs), needs)
        wanted = criteria_of(level, criteria)
        key = tag_of(level.parent.identifier)
        identifiers = dict.fromkeys(parent.tags.get(level.parent.identifier, "") for parent in parents)
        parts: list[dict[str, str]] = [{}]
        if all(map(can_be_listed, identifiers)):
            parts = [{key: any_of(part)} for part in batched(identifiers)]
        found: list[Resource] = []
        for part in parts:
            found += self._find(level, wanted, criteria, needs, part, self._budget.maximum + 1)
            self._budget.check_fetch(len(found))
        return found

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources above these children."""
        return self.by_ids(level, list(dict.fromkeys(child.parent_id or "" for child in children)), needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        with_metadata = not needs.facts.isdisjoint(IN_METADATA)
        parts = batched(ids)
        payloads = [one for part in parts for one in bulk_content(self._client, part, with_metadata=with_metadata)]
        return self.complete(
            level,
            self._seen(level, [payload for payload in payloads if payload.type == level.value]),
            needs,
        )

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        found = list(found)
        if not found:
            return found
        if any(name not in found[0].facts for fact, name in IN_METADATA.items() if fact in needs.facts):
            parts = batched(resource.orthanc_id for resource in found)
            payloads = [one for part in parts for one in bulk_content(self._client, part, with_metadata=True)]
            facts = {resource.orthanc_id: resource.facts for resource in to_resources(level, payloads)}
            found = [
                replace(resource, facts={**resource.facts, **facts[resource.orthanc_id]})
                for resource in found
                if resource.orthanc_id in facts
            ]
        if counted := needs.tags & COMPUTED[level]:
            found = self._counted(level, found, counted)
        known = MAIN_DICOM_TAGS[level] | COMPUTED[level]
        if level is Level.STUDY:
            known |= MAIN_DICOM_TAGS[Level.PATIENT]
        elif of_parents := needs.tags & main_tags_above(level) - known:
            found = self._with_parents_tags(level, found, of_parents)
            known |= of_parents
        known = frozenset(keyword for keyword in known if not is_long(keyword))
        if unindexed := needs.tags - known:
            found = self._with_file_tags(level, found, unindexed)
        return found

    def _find(
        self,
        level: Level,
        criteria: Sequence[Criterion],
        filtered: Filter,
        needs: Needs,
        identifiers: Mapping[str, str] | None = None,
        limit: int = 0,
    ) -> list[Resource]:
        """Find the matching resources. Raises LimitExceeded if Orthanc preselects `limit` or more; 0 is none."""
        if filtered.nothing:
            return []
        in_index = frozenset(map(tag_of, main_tags_above(level) | MAIN_DICOM_TAGS[level]))
        if not in_index.issuperset(query(criteria)):
            self._find_limits.refresh(level.value)
        if self._find_limits.found:
            criteria = matched_in_index(criteria, in_index)
        wanted = {
            **query(criteria),
            **(identifiers or {}),
            **query([one for one in criteria if one.is_exact]),
        }
        body = {"Level": level.value, "Query": wanted, "Expand": True, "Short": True, "Limit": limit}
        payloads = find(self._client, body)
        if self._find_limits.may_truncate(level.value, len(payloads)):
            # these versions apply Since to the truncated result: the rest is out of reach
            raise ArchiveRejected(
                "Orthanc truncates its results: set LimitFindResults and LimitFindInstances to 0 in its configuration."
            )
        if limit:
            self._budget.check_fetch(len(payloads))
        found = self._seen(level, payloads)
        if filtered.labels:
            found = [resource for resource in found if has_labels(resource.facts.get("Labels"), filtered.labels)]
        tags = decisive(criteria)
        found = select(criteria, self.complete(level, found, Needs(tags)))
        return self.complete(level, found, replace(needs, tags=needs.tags - tags))

    def _below(self, level: Level, parents: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return all children of these parents. Series of a study that were already fetched are reused."""
        # an expanded resource lists the ids of its children
        self._budget.check_fetch(sum(len(parent.facts.get(level.path.capitalize(), ())) for parent in parents))
        if level is Level.SERIES and all(parent.orthanc_id in self._series_of for parent in parents):
            return [series for parent in parents for series in self._series_of[parent.orthanc_id]]
        with_metadata = not needs.facts.isdisjoint(IN_METADATA)
        payloads = [
            one
            for part in _parts(level, parents)
            for one in bulk_content(self._client, part, level, with_metadata=with_metadata)
        ]
        found = self._seen(level, payloads)
        if level is Level.SERIES:
            self._series_of |= {parent.orthanc_id: [] for parent in parents}
            for series in found:
                self._series_of[series.parent_id or ""].append(series)
        return found

    def _seen(self, level: Level, payloads: list[ResourcePayload]) -> list[Resource]:
        found = to_resources(level, payloads)
        if level is Level.SERIES:
            self._study_of |= {series.orthanc_id: series.parent_id or "" for series in found}
        return found

    def _with_parents_tags(self, level: Level, found: Sequence[Resource], wanted: frozenset[str]) -> list[Resource]:
        """Add tags from the index of the levels above, not from the files."""
        parents = {parent.orthanc_id: parent.tags for parent in self.parents(level.parent, found, Needs(wanted))}
        return [
            replace(
                resource,
                tags={
                    **{tag: value for tag, value in parents.get(resource.parent_id or "", {}).items() if tag in wanted},
                    **resource.tags,
                },
            )
            for resource in found
        ]

    def _counted(self, level: Level, found: Sequence[Resource], wanted: frozenset[str]) -> list[Resource]:
        series_of = {} if wanted.issubset(_LISTED) else self._series_by_resource(level, found)
        return [
            replace(resource, tags={**resource.tags, **_counts(resource, series_of.get(resource.orthanc_id))})
            for resource in found
        ]

    def _series_by_resource(self, level: Level, found: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        if level is Level.STUDY:
            self._below(Level.SERIES, found, Needs())
            return self._series_of
        studies = {study: resource.orthanc_id for resource in found for study in resource.facts["Studies"]}
        series = self._seen(
            Level.SERIES, bulk_content(self._client, list(dict.fromkeys(studies.values())), Level.SERIES)
        )
        self._series_of |= {study: [] for study in studies}
        by_patient: dict[str, list[Resource]] = {resource.orthanc_id: [] for resource in found}
        for one in series:
            self._series_of.setdefault(one.parent_id or "", []).append(one)
            if one.parent_id in studies:
                by_patient[studies[one.parent_id]].append(one)
        return by_patient

    def _with_file_tags(self, level: Level, found: Sequence[Resource], wanted: frozenset[str]) -> list[Resource]:
        """Add tags from files: an instance's own, or those of one instance below."""
        studies = self._studies_of(found) if level is Level.INSTANCE else {}
        tags = read_tags(self._client, level, found, studies, frozenset(map(tag_of, wanted)))
        return [replace(resource, tags={**resource.tags, **tags.get(resource.orthanc_id, {})}) for resource in found]

    def _studies_of(self, instances: Sequence[Resource]) -> dict[str, str]:
        """Return the study of each instance, unless its series was just deleted. Instances do not hold it."""
        series = {instance.parent_id or "" for instance in instances}
        if len(series) == 1:
            # not needed: tags are read by series, not by study
            return dict.fromkeys((instance.orthanc_id for instance in instances), "")
        for part in batched(series - self._study_of.keys()):
            self._seen(Level.SERIES, bulk_content(self._client, part))
        return {
            instance.orthanc_id: self._study_of[instance.parent_id]
            for instance in instances
            if instance.parent_id in self._study_of
        }


def _parts(level: Level, parents: Sequence[Resource]) -> Iterator[list[str]]:
    """Yield the Orthanc ids of parents, together with at most CHILDREN_PER_CALL children of this level if possible."""
    part: list[str] = []
    children = 0
    for parent in parents:
        more = len(parent.facts.get(level.path.capitalize(), ()))
        if part and children + more > CHILDREN_PER_CALL:
            yield part
            part, children = [], 0
        part.append(parent.orthanc_id)
        children += more
    yield part


def _counts(resource: Resource, series: Sequence[Resource] | None) -> dict[str, str]:
    """Return the counted attributes (PS3.4 section C.6.1.1) as text, like Orthanc 1.12."""
    counts = {
        keyword: str(len(resource.facts[children]))
        for keyword, children in _LISTED.items()
        if keyword in COMPUTED[resource.level]
    }
    if series is not None:
        related = f"NumberOf{resource.level.value}Related"
        counts[f"{related}Series"] = str(len(series))
        counts[f"{related}Instances"] = str(sum(len(one.facts["Instances"]) for one in series))
        modalities = {one.tags["Modality"] for one in series if one.tags.get("Modality")}
        counts["ModalitiesInStudy"] = "\\".join(sorted(modalities))
    return {keyword: value for keyword, value in counts.items() if keyword in COMPUTED[resource.level]}
