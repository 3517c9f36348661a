"""Changes of the archive: pages of the log, and which changes a caller may see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import RESOURCE_TYPES, Resource
from orthancproxy.archive.scope import Scope
from orthancproxy.conf import conf
from orthancproxy.errors import ArchiveTimeout, InvalidRequest
from orthancproxy.feed.log import CHANGES_PER_READ, Change, Kind, LoggedChange, change_log
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.deadline import clip_to_deadline
from orthancproxy.resolvers.background import Background
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read
from orthancproxy.resolvers.operations import READ_CHANGES
from orthancproxy.resolvers.trash import trash_of

MAX_CURSOR_DIGITS = 18  # of a number that databases have as a BIGINT
MAX_READS = 20  # of a page most of which is hidden from its caller

_LABELS = Needs(facts=frozenset({Fact.LABELS}))


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes of the log, oldest first. The next page begins after `end`, which is not always that of a shown one."""

    changes: Sequence[LoggedChange]
    end: int
    has_next: bool
    has_previous: bool


class ChangeBatch:
    """Consecutive changes of the log, and which of them each scope shows. Safe for threads."""

    def __init__(self, changes: Sequence[LoggedChange], client: OrthancClient) -> None:
        self.changes = changes
        self._client = client
        self._lock = Lock()

    def visible(self, scope: Scope) -> list[LoggedChange]:
        """Return the changes of what the scope shows now; of what is gone, by what the log has of it.

        The Orthanc id of a study is made of its PatientID: only its labels change. Raises ArchiveError.
        """
        return [one for one in self.changes if self._is_visible(one.change, scope)]

    def _is_visible(self, change: Change, scope: Scope) -> bool:
        if scope.studies is not None:
            # what changes a patient may be a hidden study
            if change.level is Level.PATIENT or change.study_orthanc_id not in scope.studies:
                return False
            scope = replace(scope, studies=None)
        if not scope.is_restricted:
            return True
        if change.patient_id is not None and scope.admits_patient(change.patient_id):
            return True
        if not scope.labels:
            return False
        labels = change.labels or frozenset()
        if change.kind is not Kind.DELETED:
            if not self._lock.acquire(timeout=clip_to_deadline(conf.ORTHANC_MAX_SECONDS)):
                raise ArchiveTimeout("Orthanc takes too long to return labels.")
            try:
                found = self._labels
            finally:
                self._lock.release()
            is_patient = change.level is Level.PATIENT
            labels = found.get((change.orthanc_id if is_patient else change.study_orthanc_id) or "", labels)
        return not scope.labels.isdisjoint(labels)

    @cached_property
    def _labels(self) -> Mapping[str, frozenset[str]]:
        """The labels that studies have now, those of a patient's studies together, by Orthanc id."""
        existing = [one.change for one in self.changes if one.change.kind is not Kind.DELETED]
        studies = {one.study_orthanc_id for one in existing if one.level is not Level.PATIENT}
        patients = {one.orthanc_id for one in existing if one.level is Level.PATIENT}
        # a patient is not seen by the labels of what is in the trash
        hierarchy = Hierarchy(self._client, hidden=trash_of(self._client).studies())
        of_study = LevelPlan(level=Level.STUDY, needs=_LABELS)
        of_patient = LevelPlan(level=Level.PATIENT, related={"studies": of_study})
        found = {
            study.orthanc_id: _labels_of([study])
            for study in hierarchy.by_ids(of_study, sorted(filter(None, studies)), as_stored=True)
        }
        return found | {
            patient.orthanc_id: _labels_of(patient.related["studies"])
            for patient in hierarchy.by_ids(of_patient, sorted(patients), as_stored=True)
        }


def get_changes(context: RequestContext, after: str | None, limit: int) -> ChangePage:
    """Return a page of the log, from its beginning or after a cursor. Raises InvalidRequest and CursorExpired.

    Where much is hidden from the caller, the page may have fewer changes than `limit`, or none, although more follow.
    """
    scope = context.caller.scope
    with audited_read(context, READ_CHANGES) as read:
        _begin(context)
        end = start = change_log.oldest() if after is None else cursor_of(after)
        size = CHANGES_PER_READ if scope.is_restricted else limit + 1
        found: list[LoggedChange] = []
        is_last, reads = False, 0
        while len(found) <= limit and not is_last and reads < MAX_READS:
            changes = change_log.after(end, size)
            found += ChangeBatch(changes, context.client).visible(scope)
            is_last, reads = len(changes) < size, reads + 1
            end = changes[-1].cursor if changes else end
        has_next = len(found) > limit or not is_last
        if len(found) > limit:
            found = found[:limit]
            end = found[-1].cursor if found else start
        for level in Level:
            read([_as_resource(one.change) for one in found if one.change.level is level])
        return ChangePage(found, end, has_next, has_previous=after is not None)


def follow_changes(context: RequestContext, after: str | None, check: Callable[[], object]) -> int:
    """Authorize and audit a caller who follows the changes, once; return the cursor after which they begin.

    Without `after`, that is the newest. `check` raises an error for what cannot be followed. Raises InvalidRequest and
    CursorExpired.
    """
    with audited_read(context, READ_CHANGES):
        check()
        # what is in the archive already is not news
        _begin(context).report(())
        if after is None:
            return change_log.newest()
        cursor = cursor_of(after)
        change_log.after(cursor, 1)
        return cursor


def _begin(context: RequestContext) -> Background:
    """Begin the log, if nobody has asked for it before. Raises InvalidRequest if there is none."""
    if not conf.ORTHANC_CHANGES_DAYS:
        raise InvalidRequest("This gateway keeps no log of changes: its setting ORTHANC_CHANGES_DAYS is 0.")
    return context.background


def cursor_of(text: str) -> int:
    """Return the position in the log that a cursor names. Raises InvalidRequest."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_CURSOR_DIGITS):
        raise InvalidRequest("The cursor is not valid: use that of an event or of a page.")
    return int(text)


def _as_resource(change: Change) -> Resource:
    """Return the changed resource with what the audit log has of it."""
    tags = {"PatientID": change.patient_id or "", "StudyInstanceUID": change.study_instance_uid or ""}
    return RESOURCE_TYPES[change.level](change.orthanc_id, None, tags, {})


def _labels_of(studies: Sequence[Resource]) -> frozenset[str]:
    return frozenset(label for study in studies for label in study.labels or ())
