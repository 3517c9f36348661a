"""Searches patients and studies by words, as people type them."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orthancproxy.archive.fetcher import Fetcher, Roots
from orthancproxy.archive.keywords import vr_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.ordering import page_of, sort_needs
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.errors import InvalidRequest

SEARCHED_TAGS = frozenset({"PatientName", "PatientID", "AccessionNumber", "StudyDescription", "ReferringPhysicianName"})
MAX_LENGTH = 256
_SORTED_TAGS = [(keyword, vr_of(keyword) == "PN") for keyword in sorted(SEARCHED_TAGS)]
_ACCENTS = dict.fromkeys(range(0x300, 0x370))
_SEPARATORS_OF_NAMES = str.maketrans("^=", "  ")


class SearchFetcher:
    """Adds `Filter.search` to a fetcher, which it asks for all studies that match the rest of the filter.

    A patient matches if one of its studies does.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def page(self, plan: LevelPlan) -> Page:
        """Return one sorted page of a root list."""
        if not plan.filter.search:
            return self._fetcher.page(plan)
        needs = sort_needs(plan, with_facts=True)
        return page_of(plan, self.matching(plan.level, plan.filter, needs), self.complete)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return all matching resources of a level, unordered."""
        others = replace(criteria, search=())
        if not criteria.search:
            return self._fetcher.matching(level, criteria, needs)
        if level is not Level.PATIENT:
            return _found(criteria, self._fetcher.matching(level, others, needs | Needs(SEARCHED_TAGS)))
        studies = _found(criteria, self._fetcher.matching(Level.STUDY, Filter(), Needs(SEARCHED_TAGS, parent=True)))
        if not studies:
            return []
        wanted = {study.parent_id for study in studies}
        if others != Filter():
            wanted &= {patient.orthanc_id for patient in self._fetcher.matching(level, others, Needs())}
        patients = {one.orthanc_id: one for one in self._fetcher.parents(level, studies, needs)}
        return [patient for orthanc_id, patient in patients.items() if orthanc_id in wanted]

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the matching resources of a level below these parents, unordered, possibly with those of others."""
        if not criteria.search:
            return self._fetcher.children(level, parents, criteria, needs, roots)
        others = replace(criteria, search=())
        found = self._fetcher.children(level, parents, others, needs | Needs(SEARCHED_TAGS), roots)
        return _found(criteria, found)

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the resources of a level above these children, possibly with others."""
        return self._fetcher.parents(level, children, needs)

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return the resources of this level with these Orthanc ids; missing ones are left out."""
        return self._fetcher.by_ids(level, ids, needs)

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same resources in the same order, with the missing data added."""
        return self._fetcher.complete(level, found, needs)


def words(text: str) -> tuple[str, ...]:
    """Return the words of a search, as they are compared. Raises InvalidRequest for one that is too long."""
    if len(text) > MAX_LENGTH:
        raise InvalidRequest(f"A search has at most {MAX_LENGTH} characters.")
    parts = (word.strip(",") for word in _key(text).translate(_SEPARATORS_OF_NAMES).split())
    return tuple(dict.fromkeys(filter(None, parts)))


def searchable(tags: Mapping[str, str]) -> str:
    """Return the text of a study in which each word of a matching search is found."""
    return "\n".join(
        # `홍길동` finds 홍^길동, and `gildong` Hong^Gil Dong
        "".join(_key(value).replace("^", "").split()) if is_name else _key(value)
        for keyword, is_name in _SORTED_TAGS
        if (value := tags.get(keyword))
    )


def _found(criteria: Filter, studies: Sequence[Resource]) -> list[Resource]:
    return [
        study for study in studies if all(word in text for text in [searchable(study.tags)] for word in criteria.search)
    ]


def _key(text: str) -> str:
    """Return the text without case, accents, and differences of composition and width."""
    if text.isascii():
        return text.lower()
    # the marks of kana are no accents: が is not か
    plain = unicodedata.normalize("NFKD", text).translate(_ACCENTS)
    return unicodedata.normalize("NFC", plain).casefold()
