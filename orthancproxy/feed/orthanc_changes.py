"""Reads Orthanc's own changes into the log: what was added, and what became stable.

Orthanc has an entry for each instance that it stores. The log has one UPDATED of its series and one of its study for
all of a second. Orthanc has no entries for deletions, and those of what is deleted vanish.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import takewhile
from threading import Lock

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.errors import GatewayError
from orthancproxy.feed.identities import NEW_INSTANCE, Identities, identify, patient_identity
from orthancproxy.feed.log import Change, ChangeLog, Kind
from orthancproxy.feed.models import ChangeLogState
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import CHANGES_DECODER, OrthancChange, OrthancChanges

logger = logging.getLogger(__name__)

ENTRIES_PER_LOOK = 5000
"""1 MB. With a look a second, Orthanc would have to store ten times as fast as it does (two cores, small files)."""
BETWEEN_UPDATES = timedelta(seconds=0.9)  # the follower looks every second, by another clock
MAX_ATTEMPTS = 3
MAX_WAIT_SECONDS = 5.0  # of a response; the first look at 1,000,000 instances takes 18 (1.13.0, no statistics)

_KINDS = {
    f"{prefix}{level.value}": kind
    for prefix, kind in (("New", Kind.ADDED), ("Stable", Kind.STABLE))
    for level in Level.INSTANCE.above
}


class Reader:
    """Reads what Orthanc has changed since the position in the log's state, which all gateways share.

    The position moves in the transaction that appends to the log: each entry is logged once, whoever reads it, and
    after an outage of the database. Safe for threads.

    `hidden_studies` count as deleted: their Orthanc ids, each with that of its patient. What happens below them is not
    logged, and a patient with no other study is added by the next one.
    """

    def __init__(
        self,
        client: OrthancClient,
        log: ChangeLog,
        base_url: str,
        *,
        entries_per_look: int = ENTRIES_PER_LOOK,
        hidden_studies: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._client = client
        self._log = log
        self._base_url = base_url
        self._entries_per_look = entries_per_look
        self._hidden_studies = hidden_studies
        self._looking = Lock()
        self._is_failing = False

    def follow(self) -> None:
        """Look, and drop what is too old: one process repeats this every second. Raises like `look`."""
        self.look()
        self._log.trim()

    def look(self, max_wait: float = -1) -> None:
        """Log what is new, of ENTRIES_PER_LOOK entries. The first look at an Orthanc begins at its newest entry.

        Wait for another thread that looks, or leave it to that one after `max_wait` seconds. Raises ArchiveError, and
        what the database raises.
        """
        if not self._looking.acquire(timeout=max_wait):
            return
        try:
            for _ in range(MAX_ATTEMPTS):
                if self._has_read():
                    return
        finally:
            self._looking.release()

    def report(self, changes: Sequence[Change] = ()) -> None:
        """Log what this gateway has just deleted or labelled, or else what it has just added.

        It never raises, for the archive is changed already: after an outage, `look` logs the additions. The index
        reports deletions that are missing, if there is one.
        """
        try:
            if changes:
                self._log.append(changes)
            else:
                self.look(MAX_WAIT_SECONDS)
            self._is_failing = False
        except Exception as error:
            # once for each outage
            if not self._is_failing:
                is_outage = isinstance(error, (GatewayError, *DATABASE_ERRORS))
                logger.warning("a change of the archive cannot be logged: %r", error, exc_info=not is_outage)
            self._is_failing = True

    def _has_read(self) -> bool:
        """Log what is new; return False if that must be repeated, for others have written to the log meanwhile."""
        state = self._log.state()
        server = self._client.capabilities().server or self._base_url
        newest = self._entries("last").last
        if state.server != server or state.position is None or newest < state.position:
            # another Orthanc; or its newest entry is gone with what was deleted, or with its whole database
            return self._advance(state, ChangeLogState(server=server, position=newest), [], 0)
        if newest == state.position:
            return True
        seen_at = self._log.newest()
        entries = _whole(self._entries(f"since={state.position}&limit={self._entries_per_look}"))
        identities = identify(self._client, self._log, entries)
        entries = self._due(entries, identities)
        if not entries:
            return True
        position = ChangeLogState(server=server, position=entries[-1].seq)
        changes = _changes(entries, identities)
        if hidden := self._hidden_studies() if changes else {}:
            changes = self._visible([one for one in changes if one.study_orthanc_id not in hidden], hidden)
        return self._advance(state, position, changes, seen_at)

    def _visible(self, changes: Sequence[Change], hidden: Mapping[str, str]) -> list[Change]:
        """Return the changes without those of hidden patients, and with the additions of those that appear by them.

        Orthanc has these patients, and tells nothing.
        """
        new = {one.orthanc_id for one in changes if one.kind is Kind.ADDED}
        patients = {one.patient_orthanc_id or "" for one in changes if one.level.depth <= Level.STUDY.depth}
        asked = sorted(patients.intersection(hidden.values()))
        plan = LevelPlan(level=Level.PATIENT, related={"studies": LevelPlan(level=Level.STUDY)})
        found = Hierarchy(self._client).by_ids(plan, asked, as_stored=True) if asked else []
        shown = {
            one.orthanc_id: {study.orthanc_id for study in one.related["studies"]} - hidden.keys() for one in found
        }
        # those that are new are added by an entry of their own
        appearing = {one for one, studies in shown.items() if studies and new.issuperset(studies)} - new
        visible: list[Change] = []
        for one in changes:
            patient = one.patient_orthanc_id or ""
            if one.level is Level.PATIENT and shown.get(patient) == set():
                continue
            if one.kind is Kind.ADDED and one.level is Level.STUDY and patient in appearing:
                appearing.remove(patient)
                identity = patient_identity(patient, one.patient_id)
                visible.append(replace(identity, kind=Kind.ADDED, labels=one.labels))
            visible.append(one)
        return visible

    def _entries(self, query: str) -> OrthancChanges:
        found: OrthancChanges = self._client.call(endpoints.CHANGES, query=query, decoder=CHANGES_DECODER)
        return found

    def _due(self, entries: Sequence[OrthancChange], identities: Identities) -> list[OrthancChange]:
        """Return the entries before the first instance of a study that the log had just now: the next look has them."""
        studies = {one.id: line[1].orthanc_id for one in entries if len(line := identities.line(one.id)) > 1}
        just_now = self._log.now() - BETWEEN_UPDATES
        logged = {one for one, last in self._log.newest_of(studies.values()).items() if last.at > just_now}
        return list(takewhile(lambda one: one.type != NEW_INSTANCE or studies.get(one.id) not in logged, entries))

    def _advance(self, before: ChangeLogState, after: ChangeLogState, changes: Sequence[Change], seen_at: int) -> bool:
        """Append changes of resources that were seen after the cursor `seen_at`, and move the position.

        Return False, with nothing done, if another process has moved it, or if one of the resources was deleted since.
        """
        with self._log.exclusive() as state:
            if (state.server, state.position) != (before.server, before.position):
                return False
            deleted = self._log.deleted_after(seen_at) if changes else set()
            if any(
                not deleted.isdisjoint((one.orthanc_id, one.study_orthanc_id, one.patient_orthanc_id))
                for one in changes
            ):
                return False
            state.server, state.position = after.server, after.position
            state.save(using=self._log.using)
            self._log.append(changes)
        return True


def _whole(found: OrthancChanges) -> list[OrthancChange]:
    """Return entries without an instance at the end, of whose new series, study and patient some may follow."""
    if found.done:
        return found.changes
    last = max((n for n, one in enumerate(found.changes) if one.type == NEW_INSTANCE), default=0)
    is_partial = last and len(found.changes) - last <= len(Level.INSTANCE.above)
    return found.changes[:last] if is_partial else found.changes


def _changes(entries: Sequence[OrthancChange], identities: Identities) -> list[Change]:
    """Return what entries are in the log, in their order: what is above first, and updates where the last one was."""
    new = {one.id for one in entries if _KINDS.get(one.type) is Kind.ADDED}
    changes: dict[tuple[Kind, str], Change] = {}
    for entry in entries:
        kind = Kind.UPDATED if entry.type == NEW_INSTANCE else _KINDS.get(entry.type)
        if kind is None:
            continue
        for one in identities.line(entry.id):
            if one.orthanc_id in new:
                changes.setdefault((Kind.ADDED, one.orthanc_id), replace(one, kind=Kind.ADDED))
            is_updated = kind is Kind.UPDATED and one.level is not Level.PATIENT and one.orthanc_id not in new
            if is_updated or (kind is Kind.STABLE and one.orthanc_id == entry.id):
                changes.pop((kind, one.orthanc_id), None)
                changes[kind, one.orthanc_id] = replace(one, kind=kind)
    return list(changes.values())
