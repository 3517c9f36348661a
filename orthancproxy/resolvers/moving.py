"""Merging studies of a patient, and moving series to another of their studies or to a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthancproxy.access.policy import authorize_labels
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.audit.reads import subject_of
from orthancproxy.dicom.correctable import STUDY, checked
from orthancproxy.errors import InvalidRequest, LimitExceeded, NotFound
from orthancproxy.jobs.correcting import SHARED, shared_values
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.correcting import MAX_ATTRIBUTES, MAX_VALUES, AttributeChange, Corrected
from orthancproxy.resolvers.guard import audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.job_requests import JobRequest, begin_job, made_before
from orthancproxy.resolvers.operations import MERGE, MOVE, PREVIEW_CORRECTION, Operation

MAX_STUDIES = 100
MAX_SERIES = 1000
_COUNT = "NumberOfSeriesRelatedInstances"
_STUDY_NEEDS = Needs(frozenset({"PatientID"}), frozenset({Fact.LABELS}))


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """What to move, and to which study, None for a new one with the values of `replace`."""

    orthanc_ids: Sequence[str]
    target: str | None
    replace: Sequence[tuple[str, str]] = ()
    keep_uids: bool = False
    dry_run: bool = False
    client_mutation_id: str | None = None


def merge(context: RequestContext, request: MoveRequest) -> Corrected:
    """Merge studies into another one of their patient, or predict what that would change.

    Raises NotFound, InvalidRequest for studies of several patients, LimitExceeded, and PermissionDenied if labels that
    access scopes name differ, unless the caller may change those.
    """
    return _carry_out(context, request, JobKind.MERGE, MERGE)


def move(context: RequestContext, request: MoveRequest) -> Corrected:
    """Move series to another study of their patient, or predict what that would change. Raises like `merge`."""
    return _carry_out(context, request, JobKind.MOVE, MOVE)


def _carry_out(context: RequestContext, request: MoveRequest, kind: JobKind, operation: Operation) -> Corrected:
    level = Level.STUDY if kind is JobKind.MERGE else Level.SERIES
    ids = list(dict.fromkeys(request.orthanc_ids))
    if request.dry_run:
        with audited_read(context, PREVIEW_CORRECTION) as read:
            found = _Movable(context, level, ids, request)
            read(found.studies)
            return found.result(None)
    with audited_write(context, operation, ids[0] if ids else "") as event:
        parameters = {"target": request.target, "values": _values(request), "keepUids": request.keep_uids}
        asked = JobRequest(kind, level, ids, parameters, request.client_mutation_id)
        asked.check()
        if made := made_before(context, asked):
            event.outcome = None
            return Corrected(False, (), made.counts.get("instances", 0), (), made)
        found = _Movable(context, level, ids, request)
        event.subjects = [subject_of(study) for study in found.studies]
        event.counts = {level.path: len(ids), "instances": found.instances_count}
        event.details = {"to": f"studies/{request.target}" if request.target else "a new study"}
        studies = [study.orthanc_id for study in found.studies]
        return found.result(begin_job(context, event, asked, studies))


def _values(request: MoveRequest) -> dict[str, str | None]:
    if request.replace and request.target is not None:
        raise InvalidRequest("The series get the attributes of the study: `replace` is for a new one.")
    if len(request.replace) > MAX_ATTRIBUTES:
        raise LimitExceeded(f"At most {MAX_ATTRIBUTES} attributes can be changed at once.")
    return dict(checked(STUDY, list(request.replace), []))


class _Movable:
    """What is to be moved, as the caller sees it. Raises NotFound, InvalidRequest, LimitExceeded, PermissionDenied."""

    def __init__(self, context: RequestContext, level: Level, ids: Sequence[str], request: MoveRequest) -> None:
        values: Mapping[str, str | None] = _values(request)
        maximum = MAX_STUDIES if level is Level.STUDY else MAX_SERIES
        if not ids:
            raise InvalidRequest(f"Name at least one {level.value.lower()}.")
        if len(ids) > maximum:
            raise LimitExceeded(f"At most {maximum} {level.path} can be moved at once.")
        target = None
        if request.target is not None:
            below = {"series": LevelPlan(level=Level.SERIES)} if request.keep_uids else {}
            [target] = _found(
                context, LevelPlan(level=Level.STUDY, needs=_STUDY_NEEDS, related=below), [request.target]
            )
        self._series, sources = _sources(context, level, ids, frozenset(SHARED if target else values))
        if target and any(study.orthanc_id == target.orthanc_id for study in sources):
            raise InvalidRequest("This is the study itself.")
        self.studies = [*sources, *([target] if target else ())]
        if len({study.parent_id for study in self.studies}) > 1:
            raise InvalidRequest("These are of several patients: correct the PatientID of one of the studies first.")
        if target and not target.tags.get("PatientID"):
            # all files without a PatientID are those of one patient to Orthanc
            raise InvalidRequest("The studies have no PatientID: correct that first.")
        if target is None and len(sources) > 1:
            raise InvalidRequest(
                "A new study can be made of series of one study only: move the others to it afterwards."
            )
        if target:
            # by labels of scopes, the images would become visible to others, or be hidden from some
            labels = frozenset(target.facts.get("Labels") or ())
            differing = {
                one for study in sources for one in labels.symmetric_difference(study.facts.get("Labels") or ())
            }
            authorize_labels(context.caller, differing)
        if target and request.keep_uids:
            _check_uids([*self._series, *target.related["series"]])
        # last, since it reads a file
        self._values = shared_values(context.client, target.orthanc_id) if target else values
        self.instances_count = sum(int(one.tags.get(_COUNT) or 0) for one in self._series)

    def result(self, job: Job | None) -> Corrected:
        """Return what changes; a dry run has no job."""
        changes = []
        for keyword, value in sorted(self._values.items()):
            before = sorted({one.tags[keyword] for one in self._series if keyword in one.tags})
            if before != ([value] if value else []):
                changes.append(AttributeChange(keyword, tuple(before[:MAX_VALUES]), value))
        return Corrected(job is None, tuple(changes), self.instances_count, (), job)


def _sources(
    context: RequestContext, level: Level, ids: Sequence[str], keywords: frozenset[str]
) -> tuple[list[Resource], list[Resource]]:
    """Return the series that are moved, and their studies."""
    needs = Needs(keywords | {_COUNT})
    if level is Level.STUDY:
        below = {"series": LevelPlan(level=Level.SERIES, needs=needs)}
        studies = _found(context, LevelPlan(level=level, needs=_STUDY_NEEDS, related=below), ids)
        return [series for study in studies for series in study.related["series"]], studies
    above = {"parent": LevelPlan(level=Level.STUDY, needs=_STUDY_NEEDS)}
    series = _found(context, LevelPlan(level=level, needs=needs, related=above), ids)
    return series, list({one.related["parent"].orthanc_id: one.related["parent"] for one in series}.values())


def _found(context: RequestContext, plan: LevelPlan, ids: Sequence[str]) -> list[Resource]:
    found = look_up(context, plan, ids)
    if len(found) != len(ids):
        raise NotFound(f"There is no such {plan.level.value.lower()}.")
    return found


def _check_uids(series: Sequence[Resource]) -> None:
    """Raise InvalidRequest if two series of what becomes one study would be one."""
    if len({one.tags["SeriesInstanceUID"] for one in series}) < len(series):
        raise InvalidRequest(
            "Two of these studies have a series with the same SeriesInstanceUID: they can be one without `keepUids`."
        )
