"""Which jobs cannot go on at once: a study is replaced by one job at a time, and neither anonymized nor sent meanwhile.

Two corrections would each make copies of a study; an anonymization would miss what has been moved already, and another
server would get some instances as they were, and others as they will be.
"""

from collections.abc import Collection, Mapping

from orthancproxy.errors import InvalidRequest
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.moves import progress_of
from orthancproxy.jobs.rows import unfinished

_REPLACING = frozenset({JobKind.MODIFY, JobKind.MERGE, JobKind.MOVE})
_READING = frozenset({JobKind.ANONYMIZE, JobKind.SEND})
_EXCLUDED: Mapping[JobKind, Collection[JobKind]] = {
    **dict.fromkeys(_REPLACING, _REPLACING | _READING),
    **dict.fromkeys(_READING, _REPLACING),
}


def check_is_alone(kind: JobKind, studies: Collection[str]) -> None:
    """Raise InvalidRequest if a job about these studies, by their Orthanc ids, has to wait for another one."""
    for job in unfinished().filter(kind__in=_EXCLUDED.get(kind, ())):
        if not _studies_of(job).isdisjoint(studies):
            raise InvalidRequest(
                "Another job corrects, merges, moves, anonymizes or sends this study: wait for its end, or cancel it."
            )


def _studies_of(job: Job) -> set[str]:
    """Return the studies that a job reads, changes or makes."""
    made = {job.stage["study"]} if "study" in job.stage else set()
    if progress := progress_of(job.stage):
        made |= {move.target_study for moves in progress.rounds for move in moves}
    return made.union(job.studies)
