"""Reads the series that are replaced: as few times as possible, for an archive takes seconds to list thousands."""

from bisect import bisect_right
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import parts
from orthancproxy.dicom.conversion import References
from orthancproxy.jobs.copying import digest_of, series_of
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.moves import MovedSeries, ReplacementProgress
from orthancproxy.jobs.work import WorkContext


@dataclass(slots=True)
class _Memory:
    """What this process has read: the instances of series while one is worked on, and what references become.

    Also what follows from that and takes time for thousands: digests, and the Orthanc ids of copies.
    """

    place: tuple[str, int, str, int] | None = None
    series: dict[str, list[Resource] | None] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    targets: dict[str, frozenset[str]] = field(default_factory=dict)
    known: tuple[str, int, int] | None = None
    references: list[References] = field(default_factory=list)
    # also of what has been deleted since
    round: tuple[str, int] | None = None
    uids: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    # the copies of an attempt in a series that are left to delete
    undoing: tuple[tuple[str, str] | None, list[Sequence[str]]] = (None, [])


class SeriesReader:
    """Reads for one step of a job, with what this process has read in earlier ones. Methods raise ArchiveError."""

    def __init__(self, context: WorkContext, job: Job, progress: ReplacementProgress) -> None:
        self._client = context.client
        self._progress = progress
        self._memory: _Memory = context.memory.setdefault(job.pk, _Memory())

    def add_series(self) -> None:
        """Add what there is of the moved series in the archive."""
        progress = self._progress
        studies = list(dict.fromkeys(move.study for move in progress.moves))
        plan = LevelPlan(level=Level.STUDY, related={"series": LevelPlan(level=Level.SERIES)})
        found = {one.orthanc_id: one for one in Hierarchy(self._client).by_ids(plan, studies, as_stored=True)}
        for number, move in enumerate(progress.moves):
            study = found.get(move.study)
            for series in study.related["series"] if study else ():
                if move.series is None or series.orthanc_id in move.series:
                    progress.add(number, series.orthanc_id, series.tags["SeriesInstanceUID"])

    def instances(self, orthanc_id: str) -> list[Resource] | None:
        """Return the instances of a series as they were when this process began to work on the current one."""
        memory = self._memory
        if memory.place != self._place:
            memory.place, memory.series, memory.digests, memory.targets = self._place, {}, {}, {}
        if orthanc_id not in memory.series:
            memory.series[orthanc_id] = series_of(self._client, orthanc_id)
        return memory.series[orthanc_id]

    def left(self, orthanc_id: str) -> Sequence[Resource]:
        """Return the instances of `instances` that are not done."""
        instances = self.instances(orthanc_id) or []
        return instances[_done(instances, self._progress.after) :]

    def digest(self, orthanc_id: str) -> str:
        """Return the digest of the instances of `instances`."""
        instances, digests = self.instances(orthanc_id) or [], self._memory.digests
        if orthanc_id not in digests:
            digests[orthanc_id] = digest_of(instances)
        return digests[orthanc_id]

    def targets(self, moved: MovedSeries) -> frozenset[str]:
        """Return the Orthanc ids of the copies that there are to be of the instances of `instances`."""
        instances, targets = self.instances(moved.series), self._memory.targets
        if moved.series not in targets:
            targets[moved.series] = self._targets(moved, instances)
        return targets[moved.series]

    def share(self) -> float:
        """Return how much is done of the current series, from 0 to 1, as far as this process has read it."""
        memory, progress = self._memory, self._progress
        if memory.place != self._place or progress.at >= len(progress.series):
            return 0.0
        instances = memory.series.get(progress.series[progress.at].series)
        return _done(instances, progress.after) / len(instances) if instances else 0.0

    def next_copies(self, moved: MovedSeries, *, is_alone: bool) -> Sequence[str]:
        """Return the Orthanc ids of copies that are left to delete, not too many at once; none if that was all.

        Unless the job `is_alone` with these UIDs, what else is there was not made by it, or by a process that has died
        if its original is gone as well.
        """
        place, left = self._memory.undoing
        if place != (self._progress.seed, moved.target) or not left:
            # also what has arrived since the others were listed
            there = frozenset(one.orthanc_id for one in series_of(self._client, moved.target) or ())
            if there and not is_alone:
                there &= self._targets(moved, series_of(self._client, moved.series)) | self.made
            left = list(parts(sorted(there)))
        self._memory.undoing = (self._progress.seed, moved.target), left[1:]
        return left[0] if left else ()

    @property
    def _place(self) -> tuple[str, int, str, int]:
        progress = self._progress
        return progress.seed, progress.round, progress.phase, progress.at

    def _targets(self, moved: MovedSeries, instances: Sequence[Resource] | None) -> frozenset[str]:
        return frozenset(self._progress.target_of(moved, one.tags["SOPInstanceUID"]) for one in instances or ())

    @property
    def made(self) -> set[str]:
        """The Orthanc ids of the copies that this process has made."""
        return self._memory.made

    def references(self, number: int) -> References:
        """Return what references become in a move."""
        memory, progress = self._memory, self._progress
        known = (progress.seed, progress.round, len(progress.series))
        if memory.known != known:
            memory.known, memory.references = known, self._all_references()
        return memory.references[number]

    def _all_references(self) -> list[References]:
        """What references become, by move: those to what is moved itself, or was before it was deleted."""
        memory, moves = self._memory, self._progress.moves
        place = (self._progress.seed, self._progress.round)
        if memory.round != place:
            memory.round, memory.uids = place, {}
        uids = memory.uids
        uids |= {move.study_uid: move.target_uid for move in moves if move.series is None}
        # several studies may have a series with the same UID
        of_move: list[dict[str, str]] = [{} for _ in moves]
        for moved in self._progress.series:
            move = moves[moved.move]
            if not move.keeps_uids:
                uids[moved.uid] = of_move[moved.move][moved.uid] = moved.target_uid
                for one in series_of(self._client, moved.series) or ():
                    old = one.tags["SOPInstanceUID"]
                    uids[old] = self._progress.new_uid(move, old)
        return [
            References(
                uids=ChainMap(own, uids),
                study_instance_uid=move.target_uid,
                old_study_uids=frozenset({move.study_uid} if move.series is None else ()),
            )
            for move, own in zip(moves, of_move, strict=True)
        ]


def _done(instances: Sequence[Resource], after: str) -> int:
    """The number of instances that are done, of those in order: up to the one `after` which it goes on."""
    return bisect_right(instances, after, key=lambda one: one.orthanc_id)
