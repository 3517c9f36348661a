"""The kind of job that anonymizes a study into a new one.

Orthanc has no job for it: the gateway reads each file, anonymizes it and stores it. The UIDs of the new study are made
with a secret of the job, so that what is stored again after a crash is the same, and no other job made the study.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from secrets import token_hex
from time import monotonic
from typing import Any

from orthancproxy.anonymization.files import NOTHING_LEFT, SECRET_BYTES, AnonymizationRequest, Anonymizer
from orthancproxy.anonymization.pseudonyms import assign
from orthancproxy.archive import labels, storage
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level, study_orthanc_id
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource, Study
from orthancproxy.errors import InvalidRequest, NotFound
from orthancproxy.feed.identities import patient_identity, study_identity
from orthancproxy.feed.log import Kind
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.rows import JobFailure, advance
from orthancproxy.jobs.work import Outcome, WorkContext
from orthancproxy.threads import ANONYMIZATION

STEP_SECONDS = 0.8
# they go on while the follower waits for its next step; a process that ends waits for them
INSTANCES_PER_PART = 100
MAX_REMEMBERED = 16

_STUDY = LevelPlan(level=Level.STUDY, needs=labels.NEEDS)
_INSTANCES = LevelPlan(
    level=Level.STUDY,
    related={"series": LevelPlan(level=Level.SERIES, related={"instances": LevelPlan(level=Level.INSTANCE)})},
)
_COUNTED = LevelPlan(level=Level.STUDY, needs=Study.instances_count.needs)
STORED, LEFT_OUT = "instances", "leftOut"


@dataclass(slots=True)
class _Run:
    """What this process does of a job: the instances that are left, of which some are being stored."""

    anonymizer: Anonymizer
    left: list[str]
    # the last instance that is noted, of the job's `stage`
    after: str = ""
    part: list[str] = field(default_factory=list)
    begun: list[Future[str]] = field(default_factory=list)


class Anonymizing:
    """Anonymizes a study in parts. What it remembers of a job is the last instance, in the order of their ids."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, str], _Run] = {}

    def begin(self, context: WorkContext, job: Job, token: str) -> None:
        """Begin no job of Orthanc: there is none."""

    def progress(self, _job: Job, _orthancs: float) -> float:
        """Return nothing: Orthanc has no job."""
        return 0.0

    def conclude(self, context: WorkContext, job: Job) -> Outcome | None:
        """Store some of the anonymized instances; at the end, count them."""
        if made := job.stage.get("outcome"):
            return Outcome(made["counts"], made["result"])
        if "secret" not in job.stage and not self._prepare(context, job):
            return None
        run = self._run(context, job)
        until = monotonic() + STEP_SECONDS
        while (seconds := until - monotonic()) > 0:
            if not run.begun:
                run.part, run.left = run.left[:INSTANCES_PER_PART], run.left[INSTANCES_PER_PART:]
                if not run.part:
                    return self._finish(context, job)
                run.begun = [ANONYMIZATION.submit(_store, run.anonymizer, one) for one in run.part]
            done, waiting = wait(run.begun, timeout=seconds)
            if waiting:
                advance(job, progress=_progress(job, len(done)))
                return None
            if not self._note(job, run):
                return None
        return None

    def undo(self, context: WorkContext, job: Job) -> bool:
        """Delete a part of what has been stored of the new study; the study itself at the end."""
        self._forget(job)
        study = job.stage.get("study")
        if study:
            if not _delete_instances(context, job, study):
                return False
            _delete(context, study)
        # what UIDs were made of is of no more use
        return advance(job, stage={name: value for name, value in job.stage.items() if name == "ending"})

    def _prepare(self, context: WorkContext, job: Job) -> bool:
        """Decide what the patient and the study become. Raises NotFound."""
        source = _found(context, _INSTANCES, job.orthanc_ids[0])
        secret = token_hex(SECRET_BYTES)
        run = _Run(_anonymizer(context, job, source, secret), _ids(source))
        identity = run.anonymizer.identity
        study = study_orthanc_id(identity.patient_id, identity.uid(source.tags["StudyInstanceUID"]))
        stage = {**job.stage, "secret": secret, "study": study, "total": len(run.left), "counts": {}, "after": ""}
        if not advance(job, stage=stage):
            return False
        self._remember(job, run)
        return True

    def _run(self, context: WorkContext, job: Job) -> _Run:
        key, after = (job.pk, job.stage["secret"]), job.stage["after"]
        if key in self._runs and self._runs[key].after != after:
            # another process has gone on meanwhile
            self._forget(job)
        if key not in self._runs:
            source = _found(context, _INSTANCES, job.orthanc_ids[0])
            left = [one for one in _ids(source) if one > after]
            self._remember(job, _Run(_anonymizer(context, job, source, job.stage["secret"]), left, after))
        return self._runs[key]

    def _remember(self, job: Job, run: _Run) -> None:
        while len(self._runs) >= MAX_REMEMBERED:
            # of jobs that another process has ended
            self._runs.pop(next(iter(self._runs)))
        self._runs[job.pk, job.stage["secret"]] = run

    def _note(self, job: Job, run: _Run) -> bool:
        """Note that a part is stored. Raises what kept an instance from being stored; then it is begun again."""
        try:
            counts = Counter(job.stage["counts"]) + Counter(future.result() for future in run.begun)
        except Exception:
            self._forget(job)
            raise
        run.begun, run.after = [], run.part[-1]
        stage = {**job.stage, "counts": dict(counts), "after": run.after}
        if advance(job, stage=stage, progress=_progress(job, len(run.part))):
            return True
        self._forget(job)
        return False

    def _finish(self, context: WorkContext, job: Job) -> Outcome | None:
        """Prove that all is there, and add the labels."""
        counts, study = job.stage["counts"], job.stage["study"]
        if not counts.get(STORED):
            raise InvalidRequest(NOTHING_LEFT)
        found = _found(context, _COUNTED, study)
        if not isinstance(found, Study) or found.instances_count != counts[STORED]:
            return Outcome(
                counts, failure=JobFailure("ARCHIVE_ERROR", "Instances of the result are missing: try again.")
            )
        self._label(context, job, study)
        outcome = {"counts": counts, "result": {"studies": [study]}}
        # the secret goes: nobody finds the old UIDs by trying them
        if not advance(job, stage={"outcome": outcome, "study": study}):
            return None
        self._forget(job)
        return Outcome(counts, {"studies": [study]})

    def _label(self, context: WorkContext, job: Job, study: str) -> None:
        request = AnonymizationRequest.of(job.parameters)
        if not (request.keeps_labels or request.scope_labels):
            return
        given = set(_found(context, _STUDY, job.orthanc_ids[0]).labels or ())
        wanted = given if request.keeps_labels else given.intersection(request.scope_labels)
        for label in sorted(wanted):
            labels.add(context.client, Level.STUDY, study, label)
        if wanted:
            made = study_identity(_found(context, _STUDY, study))
            context.report([replace(made, kind=Kind.LABELLED)])

    def _forget(self, job: Job) -> None:
        """Stop what this process does of a job, and wait until it does nothing any more."""
        for key in [key for key in self._runs if key[0] == job.pk]:
            wait([future for future in self._runs.pop(key).begun if not future.cancel()])


def _store(anonymizer: Anonymizer, orthanc_id: str) -> str:
    """Store the anonymized file of an instance; return what became of it."""
    made = anonymizer.read(orthanc_id)
    if made is None:
        return LEFT_OUT
    try:
        storage.store(anonymizer.client, made.payload)
    finally:
        made.source.source.close()
    return STORED


def _anonymizer(context: WorkContext, job: Job, source: Resource, secret: str) -> Anonymizer:
    request = AnonymizationRequest.of(job.parameters)
    patient_id = source.tags.get("PatientID", "")
    pseudonym = assign(request.project, patient_id, job.created_by) if request.project else None
    return Anonymizer(context.client, request, request.identity(patient_id, bytes.fromhex(secret), pseudonym))


def _found(context: WorkContext, plan: LevelPlan, study: str) -> Resource:
    found = Hierarchy(context.client).by_ids(plan, [study], as_stored=True)
    if not found:
        raise NotFound("The study has been deleted.")
    return found[0]


def _ids(study: Resource) -> list[str]:
    return sorted(one.orthanc_id for series in study.related["series"] for one in series.related["instances"])


def _progress(job: Job, more: int) -> float:
    stage: dict[str, Any] = job.stage
    done = sum(stage["counts"].values()) + more
    return float(min(1.0, done / max(1, stage["total"])))


def _delete_instances(context: WorkContext, job: Job, study: str) -> bool:
    """Delete instances of a study for a while, but for some; return whether that was all."""
    until = monotonic() + STEP_SECONDS
    if job.pk not in context.memory:
        try:
            below = storage.instances_below(context.client, Level.STUDY, [study])
        except NotFound:
            # nothing has been stored
            below = []
        context.memory[job.pk] = list(storage.parts([one.orthanc_id for one in below]))[1:]
    left: list[Sequence[str]] = context.memory[job.pk]
    while left:
        storage.delete_instances(context.client, left[-1])
        left.pop()
        if monotonic() > until:
            break
    return not left


def _delete(context: WorkContext, study: str) -> None:
    found = Hierarchy(context.client).by_ids(_STUDY, [study], as_stored=True)
    if not found:
        return
    identity = study_identity(found[0])
    with suppress(NotFound):
        remaining = storage.delete(context.client, Level.STUDY, study)
        gone = [replace(identity, kind=Kind.DELETED)]
        if remaining is None and found[0].parent_id:
            patient = patient_identity(found[0].parent_id, identity.patient_id)
            gone.append(replace(patient, kind=Kind.DELETED, labels=identity.labels))
        context.report(gone)
