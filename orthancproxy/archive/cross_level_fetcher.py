"""A fetcher that matches, sorts and shows the attributes of other levels as those levels show them.

Each study has a copy of its patient's tags, from its own first file, while the patient has those of the first file of
all. Orthanc matches and returns the copy at every level below the patient, and matches the modalities of a study with
the whole value of a series, which is `PT\\CT` in some files (1.10.1 to 1.13.0).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from orthancproxy.archive.decoding import MAX_IDS_PER_CALL
from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.keywords import MAIN_DICOM_TAGS
from orthancproxy.archive.levels import Level, patient_orthanc_id
from orthancproxy.archive.matching import criteria_of
from orthancproxy.archive.ordering import page_of, sort_needs
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource, Study

_PATIENT_ID = Level.PATIENT.identifier
_OF_PATIENT = MAIN_DICOM_TAGS[Level.PATIENT] - {_PATIENT_ID}
_MODALITIES = "ModalitiesInStudy"


class CrossLevelFetcher:
    """Fetches with another fetcher, which treats each level by itself."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def page(self, plan: LevelPlan) -> Page:
        """Return one page of a root list."""
        criteria, studies = self._resolved(plan.level, plan.filter)
        keys = frozenset(order.by for order in plan.full_order)
        if not studies and (plan.level is Level.PATIENT or keys.isdisjoint(_OF_PATIENT)):
            needs = self._with_patient_id(plan.level, plan.needs)
            page = self._fetcher.page(replace(plan, filter=criteria, needs=needs))
            return replace(page, resources=tuple(self._with_patients_tags(plan.level, page.resources, plan.needs)))
        to_sort = sort_needs(plan, with_facts=True)
        needs = self._with_patient_id(plan.level, to_sort)
        found = self._either(
            lambda one: self._fetcher.page(LevelPlan(level=plan.level, needs=needs, filter=one)).resources,
            criteria,
            studies,
        )
        return page_of(plan, self._with_patients_tags(plan.level, found, to_sort), self.complete)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        with_id = self._with_patient_id(level, needs)
        found = self._either(lambda one: self._fetcher.matching(level, one, with_id), *self._resolved(level, criteria))
        return self._with_patients_tags(level, found, needs)

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these parents, unordered, possibly with those of others."""
        with_id = self._with_patient_id(level, needs)
        found = self._either(
            lambda one: self._fetcher.children(level, parents, one, with_id, roots), *self._resolved(level, criteria)
        )
        return self._with_patients_tags(level, found, needs)

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""
        found = self._fetcher.parents(level, children, self._with_patient_id(level, needs))
        return self._with_patients_tags(level, found, needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        found = self._fetcher.by_ids(level, ids, self._with_patient_id(level, needs))
        return self._with_patients_tags(level, found, needs)

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        completed = self._fetcher.complete(level, found, self._with_patient_id(level, needs))
        return self._with_patients_tags(level, completed, needs)

    def _either(
        self, fetch: Callable[[Filter], Iterable[Resource]], criteria: Filter, studies: Mapping[str, str]
    ) -> list[Resource]:
        """Return what matches the criteria, and those of these studies that match them but for the modalities."""
        found = {resource.orthanc_id: resource for resource in fetch(criteria)}
        if studies:
            tags = tuple(one for one in criteria.tags if one[0] != _MODALITIES)
            uids = (Level.STUDY.identifier, frozenset(studies.values()))
            others = fetch(replace(criteria, tags=tags, identifiers=(*criteria.identifiers, uids)))
            # two patients may have studies of one UID
            found |= {study.orthanc_id: study for study in others if study.orthanc_id in studies}
        return list(found.values())

    def _resolved(self, level: Level, criteria: Filter) -> tuple[Filter, Mapping[str, str]]:
        """Return criteria by what Orthanc stores at this level, and the studies that it does not find by modality."""
        criteria_of(level, criteria)
        if level is Level.PATIENT or criteria.nothing:
            return criteria, {}
        of_patient = tuple(one for one in criteria.tags if one[0] in MAIN_DICOM_TAGS[Level.PATIENT])
        wanted = criteria_of(Level.PATIENT, Filter(of_patient))
        if any(one.keyword in _OF_PATIENT for one in wanted):
            patients = self._fetcher.matching(Level.PATIENT, Filter(of_patient), Needs(frozenset({_PATIENT_ID})))
            ids = frozenset(patient.tags.get(_PATIENT_ID, "").rstrip(" \0") for patient in patients)
            criteria = replace(
                criteria,
                tags=tuple(one for one in criteria.tags if one not in of_patient),
                identifiers=(*criteria.identifiers, (_PATIENT_ID, ids)),
                nothing=not ids,
            )
        return criteria, {} if criteria.nothing else self._of_several_modalities(criteria)

    def _of_several_modalities(self, criteria: Filter) -> dict[str, str]:
        """Return the UIDs of studies that match by one of several values of a series' modality, by Orthanc id."""
        wanted = [value for keyword, value in criteria.tags if keyword == _MODALITIES]
        if len(wanted) != 1 or "*" in wanted[0] or "?" in wanted[0]:
            # matched with the modalities themselves
            return {}
        uid = Level.STUDY.identifier
        return {
            series.parent_id or "": series.tags.get(uid, "")
            for sent in _beside(wanted[0].split("\\"))
            for series in self._fetcher.matching(
                Level.SERIES, Filter((("Modality", wanted[0]),), sent=(("Modality", sent),)), Needs(frozenset({uid}))
            )
        }

    def _with_patient_id(self, level: Level, needs: Needs) -> Needs:
        """The data needed to look up the patients whose tags are needed."""
        is_needed = level is not Level.PATIENT and not _OF_PATIENT.isdisjoint(needs.tags)
        return replace(needs, tags=needs.tags | {_PATIENT_ID}) if is_needed else needs

    def _with_patients_tags(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources, with the tags of their patients instead of the copies."""
        wanted = needs.tags & _OF_PATIENT
        if level is Level.PATIENT or not wanted or not found:
            return list(found)
        ids = [patient_orthanc_id(resource.tags.get(_PATIENT_ID, "")) for resource in found]
        # stand for studies, of which patients are the parents
        below = {one: Study("", one, resource.tags, {}) for one, resource in zip(ids, found, strict=True)}
        if len(below) > MAX_IDS_PER_CALL:
            # one call: 5,000 patients take 0.1 s, and 0.5 s in lists (1.13.0)
            patients = self._fetcher.matching(Level.PATIENT, Filter(), Needs(wanted))
        else:
            patients = self._fetcher.parents(Level.PATIENT, list(below.values()), Needs(wanted))
        tags = {patient.orthanc_id: patient.tags for patient in patients}
        return [
            _with_tags(resource, tags[one], wanted) if one in tags else resource
            for one, resource in zip(ids, found, strict=True)
        ]


def _beside(modalities: Iterable[str]) -> list[str]:
    """Return patterns that Orthanc finds the series by that have one of these modalities and others."""
    wanted = frozenset(map(str.strip, modalities)) - {""}
    if len(wanted) > 2 or not all(one.isascii() and one.isalnum() for one in wanted):
        # also finds series of one modality of three letters or more
        return ["???*"]
    return [pattern for one in sorted(wanted) for pattern in (f"*?{one}*", f"*{one}?*")]


def _with_tags(resource: Resource, of_patient: Mapping[str, str], wanted: frozenset[str]) -> Resource:
    tags = resource.tags
    if all(tags.get(keyword) == of_patient.get(keyword) for keyword in wanted):
        return resource
    kept = {keyword: value for keyword, value in tags.items() if keyword not in wanted}
    return replace(resource, tags={**kept, **{one: of_patient[one] for one in wanted if one in of_patient}})
