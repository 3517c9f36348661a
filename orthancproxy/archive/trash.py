"""The trash: studies that a label hides, until they are restored or deleted for good (Orthanc 1.12.0 and newer).

Label and note are in Orthanc, which has them as long as the study, whatever becomes of the gateway's database.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from orthancproxy.archive import labels, storage
from orthancproxy.archive.decoding import batched, bulk_content, find_pages, to_resources
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.trash_note import TrashNote
from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.capabilities import TRASH_LABEL
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import CHANGES_DECODER, RESOURCE_STATISTICS_DECODER, OrthancChanges


@dataclass(frozen=True, slots=True)
class _Kept:
    """The studies that were in the trash at a time, and the number of Orthanc's newest change before."""

    last: int
    at: float
    studies: list[Resource]


Lock = Callable[[str], AbstractContextManager[None]]
"""Keeps others from restoring and deleting the study with this Orthanc id within the block, in all processes."""

MAX_AGE_SECONDS = 5.0
_STUDY = Level.STUDY
_CONTENT = ["Labels", "MainDicomTags", "Metadata", "Parent"]
_WITH_NOTE = LevelPlan(level=_STUDY, needs=Needs(facts=frozenset({Fact.CHANGES, Fact.LABELS, Fact.TRASH})))


class Trash:
    """The trash of one Orthanc. Safe for threads.

    Unless it `is_on`, nothing comes into it: if it was empty when the capabilities were detected, it is.
    """

    def __init__(self, client: OrthancClient, lock: Lock, *, is_on: bool) -> None:
        self._client = client
        self._lock = lock
        self._is_on = is_on
        self._has_seen = False
        self._kept: _Kept | None = None

    @property
    def may_have_studies(self) -> bool:
        """Whether there can be studies in the trash, as far as this process has looked."""
        return self._is_on or self._has_seen

    @property
    def is_possible(self) -> bool:
        """Whether Orthanc has labels. Raises ArchiveError."""
        return self._client.capabilities().has_labels

    def studies(self) -> list[Resource]:
        """Return the studies that are in the trash now, with identifiers. Raises ArchiveError.

        They are kept as long as Orthanc's changes tell of no note, for MAX_AGE_SECONDS at most: notes are written after
        labels, too, but nothing tells of a label that others change in Orthanc.
        """
        if not ((self._is_on and self.is_possible) or self._client.capabilities().has_trash):
            return []
        kept, last = self._kept, self._changes("last").last
        if kept and time.monotonic() - kept.at < MAX_AGE_SECONDS and not self._has_notes(kept.last, last):
            self._kept = replace(kept, last=last)
            return kept.studies
        return self._keep(last)

    def read(self) -> list[Resource]:
        """Return the studies that are in the trash now, also with labels, LastUpdate and notes. Raises ArchiveError."""
        return self._keep(self._changes("last").last)

    def _keep(self, last: int) -> list[Resource]:
        at, found = time.monotonic(), studies_in_trash(self._client)
        self._has_seen = bool(found)
        self._kept = _Kept(last, at, found)
        return found

    def _has_notes(self, since: int, last: int) -> bool:
        """Whether notes may have been written or removed, or a study stored again that was deleted for good.

        Finding labels takes Orthanc longer (ADR 0036).
        """
        if last <= since or not self._client.capabilities().has_extended_find:
            return last != since
        return bool(self._changes(f"since={since}&type=UpdatedMetadata;NewStudy&limit=1").changes)

    def _changes(self, query: str) -> OrthancChanges:
        found: OrthancChanges = self._client.call(endpoints.CHANGES, query=query, decoder=CHANGES_DECODER)
        return found

    def put(self, study: Resource, instances: int, by: str, at: datetime) -> None:
        """Put a study into the trash, which must hold its LastUpdate. Raises NotFound and ArchiveError.

        `instances` is their number when LastUpdate was read.
        """
        note = TrashNote(at, by, study.facts.get("LastUpdate") or "", instances)
        with self._lock(study.orthanc_id):
            # nothing is hidden without a note
            self.note(study.orthanc_id, note)
            labels.add(self._client, _STUDY, study.orthanc_id, TRASH_LABEL)
            # others look for labels when they see that a note was written
            self.note(study.orthanc_id, note)

    def note(self, orthanc_id: str, note: TrashNote) -> None:
        """Note when a study was put into the trash, instead of what was noted before. Raises like `put`."""
        self._change_note(endpoints.WRITE_TRASH_NOTE, orthanc_id, note.as_text())

    def restore(self, orthanc_id: str) -> bool:
        """Take a study out of the trash; return False if it was not in it. Raises NotFound and ArchiveError."""
        with self._lock(orthanc_id):
            if not self.has(orthanc_id):
                return False
            labels.remove(self._client, _STUDY, orthanc_id, TRASH_LABEL)
            # there is none if somebody else has set the label
            with suppress(NotFound):
                self._change_note(endpoints.REMOVE_TRASH_NOTE, orthanc_id)
        return True

    def has(self, orthanc_id: str) -> bool:
        """Whether a study is in the trash now. Raises NotFound and ArchiveError."""
        return self.is_possible and TRASH_LABEL in labels.all_of(self._client, _STUDY, orthanc_id)

    def shown_studies(self, patient: str, trashed: Collection[str]) -> set[str]:
        """Return the studies of a patient, by Orthanc ids, without those that are in the trash. Raises ArchiveError."""
        plan = LevelPlan(level=Level.PATIENT, related={"studies": LevelPlan(level=_STUDY)})
        found = Hierarchy(self._client).by_ids(plan, [patient], as_stored=True)
        return {study.orthanc_id for one in found for study in one.related["studies"]}.difference(trashed)

    def is_unchanged(self, study: Resource) -> bool:
        """Whether a study is in the trash, with the LastUpdate and the note that it was read with.

        Raises NotFound if it is gone, and ArchiveError.
        """
        found = Hierarchy(self._client).by_ids(_WITH_NOTE, [study.orthanc_id], as_stored=True)
        if not found:
            raise NotFound("The study has been deleted.")
        [now] = found
        is_same = now.facts["LastUpdate"] == study.facts["LastUpdate"] and note_of(now) == note_of(study)
        # it may have been restored, and deleted again
        return is_same and self.has(study.orthanc_id)

    def delete(self, study: Resource) -> bool:
        """Delete a study for good if it `is_unchanged`; return whether it was. Raises NotFound and ArchiveError."""
        with self._lock(study.orthanc_id):
            if not self.is_unchanged(study):
                return False
            storage.delete(self._client, _STUDY, study.orthanc_id, self._count(study.orthanc_id))
        return True

    def has_arrived(self, study: Resource) -> bool:
        """Whether instances have arrived in a study since it was put into the trash. Raises ArchiveError."""
        note = note_of(study)
        if note.at is None:
            return False
        count = self._count(study.orthanc_id)
        if count is None or note.instances is None:
            return count is not None and study.facts["LastUpdate"] != note.last_update
        # LastUpdate has whole seconds; what is deleted is no arrival
        is_updated = study.facts["LastUpdate"] != note.last_update
        return count > note.instances or (is_updated and count == note.instances)

    def _count(self, orthanc_id: str) -> int | None:
        try:
            found = self._client.call(
                endpoints.RESOURCE_STATISTICS, decoder=RESOURCE_STATISTICS_DECODER, level=_STUDY.path, id=orthanc_id
            )
        except NotFound:
            return None
        return int(found.count_instances)

    def _change_note(self, endpoint: endpoints.Endpoint, orthanc_id: str, content: bytes | None = None) -> None:
        try:
            self._send(endpoint, orthanc_id, content)
        except ArchiveRejected:
            # with `CheckRevisions`, Orthanc replaces and removes only what is named by its entity tag
            with closing(self._client.open(endpoints.TRASH_NOTE, id=orthanc_id)) as body:
                etag = body.etag
            self._send(endpoint, orthanc_id, content, etag)

    def _send(self, endpoint: endpoints.Endpoint, orthanc_id: str, content: bytes | None, etag: str = "") -> None:
        with closing(self._client.open(endpoint, content=content, if_match=etag, id=orthanc_id)) as body:
            for _ in body:
                pass


def studies_in_trash(client: OrthancClient) -> list[Resource]:
    """Return the studies in the trash, whatever the settings. Raises ArchiveError."""
    capabilities = client.capabilities()
    if not capabilities.has_labels:
        # it would ignore the label, and find everything
        return []
    content = {"ResponseContent": _CONTENT} if capabilities.has_extended_find else {"Expand": True}
    body: dict[str, Any] = {"Level": _STUDY.value, "Query": {}, "Short": True, **content}
    found = [
        study
        for page in find_pages(client, {**body, "Labels": [TRASH_LABEL], "LabelsConstraint": "All"})
        for study in to_resources(_STUDY, page)
    ]
    if found and not capabilities.has_extended_find:
        ids = [study.orthanc_id for study in found]
        described = [one for part in batched(ids) for one in bulk_content(client, part, with_metadata=True)]
        found = [one for one in to_resources(_STUDY, described) if TRASH_LABEL in (one.facts.get("Labels") or ())]
    return found


def are_in_trash(client: OrthancClient, studies: Collection[str]) -> bool:
    """Whether one of these studies, by their Orthanc ids, is in the trash. Raises ArchiveError."""
    return any(one.orthanc_id in studies for one in studies_in_trash(client))


def note_of(study: Resource) -> TrashNote:
    """Return the note of a study in the trash, an empty one if there is none."""
    return TrashNote.parse(study.facts.get("TrashNote"))


def due(studies: Sequence[Resource], now: datetime, days: float) -> list[Resource]:
    """Return the studies that have been in the trash for so many days."""
    limit = now - timedelta(days=days)
    return [one for one in studies if (at := note_of(one).at) is not None and at <= limit]
