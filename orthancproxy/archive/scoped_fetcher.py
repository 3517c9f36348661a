"""A fetcher that restricts another one to a scope, as if hidden resources did not exist.

Root lists start from the visible studies. Single resources are fetched first, and then their studies. A patient's own
tags in Orthanc are those of its first file, which may be hidden. So everything but its PatientID and its labels is
taken from its visible studies: tags from the first by Orthanc id, counts and changes from all. Orthanc copies the tags
of the patient to each study, and searches the levels below by that copy (1.10.1 to 1.13.0).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.keywords import COMPUTED, MAIN_DICOM_TAGS
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import criteria_of
from orthancproxy.archive.ordering import page_of, sort_needs
from orthancproxy.archive.plan import Fact, Filter, LabelMatch, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.scope import Scope, searches
from orthancproxy.errors import InvalidRequest

# attributes of a patient that are sums over its studies
_SUMS = {
    "NumberOfPatientRelatedSeries": "NumberOfStudyRelatedSeries",
    "NumberOfPatientRelatedInstances": "NumberOfStudyRelatedInstances",
}
# tags that come with each resource, and are not of a file that may be hidden
_AT_HAND = {
    **MAIN_DICOM_TAGS,
    Level.PATIENT: frozenset({Level.PATIENT.identifier}),
    Level.STUDY: MAIN_DICOM_TAGS[Level.STUDY] | MAIN_DICOM_TAGS[Level.PATIENT],
}
_FACTS_AT_HAND = {Fact.CHANGES, Fact.LABELS, Fact.FILE_SIZE, Fact.FILE_UUID}


class ScopedFetcher:
    """Fetches with another fetcher, and returns only resources in scope."""

    def __init__(self, fetcher: Fetcher, scope: Scope) -> None:
        self._fetcher = fetcher
        self._scope = scope
        labels = frozenset({Fact.LABELS}) if scope.labels else frozenset[Fact]()
        self._proof = Needs(frozenset({Level.PATIENT.identifier}), labels)

    def page(self, plan: LevelPlan) -> Page:
        """Return one page of a root list: all visible resources are sorted, and this page is completed."""
        _check(plan.level, plan.filter)
        every = self._every(plan.level, plan.filter, plan.needs)
        return page_of(plan, self.complete(plan.level, every, sort_needs(plan)), self.complete)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all visible matching resources of a level, unordered. Meant for criteria that match few."""
        if level is Level.PATIENT:
            return self.complete(level, self._patients(criteria, _at_hand(level, needs)), needs)
        return self._visible(level, self._fetcher.matching(level, criteria, self._to_check(level, needs)), needs)

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the visible matching resources below these visible parents, possibly with others."""
        if level is not Level.STUDY:
            return self._fetcher.children(level, parents, criteria, needs, roots)
        studies = self._fetcher.children(level, parents, criteria, self._to_check(level, needs), roots)
        return self.complete(level, self._admitted(studies), needs)

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources above these visible children, which are visible too, possibly with others."""
        if level is not Level.PATIENT:
            return self._fetcher.parents(level, children, needs)
        return self.complete(level, self._fetcher.parents(level, children, _at_hand(level, needs)), needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the visible resources of this level with these Orthanc ids."""
        return self._visible(level, self._fetcher.by_ids(level, ids, self._to_check(level, needs)), needs)

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same visible resources in the same order, with the missing data added."""
        if needs == _at_hand(level, needs):
            return list(map(_without_tags_of_files, found)) if level is Level.PATIENT else list(found)
        if level is not Level.PATIENT:
            return self._fetcher.complete(level, found, needs)
        return self.from_studies(found, needs)

    def _every(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all visible matching resources of a level, found from the visible studies, without duplicates."""
        at_hand = _at_hand(level, needs)
        if level is Level.STUDY:
            return self._studies(criteria, at_hand)
        if level is Level.PATIENT:
            return self._patients(criteria, at_hand)
        studies = self._studies(Filter(), Needs())
        if level is Level.SERIES:
            return self._below(level, studies, criteria, at_hand, studies)
        series = self._below(level.parent, studies, Filter(), Needs(), studies)
        return self._below(level, series, criteria, at_hand, studies)

    def _patients(self, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all patients with visible studies that match by what is shown of them."""
        studies = self._studies(replace(criteria, labels=LabelMatch()), Needs())
        visible = {study.parent_id for study in studies}
        above = self._fetcher.parents(Level.PATIENT, studies, needs) if studies else []
        patients = {one.orthanc_id: one for one in above if one.orthanc_id in visible}
        if patients and criteria.labels:
            labelled = self._fetcher.matching(Level.PATIENT, Filter(labels=criteria.labels), Needs())
            patients = {one.orthanc_id: patients[one.orthanc_id] for one in labelled if one.orthanc_id in patients}
        if dict(criteria.tags).keys() <= {Level.PATIENT.identifier}:
            return list(patients.values())
        # another study than the matching one may be shown
        matching = {study.orthanc_id for study in studies}
        families = self._families(list(patients.values()), Needs())
        return [one for name, one in patients.items() if name in families and families[name][0].orthanc_id in matching]

    def _families(self, patients: Sequence[Resource], needs: Needs) -> dict[str, list[Resource]]:
        """Return the visible studies by patient, by Orthanc id: tags are shown of the first."""
        families: dict[str, list[Resource]] = defaultdict(list)
        studies = self._fetcher.children(Level.STUDY, patients, Filter(), needs | self._proof, patients)
        for study in sorted(self._admitted(studies), key=attrgetter("orthanc_id")):
            families[study.parent_id or ""].append(study)
        return families

    def _studies(self, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all visible matching studies."""
        return self._admitted(
            study
            for search in searches(self._scope, criteria)
            for study in self._fetcher.matching(Level.STUDY, search, needs | self._proof)
        )

    def _below(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return all matching resources below these parents, without duplicates."""
        ids = {parent.orthanc_id for parent in parents}
        found = self._fetcher.children(level, parents, criteria, needs, roots)
        return list({one.orthanc_id: one for one in found if one.parent_id in ids}.values())

    def _admitted(self, studies: Iterable[Resource]) -> list[Resource]:
        """Return the studies in scope, without duplicates."""
        return list({study.orthanc_id: study for study in studies if self._scope.admits(study)}.values())

    def _to_check(self, level: Level, needs: Needs) -> Needs:
        """The data needed to check a resource, and the data at hand."""
        return _at_hand(level, needs) | self._way_up(level)

    def _way_up(self, level: Level) -> Needs:
        """The data that leads from a resource to its study and shows whether that is in scope."""
        return self._proof if level is Level.STUDY else Needs(parent=level is not Level.PATIENT)

    def _visible(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the visible ones of these resources, with all data needed."""
        if level is Level.PATIENT:
            return self.from_studies(found, needs)
        return self.complete(level, self._climb(level, found), needs)

    def _climb(self, level: Level, found: Sequence[Resource]) -> list[Resource]:
        """Return the studies, series or instances whose study is in scope."""
        if level is Level.STUDY:
            return self._admitted(found)
        above = self._fetcher.parents(level.parent, found, self._way_up(level.parent))
        visible = {parent.orthanc_id for parent in self._climb(level.parent, above)}
        return [resource for resource in found if resource.parent_id in visible]

    def from_studies(self, patients: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the patients with a visible study, with data from their visible studies only."""
        sums = {keyword: part for keyword, part in _SUMS.items() if keyword in needs.tags}
        to_sum = Needs(frozenset(sums.values()), needs.facts & {Fact.CHANGES})
        families = self._families(patients, to_sum)
        visible = [patient for patient in patients if patient.orthanc_id in families]
        file_tags = self._file_tags({patient.orthanc_id: families[patient.orthanc_id][0] for patient in visible}, needs)
        return [
            replace(
                patient,
                tags={
                    **_own_tags(families[patient.orthanc_id][0]),
                    **_counts(families[patient.orthanc_id], sums),
                    **file_tags.get(patient.orthanc_id, {}),
                },
                facts=_facts(patient, families[patient.orthanc_id], needs),
            )
            for patient in visible
        ]

    def _file_tags(self, studies: Mapping[str, Resource], needs: Needs) -> dict[str, dict[str, str]]:
        """Return tags that are not in the index of the patients, by patient, from one study of each."""
        wanted = needs.tags - MAIN_DICOM_TAGS[Level.PATIENT] - COMPUTED[Level.PATIENT]
        found = self._fetcher.complete(Level.STUDY, list(studies.values()), Needs(wanted)) if wanted else []
        return {
            study.parent_id or "": {tag: value for tag, value in study.tags.items() if tag in wanted} for study in found
        }


def _at_hand(level: Level, needs: Needs) -> Needs:
    """The part of these needs that comes with each resource, without reading hidden ones or other pages."""
    facts = {Fact.LABELS} if level is Level.PATIENT else _FACTS_AT_HAND
    return Needs(needs.tags & _AT_HAND[level], needs.facts & facts, needs.parent)


def _check(level: Level, criteria: Filter) -> None:
    """Reject an invalid filter even if nothing is visible, and one that Orthanc would match in hidden files."""
    criteria_of(level, criteria)
    for keyword, _ in criteria.tags:
        if level is Level.PATIENT and keyword not in MAIN_DICOM_TAGS[level]:
            raise InvalidRequest(f"{keyword} is not indexed for patients: filter studies by it instead.")


def _without_tags_of_files(patient: Resource) -> Resource:
    return replace(patient, tags={tag: value for tag, value in patient.tags.items() if tag in _AT_HAND[Level.PATIENT]})


def _own_tags(study: Resource) -> dict[str, str]:
    """A patient's tags from a visible study."""
    return {tag: value for tag, value in study.tags.items() if tag in MAIN_DICOM_TAGS[Level.PATIENT]}


def _counts(studies: Sequence[Resource], sums: Mapping[str, str]) -> dict[str, str]:
    """A patient's counted attributes (PS3.4 section C.6.1.1) as text."""
    counts = {keyword: sum(int(study.tags.get(part) or 0) for study in studies) for keyword, part in sums.items()}
    return {keyword: str(count) for keyword, count in {"NumberOfPatientRelatedStudies": len(studies), **counts}.items()}


def _facts(patient: Resource, studies: Sequence[Resource], needs: Needs) -> dict[str, Any]:
    """The facts of a patient who had only these studies."""
    facts = {"Labels": patient.facts["Labels"]} if "Labels" in patient.facts else {}
    if Fact.CHANGES in needs.facts:
        updates = [update for study in studies if (update := study.facts.get("LastUpdate"))]
        facts |= {"LastUpdate": max(updates, default=None), "IsStable": all(study.is_stable for study in studies)}
    return facts
