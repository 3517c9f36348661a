"""Which jobs cannot go on at once: a study is replaced by one job at a time, and not anonymized meanwhile.

Two corrections would each make copies of a study, and an anonymization would miss what has been moved already.
"""

from collections.abc import Collection, Mapping

from orthancproxy.errors import InvalidRequest
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.moves import progress_of
from orthancproxy.jobs.rows import unfinished

_REPLACING = frozenset({JobKind.MODIFY, JobKind.MERGE, JobKind.MOVE})
_EXCLUDED: Mapping[JobKind, Collection[JobKind]] = {
    **dict.fromkeys(_REPLACING, _REPLACING | {JobKind.ANONYMIZE}),
    JobKind.ANONYMIZE: _REPLACING,
}


def check_is_alone(kind: JobKind, studies: Collection[str]) -> None:
    """Raise InvalidRequest if a job about these studies, by their Orthanc ids, has to wait for another one."""
    for job in unfinished().filter(kind__in=_EXCLUDED.get(kind, ())):
        if not _studies_of(job).isdisjoint(studies):
            raise InvalidRequest(
                "A correction, a merge, a move or an anonymization of this study is going on: wait for its end."
            )


def _studies_of(job: Job) -> set[str]:
    """Return the studies that a job reads, changes or makes."""
    made = {job.stage["study"]} if "study" in job.stage else set()
    if progress := progress_of(job.stage):
        made |= {move.target_study for moves in progress.rounds for move in moves}
    return made.union(job.studies)
