"""Builds the index, and keeps it current."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from math import inf
from threading import Lock

from orthancproxy.archive.decoding import batched
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
from orthancproxy.archive.index_source import IndexSource, before
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.archive.scope import Scope
from orthancproxy.errors import ArchiveTimeout, ArchiveUnavailable
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.deadline import clip_to_deadline

logger = logging.getLogger(__name__)

# of one level: with more, Orthanc answers until the follower has read them
MAX_ADDED_IN_REQUEST = 50
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


class IndexKeeper:
    """Keeps an index of the archive of one Orthanc, 1.12.5 or newer. Safe for threads.

    `report` is called at least once for every page of a build, and returns whether to go on;
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
        self._source = IndexSource(client)
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
        last = self._source.last_change()
        if last == progress.last_change:
            return self._index
        if last > progress.last_change and not by_update and not self._source.has_additions(progress.last_change):
            return self._index
        # Orthanc answers if that takes longer
        if not self._catching_up.acquire(timeout=clip_to_deadline(MAX_WAIT_SECONDS) / 2):
            return None
        try:
            # another thread may have done it
            progress = self._index.progress()
            if not progress.is_ready:
                return None
            last = self._source.last_change()
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
        found = self._source.again(level, entries)
        gone = {level: {one.orthanc_id for one in entries} - {one.orthanc_id for one in found}}
        if level is Level.PATIENT:
            indexed = self._index.ids(Level.STUDY, [one.orthanc_id for one in entries])
            related = self._source.studies_of(found)
            gone[Level.STUDY] = indexed - {study.orthanc_id for study in related}
        else:
            related = self._source.patients_of(found)
        try:
            removed = self._index.write([*found, *related], gone, version)
        except IndexChanged:
            return False
        # others may have been deleted with them
        self._has_deletions |= bool(gone[level])
        if removed:
            self._on_removed(removed)
        return True

    def removed(self, level: Level, ids: Collection[str]) -> None:
        """Remove the entries of what was deleted from the archive, unless it is there again.

        Raises like `current_index`.
        """
        if level in INDEXED_LEVELS:
            for part in batched(ids):
                while not self._remove(level, part):
                    pass

    def _remove(self, level: Level, ids: Collection[str]) -> bool:
        """Return False if others have written entries while Orthanc was read: also what has been stored again."""
        version = self._index.progress().version
        left = {one.orthanc_id for found in self._source.by_ids(level, ids) for one in found}
        try:
            entries = self._index.write([], {level: set(ids) - left}, version)
        except IndexChanged:
            return False
        if entries:
            self._on_removed(entries)
        return True

    def status(self, scope: Scope, hidden: Collection[str] = ()) -> IndexStatus:
        """Return the state of the index for a caller with this scope, without hidden studies. Raises ArchiveError."""
        try:
            progress = self._index.progress()
            studies = None if scope.labels else self._index.count(Level.STUDY, scope, hidden)
        except IndexUnavailable:
            return IndexStatus(IndexStage.UNAVAILABLE)
        if studies is None or not self._client.capabilities().has_extended_find:
            return NO_INDEX
        stage = IndexStage.READY if progress.is_ready else IndexStage.BUILDING
        # it would tell when hidden studies arrive
        return IndexStatus(stage, studies, None if scope.is_restricted else progress.updated_at)

    def lag(self) -> int:
        """Return how many changes Orthanc has had since the first addition that is not indexed. Raises like `status`.

        Raises IndexUnavailable, too.
        """
        known, last = self._index.progress().last_change, self._source.last_change()
        return last - known if last > known and self._source.has_additions(known) else 0

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
        last, now = self._source.last_change(), self._source.now()
        newest, version = "", self._index.progress().version
        for level in INDEXED_LEVELS:
            for found in self._source.everything(level):
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
        statistics = self._source.statistics()
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
        newest, is_known, now = progress.newest_update, False, self._source.now()
        version = self._index.progress().version
        if before(newest, UNSETTLED) > now:
            # Orthanc's clock was set back: what is updated next is not the newest
            self.reset()
            return False
        for level in INDEXED_LEVELS:
            count = 0
            for changed in self._source.updated_since(level, progress.newest_update, tolerance):
                if (count := count + len(changed)) >= most:
                    return False
                version = self._put(self._source.with_modalities(changed), version)
                newest = max([newest, *_updates(changed)])
                is_known |= bool(changed)
        # what was updated last is gone, perhaps with all the rest
        if not is_known and not self._compare_ids():
            return False
        is_noted = self._index.advance(replace(progress, last_change=last, newest_update=min(newest, now)), progress)
        # else another process has caught up too, or reset it
        return is_noted or self._index.progress().is_ready

    def _compare_ids(self, maximum: int | None = MAX_MISSED) -> bool:
        """Remove the entries of what is gone, and add what is missing.

        If more than this maximum is, it is another archive: reset the index, and return False.
        """
        # from now on, nobody writes what was read before
        self._index.write([], {})
        version = self._index.progress().version
        # first, since others index what arrives in between
        indexed = {level: self._index.ids(level) for level in INDEXED_LEVELS}
        present = {level: self._source.ids(level) for level in INDEXED_LEVELS}
        missing = {level: sorted(ids - indexed[level]) for level, ids in present.items()}
        if maximum is not None and sum(map(len, missing.values())) > maximum:
            self.reset()
            return False
        for level in INDEXED_LEVELS:
            self.removed(level, indexed[level] - present[level])
            for found in self._source.by_ids(level, missing[level]):
                version = self._put(found, version)
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


def _updates(resources: Iterable[Resource]) -> list[str]:
    return [update for one in resources if one.level is Level.STUDY and (update := one.facts["LastUpdate"])]
