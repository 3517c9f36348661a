"""The studies that a caller can see. Orthanc preselects them as far as possible; the gateway decides."""

import re
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import lru_cache

from orthancproxy.archive.decoding import batched
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import any_of
from orthancproxy.archive.plan import Filter
from orthancproxy.archive.records import Resource

MAX_WILDCARD_SEARCHES = 20

_PATIENT_ID = Level.PATIENT.identifier
_STUDY_UID = Level.STUDY.identifier
# wildcards, and characters that cannot be part of a list of values or look like a path
_NOT_LISTED = re.compile(r"[*?\\%\0-\x1f\x7f-\x9f]|\.\.")
# sent as `*`: Orthanc's `?` is one byte, and it drops non-ASCII characters and then leading and trailing spaces
_NOT_SENT = re.compile(r"[^0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """The studies that a caller can see: by patterns of their PatientID, or by one of the labels.

    In a pattern, `*` is any text and `?` one character; all else is matched exactly, including case. A study that
    either rule admits is visible, with its children and its patient; if there are `studies`, only if it is one of them.
    These are Orthanc ids; Orthanc preselects by `study_uids`, their StudyInstanceUIDs.
    """

    patient_ids: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    studies: frozenset[str] | None = None
    study_uids: tuple[str, ...] = ()

    @property
    def is_restricted(self) -> bool:
        """Whether anything can be hidden from the caller."""
        return self.studies is not None or "*" not in self.patient_ids

    def admits_patient(self, patient_id: str) -> bool:
        """Whether all studies of a PatientID are visible.

        Padding at its end is ignored (PS3.5 section 6.2). Blanks before it are not: Orthanc finds them by themselves
        only (1.10.1 to 1.13.0).
        """
        return self.studies is None and self._admits_by_id(patient_id)

    def admits(self, study: Resource) -> bool:
        """Whether a study is visible. It must hold its PatientID and, if the scope has labels, its labels."""
        if self.studies is not None and study.orthanc_id not in self.studies:
            return False
        labels = study.facts.get("Labels") or ()
        return not self.labels.isdisjoint(labels) or self._admits_by_id(study.tags.get(_PATIENT_ID, ""))

    def _admits_by_id(self, patient_id: str) -> bool:
        return _any_pattern(self.patient_ids).match(patient_id.rstrip(" \0")) is not None


EVERYTHING = Scope(patient_ids=("*",))


def searches(scope: Scope, criteria: Filter) -> list[Filter]:
    """Return filters that together find all matching studies in scope, possibly with others.

    There is one for the PatientIDs without wildcards, one for each with wildcards, and one for the labels; or only the
    criteria, if they restrict the same attribute or there are too many patterns. If the scope has `studies`, there is
    one for these.
    """
    if scope.studies is not None:
        can_be_sent = scope.study_uids and not any(map(_NOT_LISTED.search, scope.study_uids))
        is_taken = _STUDY_UID in {keyword for keyword, _ in (*criteria.tags, *criteria.identifiers)}
        if is_taken or not can_be_sent:
            return [criteria]
        return [replace(criteria, sent=(*criteria.sent, (_STUDY_UID, any_of(list(scope.study_uids)))))]
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
def _any_pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile all patterns into one. `translate` makes expressions whose `*` do not backtrack into each other."""
    # starts a character class in fnmatch, but not here
    translated = [translate(pattern.replace("[", "[[]")) for pattern in patterns]
    return re.compile("|".join(translated) or r"(?!)")
