"""The kinds of jobs."""

from collections.abc import Mapping

from orthancproxy.jobs import retrieving, sending
from orthancproxy.jobs.anonymizing import Anonymizing
from orthancproxy.jobs.correcting import plan_correction, plan_move
from orthancproxy.jobs.models import JobKind
from orthancproxy.jobs.replacing import Replacing
from orthancproxy.jobs.work import Work

WORKS: Mapping[str, Work] = {
    JobKind.ANONYMIZE: Anonymizing(),
    JobKind.SEND: sending,
    JobKind.MODIFY: Replacing(plan_correction),
    JobKind.MERGE: Replacing(plan_move),
    JobKind.MOVE: Replacing(plan_move),
    JobKind.RETRIEVE: retrieving,
}
