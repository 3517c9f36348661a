"""Reads the series that are replaced: as few times as possible, for an archive takes seconds to list thousands."""

from collections import ChainMap
from dataclasses import dataclass, field

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.dicom.conversion import References
from orthancproxy.jobs.copying import series_of
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.moves import ReplacementProgress
from orthancproxy.jobs.work import WorkContext


@dataclass(slots=True)
class _Memory:
    """What this process has read: the instances of series while one is worked on, and what references become."""

    place: tuple[str, int, str, int] | None = None
    series: dict[str, list[Resource] | None] = field(default_factory=dict)
    known: tuple[str, int, int] | None = None
    references: list[References] = field(default_factory=list)
    # also of what has been deleted since
    round: tuple[str, int] | None = None
    uids: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)


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
        memory, progress = self._memory, self._progress
        place = (progress.seed, progress.round, progress.phase, progress.at)
        if memory.place != place:
            memory.place, memory.series = place, {}
        if orthanc_id not in memory.series:
            memory.series[orthanc_id] = series_of(self._client, orthanc_id)
        return memory.series[orthanc_id]

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
