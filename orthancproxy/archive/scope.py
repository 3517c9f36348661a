"""What a caller may see of the archive: rules on studies, matched here, and as far as it goes by Orthanc before."""

import re
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import lru_cache

from orthancproxy.archive import parsing
from orthancproxy.archive.decoding import batched
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import any_of
from orthancproxy.archive.plan import Filter
from orthancproxy.archive.records import Resource

MAX_WILDCARD_SEARCHES = 20

_PATIENT_ID = Level.PATIENT.identifier
# wildcards, and what can't stand in a list of values or looks there like a path
_NOT_LISTED = re.compile(r"[*?\\%\0-\x1f\x7f-\x9f]|\.\.")
# Orthanc's `?` is one byte, and it drops what is not ASCII, and spaces that are then at an end: sent as "any text"
_NOT_SENT = re.compile(r"[^0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a caller may see: patients whose PatientID matches one of the patterns, studies that have one of the labels.

    In a pattern `*` is any text and `?` one character; all else is meant to the letter, case included. The study is
    the unit: one that either rule admits is visible, with all that is below it and the patient above it.
    """

    patient_ids: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()

    @property
    def is_restricted(self) -> bool:
        """Whether there may be something that the caller may not see."""
        return "*" not in self.patient_ids

    def admits_patient(self, patient_id: str) -> bool:
        """Whether all studies of the patient with this PatientID are visible, padded or not (PS3.5 section 6.2)."""
        return _either_pattern(self.patient_ids).match(parsing.text(patient_id) or "") is not None

    def admits(self, study: Resource) -> bool:
        """Whether a study is visible. Its record must hold PatientID and, where the scope has labels, its labels."""
        labels = study.facts.get("Labels") or ()
        return not self.labels.isdisjoint(labels) or self.admits_patient(study.tags.get(_PATIENT_ID, ""))


EVERYTHING = Scope(patient_ids=("*",))


def searches(scope: Scope, criteria: Filter) -> list[Filter]:
    """Filters that, together, find every study that matches the criteria and that the scope admits, and others.

    One is for the PatientIDs without wildcards, one for each with, one for the labels; it is the criteria alone where
    they restrict the same, or there are too many.
    """
    listed = [pattern for pattern in scope.patient_ids if pattern and not _NOT_LISTED.search(pattern)]
    wild = {_NOT_SENT.sub("*", pattern) for pattern in scope.patient_ids if pattern not in listed}
    taken = dict(criteria.tags).keys()
    if (
        (scope.patient_ids and _PATIENT_ID in taken)
        or (scope.labels and criteria.labels.any)
        or len(wild) > MAX_WILDCARD_SEARCHES
    ):
        return [criteria]
    patient_ids = [*map(any_of, batched(listed)), *sorted(wild)]
    found = [replace(criteria, tags=(*criteria.tags, (_PATIENT_ID, value))) for value in patient_ids]
    if scope.labels:
        found.append(replace(criteria, labels=replace(criteria.labels, any=scope.labels)))
    return found


@lru_cache(maxsize=128)
def _either_pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all patterns. What `translate` makes of many `*` does not backtrack from one to another."""
    # a character class for fnmatch, a letter like any other here
    translated = [translate(pattern.replace("[", "[[]")) for pattern in patterns]
    return re.compile("|".join(translated) or r"(?!)")
