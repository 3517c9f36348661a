"""What a kind of job does, in steps that a process repeats or another one goes on with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orthancproxy.feed.log import Change
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.rows import JobFailure
from orthancproxy.orthanc.client import OrthancClient


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What a job works with. `report` tells the log of changes and the index what Orthanc does not: deletions.

    `memory` is what this process has read for jobs that go on, by their keys: what else would be read in each step.
    """

    client: OrthancClient
    report: Callable[[Sequence[Change]], None]
    memory: dict[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: numbers such as {"instances": 200}, what it made, and why it failed if it did.

    What it made is {"studies": [Orthanc ids]}, what a modality did not take {"rejected": [{"instance": Orthanc id,
    "sopInstanceUID", "dimseStatus"}]}.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    failure: JobFailure | None = None


class Work(Protocol):
    """A kind of job: a job of Orthanc, what is done after it, and how that is undone.

    Each function can be called again after a crash at any point. What is to be remembered is in `job.stage`, which
    `rows.advance` writes; all raise ArchiveError, and errors of the gateway that end the job as FAILED.
    """

    def begin(self, context: WorkContext, job: Job, token: str) -> str | None:
        """Begin Orthanc's job, with a token to find it by; return its id, None if all is done by `conclude`."""

    def progress(self, job: Job, orthancs: float) -> float:
        """Return the progress of the whole, from that of Orthanc's job, both from 0 to 1."""

    def conclude(self, context: WorkContext, job: Job) -> Outcome | None:
        """Do a part, of a second at most, of what is left after Orthanc's job; None if that is not all.

        It may begin another one of Orthanc, with `job.phase` IN_ORTHANC and its id as `job.orthanc_job`.
        `job.stage` has the `counts` that Orthanc's job told, and its `failure`, None if it had none. After
        `job.stage["committed"]` is written, nothing is undone. `job.stage["made"]` is what the audit log is told that
        it has made, however it ends (`rows.made_study`).
        """

    def undo(self, context: WorkContext, job: Job) -> bool:
        """Remove a part of what an attempt has left in the archive; return whether that was all."""
