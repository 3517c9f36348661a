"""Correcting patients, studies and series: what would change, what that collides with, and the job that does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from orthancproxy.access.actions import Action
from orthancproxy.access.policy import authorize
from orthancproxy.archive.levels import Level, study_orthanc_id
from orthancproxy.archive.matching import is_patient_id
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.audit.events import Subject
from orthancproxy.audit.reads import subject_of
from orthancproxy.dicom.correctable import PATIENT, SERIES, STUDY, checked
from orthancproxy.errors import Collision, InvalidRequest, LimitExceeded, NotFound
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.job_requests import JobRequest, begin_job, made_before
from orthancproxy.resolvers.operations import MODIFY, PREVIEW_CORRECTION

MAX_VALUES = 10
MAX_ATTRIBUTES = 50
DEMOGRAPHICS = {"PatientName": "name", "PatientBirthDate": "birth date", "PatientSex": "sex"}
CORRECTABLE: Mapping[Level, frozenset[str]] = {
    Level.PATIENT: PATIENT,
    Level.STUDY: PATIENT | STUDY,
    Level.SERIES: SERIES,
}
_LABELS = Needs(facts=frozenset({Fact.LABELS}))


class CollisionKind(Enum):
    """What a correction collides with."""

    PATIENT_EXISTS = "PATIENT_EXISTS"
    PATIENT_DIFFERS = "PATIENT_DIFFERS"
    STUDIES_DIFFER = "STUDIES_DIFFER"


@dataclass(frozen=True, slots=True)
class FoundCollision:
    """Something that the caller has to accept, in a sentence without values of the archive."""

    kind: CollisionKind
    message: str
    keyword: str | None = None


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """An attribute: the distinct values of the series, in order, and what it becomes; None: the element is removed."""

    keyword: str
    before: tuple[str, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class CorrectionRequest:
    """What to correct. A request with the same `client_mutation_id` is carried out once."""

    level: Level
    orthanc_id: str
    replace: Sequence[tuple[str, str]]
    remove: Sequence[str] = ()
    keep_uids: bool = False
    dry_run: bool = False
    accept_collisions: bool = False
    client_mutation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """What changes, in how many instances, what that collides with, and the job that does it, None if `dry_run`."""

    dry_run: bool
    changes: tuple[AttributeChange, ...]
    instances_count: int
    collisions: tuple[FoundCollision, ...]
    job: Job | None


def modify(context: RequestContext, request: CorrectionRequest) -> Corrected:
    """Correct a patient, a study or a series, or predict what that would change.

    Raises NotFound, InvalidRequest, LimitExceeded, PermissionDenied for a PatientID out of the caller's scope, and
    Collision for one that is not accepted.
    """
    if request.dry_run:
        with audited_read(context, PREVIEW_CORRECTION) as read:
            found = _Correctable(context, request)
            read(found.studies)
            return found.result(None)
    with audited_write(context, MODIFY[request.level], request.orthanc_id) as event:
        values = _checked(request)
        asked = JobRequest(
            JobKind.MODIFY,
            request.level,
            [request.orthanc_id],
            {"values": dict(values), "keepUids": request.keep_uids},
            request.client_mutation_id,
        )
        asked.check()
        if made := made_before(context, asked):
            event.outcome = None
            return Corrected(False, (), made.counts.get("instances", 0), (), made)
        found = _Correctable(context, request)
        event.subjects = found.subjects
        event.counts = {request.level.path: 1, "instances": found.instances_count}
        # never the values: the log has no texts of patients
        event.details = {"attributes": sorted(values), "keepUids": request.keep_uids}
        if found.collisions and not request.accept_collisions:
            raise Collision(
                f"{' '.join(one.message for one in found.collisions)} Look at `dryRun`, and set `acceptCollisions` to "
                "do it nevertheless."
            )
        studies = [study.orthanc_id for study in found.studies]
        return found.result(begin_job(context, event, asked, studies))


def _checked(request: CorrectionRequest) -> Mapping[str, str | None]:
    if request.level not in CORRECTABLE:
        raise InvalidRequest("Instances cannot be corrected by themselves: correct their series.")
    if len(request.replace) + len(request.remove) > MAX_ATTRIBUTES:
        raise LimitExceeded(f"At most {MAX_ATTRIBUTES} attributes can be changed at once.")
    values = checked(CORRECTABLE[request.level], list(request.replace), list(request.remove))
    if not values:
        raise InvalidRequest("Name at least one attribute to change.")
    if not is_patient_id(values.get("PatientID") or "-"):
        raise InvalidRequest("The patient ID looks like a path.")
    return values


class _Correctable:
    """A resource that is to be corrected, as the caller sees it. Raises NotFound, PermissionDenied, InvalidRequest."""

    def __init__(self, context: RequestContext, request: CorrectionRequest) -> None:
        self._context = context
        self._request = request
        self._values = _checked(request)
        found = look_up(context, _plan(request.level, frozenset(self._values)), [request.orthanc_id])
        if not found:
            raise NotFound(f"There is no such {request.level.value.lower()}.")
        [resource] = found
        self._resource = resource
        self.studies = _studies_of(resource)
        self._series = _series_of(resource)
        self.instances_count = sum(_instances(one) for one in self._series)
        self._patient_id = self.studies[0].tags.get("PatientID", "")
        if request.level is Level.PATIENT:
            # a patient that has hidden studies can be visible
            authorize(context.caller, Action.MODIFY, self._patient_id)
        self._new_patient_id = self._values.get("PatientID") or self._patient_id
        if self._is_other_patient:
            authorize(context.caller, Action.MODIFY, self._new_patient_id)
            self._check_target()
        self.collisions = tuple(self._find_collisions())

    @property
    def _is_other_patient(self) -> bool:
        return self._new_patient_id != self._patient_id

    @property
    def subjects(self) -> list[Subject]:
        """The studies, and the patient that they become part of."""
        subjects = [subject_of(study) for study in self.studies]
        return [*subjects, Subject(self._new_patient_id)] if self._is_other_patient else subjects

    def result(self, job: Job | None) -> Corrected:
        """Return what changes; a dry run has no job."""
        changes = tuple(
            AttributeChange(keyword, self._distinct(keyword), value) for keyword, value in sorted(self._values.items())
        )
        return Corrected(job is None, changes, self.instances_count, self.collisions, job)

    def _distinct(self, keyword: str) -> tuple[str, ...]:
        values = sorted({series.tags[keyword] for series in self._series if keyword in series.tags})
        return tuple(values[:MAX_VALUES])

    def _check_target(self) -> None:
        """Raise InvalidRequest if UIDs are to be kept, and the other patient has a study with one of them."""
        if self._request.keep_uids:
            uids = [study.tags.get("StudyInstanceUID", "") for study in self.studies]
            targets = [study_orthanc_id(self._new_patient_id, uid) for uid in uids]
            if look_up(self._context, LevelPlan(level=Level.STUDY), targets):
                raise InvalidRequest("The patient has a study with this StudyInstanceUID already.")

    def _find_collisions(self) -> list[FoundCollision]:
        """Return collisions with what the caller sees: that there is something hidden, nobody learns."""
        others = self._other_studies()
        collisions = []
        if self._is_other_patient and others:
            message = "There is a patient with this PatientID already, whom the studies become part of."
            collisions.append(FoundCollision(CollisionKind.PATIENT_EXISTS, message))
        kind = CollisionKind.PATIENT_DIFFERS if self._is_other_patient else CollisionKind.STUDIES_DIFFER
        for keyword, what in DEMOGRAPHICS.items():
            if self._is_other_patient or keyword in self._values:
                become = {self._becomes(keyword, study) for study in self.studies}
                if any({_comparable(study.tags.get(keyword))} != become for study in others):
                    message = f"Other studies with this PatientID have another {what}."
                    collisions.append(FoundCollision(kind, message, keyword))
        return collisions

    def _becomes(self, keyword: str, study: Resource) -> str:
        return _comparable(self._values[keyword] if keyword in self._values else study.tags.get(keyword))

    def _other_studies(self) -> list[Resource]:
        """Return the other studies that the patient has then."""
        if self._request.level is Level.SERIES:
            return []
        needs = Needs(frozenset(DEMOGRAPHICS))
        plan = LevelPlan(level=Level.PATIENT, related={"studies": LevelPlan(level=Level.STUDY, needs=needs)})
        patient = self._context.open_hierarchy().by_identifier(plan, self._new_patient_id)
        own = {study.orthanc_id for study in self.studies}
        return [one for one in patient.related["studies"] if one.orthanc_id not in own] if patient else []


def _comparable(value: str | None) -> str:
    return (value or "").rstrip("^= \0").casefold()


def _plan(level: Level, keywords: frozenset[str]) -> LevelPlan:
    """Return the plan of a resource with its studies, and its series with the values of these attributes."""
    counted = Needs(keywords | {"NumberOfSeriesRelatedInstances", "PatientID"})
    study_needs = _LABELS | Needs(frozenset({"PatientID", *DEMOGRAPHICS}))
    if level is Level.SERIES:
        return LevelPlan(
            level=level, needs=counted, related={"parent": LevelPlan(level=Level.STUDY, needs=study_needs)}
        )
    study = LevelPlan(
        level=Level.STUDY, needs=study_needs, related={"series": LevelPlan(level=Level.SERIES, needs=counted)}
    )
    return study if level is Level.STUDY else LevelPlan(level=level, related={"studies": study})


def _studies_of(resource: Resource) -> list[Resource]:
    match resource.level:
        case Level.PATIENT:
            return list(resource.related["studies"])
        case Level.STUDY:
            return [resource]
        case _:
            return [resource.related["parent"]]


def _series_of(resource: Resource) -> list[Resource]:
    if resource.level is Level.SERIES:
        return [resource]
    return [series for study in _studies_of(resource) for series in study.related["series"]]


def _instances(series: Resource) -> int:
    return int(series.tags.get("NumberOfSeriesRelatedInstances") or 0)
