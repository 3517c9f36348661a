"""Builds the index, and keeps it current."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from threading import Lock
from typing import Any

from orthancproxy.archive import parsing
from orthancproxy.archive.decoding import batched, bulk_content, find_pages, to_resources
from orthancproxy.archive.index import (
    INDEXED_LEVELS,
    NO_INDEX,
    Index,
    IndexChanged,
    IndexStage,
    IndexStatus,
    IndexUnavailable,
    Progress,
)
from orthancproxy.archive.keywords import tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import any_of, can_be_listed
from orthancproxy.archive.records import Patient, Resource
from orthancproxy.archive.scope import Scope
from orthancproxy.errors import ArchiveTimeout, ArchiveUnavailable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.deadline import clip_to_deadline
from orthancproxy.orthanc.responses import CHANGES_DECODER, ID_LIST_DECODER, STATISTICS_DECODER

logger = logging.getLogger(__name__)

PAGE = 1000
# of one level: with more, Orthanc answers until the follower has read them
MAX_ADDED_IN_REQUEST = 50
# Orthanc scans its archive for the modalities of each call, of one study or of 25,000 (1.13.0)
STUDIES_PER_SCAN = 25_000
# so few that others who write do not wait long
WRITTEN_AT_ONCE = 1000
# so few that they are read between two writes of others
REFRESHED_AT_ONCE = 100
LOOKS_BETWEEN_SWEEPS = 5
# half of it, for another thread that catches up
MAX_WAIT_SECONDS = 2.0
# more have hardly been missed: it is another archive
MAX_MISSED = 1000
# LastUpdate has whole seconds
CLOCK_TOLERANCE = timedelta(seconds=2)
# longer than from one sweep to the next
UNSETTLED = timedelta(seconds=15)
_TIMESTAMP = "%Y%m%dT%H%M%S"
_CONTENT = ["MainDicomTags", "Metadata", "Parent"]


class IndexKeeper:
    """Keeps an index of the archive of one Orthanc, 1.12.5 or newer. Safe for threads.

    `report` is called at least once for every STUDIES_PER_SCAN studies of a build, and returns whether to go on;
    `on_removed` is called with the entries of what was deleted.
    """

    def __init__(
        self,
        client: OrthancClient,
        index: Index,
        report: Callable[[], bool] = lambda: True,
        on_removed: Callable[[Sequence[Resource]], object] = bool,
    ) -> None:
        self._client = client
        self._index = index
        self._report = report
        self._on_removed = on_removed
        self._catching_up = Lock()
        self._looks = 0
        # deletions leave no trace, and a gateway that starts has not seen any
        self._has_deletions = True
        self._was_away = False
        self._seen: object = None

    def current_index(self, *, by_update: bool = True) -> Index | None:
        """Return the index with all that was added to the archive so far; None if it is not built, or lacks too much.

        Unless `by_update`, without the LastUpdate of what only got more instances.
        """
        return self._current(MAX_ADDED_IN_REQUEST, by_update=by_update)

    def _current(self, most: float, *, by_update: bool) -> Index | None:
        progress = self._index.progress()
        if not progress.is_ready:
            return None
        last = self._last_change()
        if last == progress.last_change:
            return self._index
        if last > progress.last_change and not by_update and not self._has_additions(progress.last_change):
            return self._index
        # Orthanc answers if that takes longer
        if not self._catching_up.acquire(timeout=clip_to_deadline(MAX_WAIT_SECONDS) / 2):
            return None
        try:
            # another thread may have done it
            progress = self._index.progress()
            if not progress.is_ready:
                return None
            last = self._last_change()
            if last < progress.last_change and not self._compare_ids():
                return None
            is_current = last == progress.last_change or self._catch_up(progress, last, CLOCK_TOLERANCE, most)
        finally:
            self._catching_up.release()
        return self._index if is_current else None

    def refresh(self, level: Level, entries: Sequence[Resource]) -> None:
        """Replace these entries, and those above and below them. Raises like `current_index`."""
        for start in range(0, len(entries), REFRESHED_AT_ONCE):
            while not self._refresh(level, entries[start : start + REFRESHED_AT_ONCE]):
                pass

    def _refresh(self, level: Level, entries: Sequence[Resource]) -> bool:
        """Return False if others have written entries while Orthanc was read."""
        version = self._index.progress().version
        found = self._found(level, level, entries)
        gone = {level: {one.orthanc_id for one in entries} - {one.orthanc_id for one in found}}
        if level is Level.PATIENT:
            indexed = self._index.ids(Level.STUDY, [one.orthanc_id for one in entries])
            studies = self._found(Level.STUDY, level, found)
            gone[Level.STUDY] = indexed - {study.orthanc_id for study in studies}
        else:
            studies = found
            # patients have their PatientID from their studies
            found = self._found(Level.PATIENT, Level.PATIENT, [_patient_of(study) for study in studies])
        try:
            removed = self._index.write([*found, *self._with_modalities(studies)], gone, version)
        except IndexChanged:
            return False
        # others may have been deleted with them
        self._has_deletions |= bool(gone[level])
        if removed:
            self._on_removed(removed)
        return True

    def removed(self, level: Level, ids: Collection[str]) -> None:
        """Remove the entries of what was deleted from the archive. Raises IndexUnavailable."""
        if level in INDEXED_LEVELS:
            for part in batched(ids):
                if entries := self._index.write([], {level: part}):
                    self._on_removed(entries)

    def status(self, scope: Scope) -> IndexStatus:
        """Return the state of the index for a caller with this scope. Raises ArchiveError."""
        try:
            progress = self._index.progress()
            studies = None if scope.labels else self._index.count(Level.STUDY, scope)
        except IndexUnavailable:
            return IndexStatus(IndexStage.UNAVAILABLE)
        if studies is None or not self._client.capabilities().has_extended_find:
            return NO_INDEX
        stage = IndexStage.READY if progress.is_ready else IndexStage.BUILDING
        # it would tell when hidden studies arrive
        return IndexStatus(stage, studies, None if scope.is_restricted else progress.updated_at)

    def look(self) -> None:
        """Do what is due: about once a second, in one process of the deployment. Raises like `current_index`."""
        if not self._client.capabilities().has_extended_find:
            return
        try:
            if self._was_away:
                # lists come from the index while it is built again
                self._compare_ids()
            if not self._index.progress().is_ready or self._was_away:
                self.build()
            elif self.sweep() if self._looks % LOOKS_BETWEEN_SWEEPS == 0 else self._current(inf, by_update=False):
                self._looks += 1
        except ArchiveUnavailable as error:
            # what starts again may have another state
            self._was_away |= not isinstance(error, ArchiveTimeout)
            raise

    def build(self) -> None:
        """Index all patients and studies. Raises like `current_index`."""
        logger.info("building the index")
        last, now = self._last_change(), self._now()
        newest, version = "", self._index.progress().version
        for level in INDEXED_LEVELS:
            requested = {"RequestedTags": [tag_of("ModalitiesInStudy")]} if level is Level.STUDY else {}
            for found in self._pages(level, requested, limit=STUDIES_PER_SCAN):
                version = self._put(found, version)
                newest = max([newest, *_updates(found)])
                if not self._report():
                    logger.info("another process builds the index")
                    return
        self._compare_ids(maximum=None)
        self._index.advance(Progress(is_ready=True, last_change=last, newest_update=min(newest, now)))
        self._was_away = False
        logger.info("the index is built")

    def reset(self) -> None:
        """Let no list come from the index until it is built again. Raises IndexUnavailable."""
        self._index.advance(Progress())

    def sweep(self) -> bool:
        """Remove what was deleted behind the gateway, and add what was missed; return whether the index is current.

        Raises like `current_index`.
        """
        statistics = self._client.call(endpoints.STATISTICS, decoder=STATISTICS_DECODER)
        # afterwards, or as many additions as deletions would hide them
        if not self._current(inf, by_update=False):
            return False
        counts = statistics.count_patients, statistics.count_studies
        if self._has_deletions or counts != tuple(map(self._index.count, INDEXED_LEVELS)):
            self._has_deletions = False
            if not self._compare_ids():
                return False
        progress = self._index.progress()
        seen = statistics, progress.last_change
        if seen != self._seen:
            # series and instances that were deleted have renewed the LastUpdate of their study
            with self._catching_up:
                self._catch_up(progress, progress.last_change, UNSETTLED)
        self._seen = seen
        return True

    def _catch_up(self, progress: Progress, last: int, tolerance: timedelta, most: float = inf) -> bool:
        """Index what was added since, which renews the LastUpdate of its study and patient.

        Return False if the index is reset, or lacks more than about `most` patients or studies.
        """
        newest, is_known, now = progress.newest_update, False, self._now()
        version = self._index.progress().version
        if _before(newest, UNSETTLED) > now:
            # Orthanc's clock was set back: what is updated next is not the newest
            self.reset()
            return False
        for level in INDEXED_LEVELS:
            count = 0
            for changed in self._updated_since(level, progress.newest_update, tolerance):
                if (count := count + len(changed)) >= most:
                    return False
                version = self._put(self._with_modalities(changed), version)
                newest = max([newest, *_updates(changed)])
                is_known |= bool(changed)
        # what was updated last is gone, perhaps with all the rest
        if not is_known and not self._compare_ids():
            return False
        is_noted = self._index.advance(replace(progress, last_change=last, newest_update=min(newest, now)), progress)
        # else another process has caught up too, or reset it
        return is_noted or self._index.progress().is_ready

    def _updated_since(self, level: Level, update: str, tolerance: timedelta) -> Iterator[list[Resource]]:
        """Yield what was updated since, in pages, newest first."""
        since = _before(update, tolerance)
        order = [{"Type": "Metadata", "Key": "LastUpdate", "Direction": "DESC"}]
        for found in self._pages(level, {"OrderBy": order}, limit=MAX_ADDED_IN_REQUEST):
            recent = [one for one in found if (one.facts["LastUpdate"] or "") >= since]
            if recent:
                yield recent
            if len(recent) < len(found):
                return

    def _pages(self, level: Level, body: dict[str, Any], limit: int = PAGE) -> Iterator[list[Resource]]:
        """Yield what a find finds, like `find_pages`."""
        body = {"Level": level.value, "Query": {}, "Short": True, "ResponseContent": _CONTENT, **body}
        for found in find_pages(self._client, body, limit, max(limit, PAGE)):
            yield to_resources(level, found)

    def _compare_ids(self, maximum: int | None = MAX_MISSED) -> bool:
        """Remove the entries of what is gone, and add what is missing.

        If more than this maximum is, it is another archive: reset the index, and return False.
        """
        # from now on, nobody writes what was read before
        self._index.write([], {})
        version = self._index.progress().version
        # first, since others index what arrives in between
        indexed = {level: self._index.ids(level) for level in INDEXED_LEVELS}
        present = {level: self._ids(level) for level in INDEXED_LEVELS}
        missing = {level: sorted(ids - indexed[level]) for level, ids in present.items()}
        if maximum is not None and sum(map(len, missing.values())) > maximum:
            self.reset()
            return False
        for level in INDEXED_LEVELS:
            self.removed(level, indexed[level] - present[level])
            for part in batched(missing[level]):
                found = to_resources(level, bulk_content(self._client, part))
                version = self._put(self._with_modalities(found), version)
        return True

    def _put(self, found: Sequence[Resource], version: int) -> int:
        """Index what Orthanc had since the index had this version, or if others have written entries, what it has now.

        Return the version for what is read next.
        """
        for start in range(0, len(found), WRITTEN_AT_ONCE):
            try:
                self._index.write(found[start : start + WRITTEN_AT_ONCE], {}, version)
                version += 1
            except IndexChanged:
                for level in INDEXED_LEVELS:
                    self.refresh(level, [one for one in found[start:] if one.level is level])
                return self._index.progress().version
        return version

    def _ids(self, level: Level) -> set[str]:
        """Return the Orthanc ids of all resources of a level."""
        if level is Level.PATIENT and not self._client.capabilities().has_patient_routes:
            return {patient.orthanc_id for found in self._pages(level, {}) for patient in found}
        return set(self._client.call(endpoints.RESOURCE_IDS, decoder=ID_LIST_DECODER, level=level.path))

    def _found(self, level: Level, above: Level, entries: Sequence[Resource]) -> list[Resource]:
        """Return the resources of a level that these entries are of, or that are below them."""
        identifiers = {one.orthanc_id: one.tags.get(above.identifier, "") for one in entries}
        bodies: list[dict[str, Any]] = [
            {"Query": {tag_of(above.identifier): any_of(part)}}
            for part in batched(dict.fromkeys(filter(can_be_listed, identifiers.values())))
        ]
        bodies += [{f"Parent{above.value}": one} for one, value in identifiers.items() if not can_be_listed(value)]
        found = [one for body in bodies for part in self._pages(level, body) for one in part]
        return [one for one in found if (one.orthanc_id if level is above else one.parent_id) in identifiers]

    def _has_additions(self, since: int) -> bool:
        """Whether patients, studies or series were added. Without extended changes, instances count too."""
        query = f"since={since}&limit=1&type=NewPatient;NewStudy;NewSeries"
        return bool(self._client.call(endpoints.CHANGES, query=query, decoder=CHANGES_DECODER).changes)

    def _with_modalities(self, found: Sequence[Resource]) -> list[Resource]:
        """Return the same patients, or studies with the modalities of their series."""
        studies = [one for one in found if one.level is Level.STUDY]
        modalities: dict[str, set[str]] = {study.orthanc_id: set() for study in studies}
        for series in self._found(Level.SERIES, Level.STUDY, studies):
            modalities[series.parent_id or ""].update((series.tags.get("Modality") or "").split("\\"))
        joined = {one: {"ModalitiesInStudy": "\\".join(sorted(values))} for one, values in modalities.items()}
        return [replace(one, tags={**one.tags, **joined.get(one.orthanc_id, {})}) for one in found]

    def _now(self) -> str:
        """Return Orthanc's time, like a LastUpdate; if Orthanc does not tell, one after all others."""
        shown = self._client.clock.shown()
        return "~" if shown is None else datetime.fromtimestamp(shown, UTC).strftime(_TIMESTAMP)

    def _last_change(self) -> int:
        return int(self._client.call(endpoints.CHANGES, query="last", decoder=CHANGES_DECODER).last)


def _before(update: str, duration: timedelta) -> str:
    """Return the LastUpdate of so much earlier; empty if this one is."""
    moment = parsing.timestamp(update)
    return (moment - duration).strftime(_TIMESTAMP) if moment else ""


def _patient_of(study: Resource) -> Resource:
    """Return a stand-in for the patient of a study, with its PatientID."""
    return Patient(study.parent_id or "", None, study.tags, {})


def _updates(resources: Iterable[Resource]) -> list[str]:
    return [update for one in resources if one.level is Level.STUDY and (update := one.facts["LastUpdate"])]
