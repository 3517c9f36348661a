"""Replaces series by corrected copies: all are copied, all are compared, and only then are the originals deleted.

Everything is carried out instance by instance, and can be repeated: UIDs are derived, so that a copy is stored once
however often a process dies. An instance without a copy is never deleted: one that arrives meanwhile is moved too.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import msgspec

from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import delete, delete_instances, exists
from orthancproxy.archive.trash import are_in_trash
from orthancproxy.conf import conf
from orthancproxy.database import shared_lock
from orthancproxy.dicom.correctable import tag_of
from orthancproxy.dicom.correction import Correction
from orthancproxy.errors import InvalidRequest, NotFound
from orthancproxy.jobs.annotations import annotate, annotate_instance
from orthancproxy.jobs.copying import compare, copy_instance, files_of
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.moves import Move, MovedSeries, ReplacementProgress, derived_uid, progress_of
from orthancproxy.jobs.replaced import changes_of, changes_of_undoing, refresh_patients
from orthancproxy.jobs.rows import advance, is_unchanged
from orthancproxy.jobs.series_reader import SeriesReader
from orthancproxy.jobs.work import Outcome, WorkContext
from orthancproxy.orthanc.client import OrthancClient

MAX_SECONDS = 0.7
COPY, COMPARE, DELETE = "copy", "compare", "delete"
# of the progress of the whole; comparing reads twice what copying reads and writes
_BEGIN_OF: Mapping[str, float] = {COPY: 0.0, COMPARE: 0.45, DELETE: 0.85}
_DELETED = "What was to be changed has been deleted."

Planner = Callable[[OrthancClient, Job, str], list[list[Move]]]


class _PausedError(Exception):
    """The time of this step is over, or another process has taken over."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """A kind of job that replaces series. `plan` returns what is moved, in rounds, for a job and a seed of UIDs."""

    plan: Planner
    max_seconds: float = MAX_SECONDS

    def begin(self, _context: WorkContext, _job: Job, _token: str) -> None:
        """Leave all to `conclude`: Orthanc's own modification loses text (1.10.1 to 1.13.0, ADR 0033)."""
        return

    def progress(self, _job: Job, _orthancs: float) -> float:
        """Return nothing: Orthanc has no job."""
        return 0.0

    def conclude(self, context: WorkContext, job: Job) -> Outcome | None:
        """Do a part. Raises what the archive raises, and InvalidRequest if the archive has changed in between."""
        progress = progress_of(job.stage)
        if progress is None:
            # the token of the attempt is as good as a random number
            progress = ReplacementProgress(seed=job.attempt, rounds=self.plan(context.client, job, job.attempt))
        replacement = _Replacement(context, job, progress, monotonic() + self.max_seconds)
        try:
            return replacement.run()
        except _PausedError:
            return None

    def undo(self, context: WorkContext, job: Job) -> bool:
        """Delete the copies of an attempt that has deleted no original."""
        progress = progress_of(job.stage)
        if progress is None:
            return True
        replacement = _Replacement(context, job, progress, monotonic() + self.max_seconds)
        try:
            replacement.undo()
        except _PausedError:
            return False
        # another attempt has another seed
        return advance(job, stage={name: value for name, value in job.stage.items() if name != "replacing"})


class _Replacement:
    """A step of a job. Methods raise _PausedError when its time is over."""

    def __init__(self, context: WorkContext, job: Job, progress: ReplacementProgress, deadline: float) -> None:
        self._context = context
        self._client = context.client
        self._job = job
        self._progress = progress
        self._deadline = deadline
        self._reader = SeriesReader(context, job, progress)

    def run(self) -> Outcome:
        progress = self._progress
        self._check_trash()
        if not progress.series:
            self._reader.add_series()
            if not progress.series:
                raise NotFound(_DELETED)
            self._save()
        phases = {COPY: self._copy, COMPARE: self._compare, DELETE: self._delete}
        while True:
            while progress.at < len(progress.series):
                phases[progress.phase](progress.series[progress.at])
            if progress.phase == COPY:
                progress.go_to(COMPARE, self._first_left())
            elif progress.phase == COMPARE:
                self._check_trash()
                progress.go_to(DELETE, self._first_left())
            else:
                if not self._is_committed:
                    raise NotFound(_DELETED)
                self._context.report(changes_of(self._client, self._progress))
                known = len(progress.series)
                self._reader.add_series()
                if len(progress.series) > known:
                    # what has arrived meanwhile
                    progress.go_to(COPY, known)
                elif progress.round + 1 < len(progress.rounds):
                    progress.round, progress.series = progress.round + 1, []
                    progress.rounds[progress.round] = [self._with_labels(move) for move in progress.moves]
                    progress.go_to(COPY)
                    self._reader.add_series()
                else:
                    return self._outcome()
            self._save()

    def undo(self) -> None:
        ours = [moved for moved in self._progress.series if moved.is_ours]
        for moved in ours:
            self._remove(moved)
        self._reader.made.clear()
        self._context.report(changes_of_undoing(self._client, self._progress, ours))

    def _check_trash(self) -> None:
        """Raise NotFound if it has been deleted. When originals are being deleted, it is too late for that."""
        if not self._is_committed and are_in_trash(self._client, self._job.studies):
            raise NotFound(_DELETED)

    def _remove(self, moved: MovedSeries) -> None:
        move = self._progress.moves[moved.move]
        # nobody else has its UID, or that of its study
        is_alone = not move.keeps_uids or move.target_uid == derived_uid(self._progress.seed, move.study_uid)
        while copies := self._reader.next_copies(moved, is_alone=is_alone):
            with self._alone():
                delete_instances(self._client, copies)
            self._check_time()

    def _copy(self, moved: MovedSeries) -> None:
        progress, move = self._progress, self._progress.moves[moved.move]
        instances = self._reader.instances(moved.series)
        if instances is not None and not moved.is_ours:
            # when the originals are deleted, somebody may have sent them again: the copies are compared anyway
            if not self._is_committed and exists(self._client, Level.SERIES, moved.target):
                raise InvalidRequest("The archive has a series with the new identifiers already.")
            moved.is_ours = True
            self._save()
        is_annotated = bool(progress.after)
        for one in self._left(moved):
            target = self._target_of(moved, one)
            with self._alone():
                copy_instance(self._client, one.orthanc_id, self._correction(moved, one), target)
                self._reader.made.add(target)
                if not is_annotated:
                    # at once: labels decide who sees the new study
                    annotate(self._client, move, moved)
                    is_annotated = True
                annotate_instance(self._client, one, target)
            progress.after = one.orthanc_id
        self._next()

    def _compare(self, moved: MovedSeries) -> None:
        digest = self._reader.digest(moved.series)
        if digest != moved.proven:
            moved.proven, self._progress.after = digest, ""
        there = {one.orthanc_id for one in self._reader.instances(moved.target) or ()}
        expected = self._reader.targets(moved)
        if not expected <= there:
            self._progress.go_to(COPY, self._progress.at)
            return
        if there - expected and not self._is_committed:
            raise InvalidRequest("Instances were deleted while they were copied: nothing was changed.")
        moved.instances = max(moved.instances, len(there))
        values = self._progress.moves[moved.move].values
        for one in self._left(moved):
            compare(self._client, one.orthanc_id, self._target_of(moved, one), values)
            self._progress.after = one.orthanc_id
        self._next()

    def _delete(self, moved: MovedSeries) -> None:
        instances = self._reader.instances(moved.series)
        if self._reader.digest(moved.series) != moved.proven:
            # also what another process has left: which files it compared is not known one by one
            self._compare_again(moved)
            return
        if instances and not moved.is_begun:
            with self._alone():
                annotate(self._client, self._progress.moves[moved.move], moved, is_last=True)
            moved.is_begun = True
            # now or never: from here on there is no way back
            self._save(committed=True)
        for one in self._left(moved):
            target = self._target_of(moved, one)
            with self._alone():
                # what was listed is as old as the work on this series
                now = files_of(self._client, [one.orthanc_id, target])
                if one.orthanc_id in now:
                    if target not in now or now[one.orthanc_id] != one.facts.get("FileUuid"):
                        self._compare_again(moved)
                        return
                    self._delete_if_there(Level.INSTANCE, one.orthanc_id)
            self._progress.after = one.orthanc_id
        self._next()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process change the archive for this job within the block.

        A process that has stood still for a while would otherwise store or delete, when it wakes, what another one is
        through with: copies have the identifiers of originals in the second round. Raises _PausedError if another one
        has gone on with the job, and OperationalError if one stands still within its block.
        """
        with shared_lock(f"job {conf.ORTHANC_BASE_URL} {self._job.pk}").hold(exclusive=True):
            if not is_unchanged(self._job):
                raise _PausedError
            yield

    def _compare_again(self, moved: MovedSeries) -> None:
        """Compare what is left of a series, and the following ones, before more is deleted."""
        moved.is_begun = False
        self._progress.go_to(COMPARE, self._progress.at)

    def _left(self, moved: MovedSeries) -> Iterator[Resource]:
        """Yield the instances of a series that are not done, while there is time."""
        for one in self._reader.left(moved.series):
            yield one
            self._check_time()

    def _next(self) -> None:
        self._progress.go_to(self._progress.phase, self._progress.at + 1)
        self._check_time()

    def _first_left(self) -> int:
        """Return the first series of which no original has been deleted."""
        every = self._progress.series
        return next((at for at, one in enumerate(every) if not one.is_begun), len(every))

    def _target_of(self, moved: MovedSeries, instance: Resource) -> str:
        return self._progress.target_of(moved, instance.tags["SOPInstanceUID"])

    def _correction(self, moved: MovedSeries, instance: Resource) -> Correction:
        move = self._progress.moves[moved.move]
        return Correction(
            values={tag_of(keyword): value for keyword, value in move.values.items()},
            series_instance_uid=moved.target_uid,
            sop_instance_uid=self._progress.new_uid(move, instance.tags["SOPInstanceUID"]),
            references=self._reader.references(moved.move),
        )

    def _delete_if_there(self, level: Level, orthanc_id: str) -> None:
        try:
            delete(self._client, level, orthanc_id)
        except NotFound:
            return

    @property
    def _is_committed(self) -> bool:
        return bool(self._job.stage.get("committed"))

    def _check_time(self) -> None:
        if monotonic() > self._deadline:
            self._save()
            raise _PausedError

    def _save(self, *, committed: bool = False) -> None:
        """Write how far it is. Raises _PausedError if somebody else has changed the job."""
        stage: dict[str, Any] = {**self._job.stage, "replacing": msgspec.to_builtins(self._progress)}
        if committed:
            stage |= {"committed": True, "made": self._progress.made}
        if not advance(self._job, stage=stage, progress=self._share()):
            raise _PausedError

    def _share(self) -> float:
        """Return how much is done, from 0 to 1."""
        progress = self._progress
        phases = list(_BEGIN_OF)
        begin = _BEGIN_OF[progress.phase]
        ends = dict(zip(phases, [*map(_BEGIN_OF.__getitem__, phases[1:]), 1.0], strict=True))
        of_phase = (progress.at + self._reader.share()) / max(len(progress.series), 1)
        of_round = begin + (ends[progress.phase] - begin) * of_phase
        return float((progress.round + of_round) / len(progress.rounds))

    def _with_labels(self, move: Move) -> Move:
        """Return a move of the next round; what moves back to a study that is there takes no labels: it has its own."""
        if move.is_new or not exists(self._client, Level.STUDY, move.target_study):
            return move
        return msgspec.structs.replace(move, takes_labels=False)

    def _outcome(self) -> Outcome:
        progress = self._progress
        refresh_patients(self._client, progress)
        counts = {"instances": sum(one.instances for one in progress.series)}
        return Outcome(counts, {"studies": list(dict.fromkeys(move.target_study for move in progress.moves))})
