"""Deleting a resource with everything below it. Orthanc removes the ancestors that become empty.

For a caller with a scope, the archive is what the scope shows: a patient with hidden studies is deleted study by
study, and counts as deleted once no visible study is left.

With a trash (ORTHANC_TRASH_DAYS), patients and studies are put there: they are hidden as if they were deleted, and can
be restored. `purge` deletes them for good, also what is in the trash. Series and instances are always deleted for good.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils import timezone

from orthancproxy.archive import storage
from orthancproxy.archive.levels import Level
from orthancproxy.archive.parsing import integer
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.uid_path import UIDPath
from orthancproxy.audit.reads import subject_of
from orthancproxy.conf import conf
from orthancproxy.errors import ArchiveProtocolError, ArchiveUnavailable, InvalidRequest, NotFound
from orthancproxy.feed.identities import patient_identity, study_identity
from orthancproxy.feed.log import Change, Kind
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.operations import DELETE, PREVIEW_DELETION, TRASH
from orthancproxy.resolvers.trash import trash_of
from orthancproxy.resolvers.uid_paths import found

_PARENT, _STUDIES = "parent", "studies"


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """A deleted or remaining resource: its level and Orthanc id."""

    level: Level
    orthanc_id: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """The deleted resources (the one that was named, then ancestors left empty), and the nearest remaining ancestor.

    If `in_trash`, they can be restored.
    """

    dry_run: bool
    in_trash: bool
    deleted: tuple[ResourceRef, ...]
    instances_count: int
    remaining_ancestor: ResourceRef | None


def delete(
    context: RequestContext, level: Level, orthanc_id: str, *, dry_run: bool = False, purge: bool = False
) -> Deletion:
    """Delete a resource, or predict what that would delete. Raises NotFound, also for a resource of another level.

    Raises InvalidRequest if there is to be a trash, and Orthanc has no labels.
    """
    in_trash = not purge and _has_trash(level)
    if dry_run:
        with audited_read(context, PREVIEW_DELETION) as read:
            line = _ancestry(context, level, orthanc_id, purge=purge)
            _check_trash(context, in_trash=in_trash)
            read([_study_or_patient(line)])
            return _result(line, _predict(line), _counts(line[0]), dry_run=True, in_trash=in_trash)
    with audited_write(context, (TRASH if in_trash else DELETE)[level], orthanc_id) as event:
        line = _ancestry(context, level, orthanc_id, purge=purge)
        _check_trash(context, in_trash=in_trash)
        remaining = _carry_out(context, line, event, in_trash=in_trash, purge=purge)
        return _result(line, remaining, event.counts, dry_run=False, in_trash=in_trash)


def delete_at(context: RequestContext, path: UIDPath) -> None:
    """Delete the resource at a path. Raises NotFound, and InvalidRequest if several have the UID, or like `delete`."""
    level = path.named_level
    in_trash = _has_trash(level)
    with audited_write(context, (TRASH if in_trash else DELETE)[level], path.levels[level]) as event:
        named = found(context.open_hierarchy(), LevelPlan(level=level), path)
        if not named:
            raise _not_found(level)
        if len(named) > 1:
            raise InvalidRequest(
                f"{len(named)} {level.path} have this {level.identifier}: delete each of them by its Orthanc id."
            )
        event.target = named[0].orthanc_id
        _check_trash(context, in_trash=in_trash)
        _carry_out(context, _ancestry(context, level, event.target), event, in_trash=in_trash)


def _has_trash(level: Level) -> bool:
    """Whether a deleted resource of this level comes into the trash."""
    return bool(conf.ORTHANC_TRASH_DAYS) and level in TRASH


def _check_trash(context: RequestContext, *, in_trash: bool) -> None:
    """Raise InvalidRequest instead of deleting for good what the caller takes for restorable."""
    if in_trash and not trash_of(context.client).is_possible:
        raise InvalidRequest(
            "This Orthanc has no labels, which a trash needs (1.12.0 and newer do): set `purge` to delete for good."
        )


def _ancestry(context: RequestContext, level: Level, orthanc_id: str, *, purge: bool = False) -> list[Resource]:
    """Return the resource, its parent, and so on up to the patient, each with what `_counts` reads. Raises NotFound."""
    plan = _counted(Level.PATIENT)
    if level is Level.PATIENT:
        plan = _counted(level, **{_STUDIES: _counted(Level.STUDY)})
    for below in Level.PATIENT.below[: level.depth]:
        plan = _counted(below, **{_PARENT: plan})
    line = look_up(context, plan, [orthanc_id], in_trash=purge)
    if not line:
        raise _not_found(level)
    while above := line[-1].related.get(_PARENT):
        line.append(above)
    return line


def _predict(line: Sequence[Resource]) -> ResourceRef | None:
    """Return the nearest ancestor that has other children."""
    for above in line[1:]:
        if _counts(above)[above.level.child.path] != 1:
            return ResourceRef(above.level, above.orthanc_id)
    return None


def _carry_out(
    context: RequestContext, line: Sequence[Resource], event: PendingEvent, *, in_trash: bool, purge: bool = False
) -> ResourceRef | None:
    """Delete the resource; return the nearest ancestor that the caller can still see.

    `event` is written first with what is about to be deleted; afterwards its counts are of what was deleted.
    """
    resource, is_restricted = line[0], context.caller.scope.is_restricted
    studies = resource.related.get(_STUDIES, ())
    event.subjects = [subject_of(study) for study in studies] or [subject_of(_study_or_patient(line))]
    event.counts = _counts(resource)
    event.write_intent()
    deleted = event.counts = Counter[str]()
    remaining = None
    trashed = trash_of(context.client).studies()
    # a patient as a whole may have hidden studies, or no route
    is_split = (
        in_trash
        or is_restricted
        or not context.client.capabilities().has_patient_routes
        or (not purge and any(study.parent_id == resource.orthanc_id for study in trashed))
    )
    patient = line[-1].orthanc_id
    # for everybody: what the caller may see of it is looked at below
    shown = trash_of(context.client).shown_studies(patient, {one.orthanc_id for one in trashed}) if in_trash else set()
    for target in studies if is_split and resource.level is Level.PATIENT else [resource]:
        if event.changes:
            # before the next one: it may be stored again meanwhile
            event.report_changes()
        try:
            if in_trash:
                _put_into_trash(context, target)
                shown.discard(target.orthanc_id)
                remaining = ResourceRef(Level.PATIENT, patient) if shown else None
            else:
                remaining = _delete(context, target)
        except NotFound:
            continue  # deleted concurrently
        changes = _changes(line if target is resource else [target, resource], remaining)
        event.changes += [replace(one, is_in_trash=in_trash) for one in changes]
        deleted.update(_counts(target))
        deleted.update(above.path for above in target.level.above if above.depth > _depth(remaining))
    if not deleted:
        raise _not_found(resource.level)
    if remaining is None or resource.level is Level.PATIENT:
        return None
    may_be_hidden = remaining.level is Level.PATIENT and (is_restricted or bool(trashed))
    is_hidden = may_be_hidden and not _is_visible(context, remaining.orthanc_id)
    return None if is_hidden else remaining


def _changes(line: Sequence[Resource], remaining: ResourceRef | None) -> list[Change]:
    """Return what a deletion has changed: the resource, studies of a patient, parents that are deleted or updated.

    `line` is the resource, its parent, and so on up to the patient.
    """
    *below, patient = line
    studies = [one for one in below if one.level is Level.STUDY] or patient.related.get(_STUDIES, ())
    of_studies = [study_identity(study) for study in studies]
    labels = frozenset[str]().union(*(one.labels or () for one in of_studies))
    changed = [
        *(replace(of_studies[0], level=one.level, orthanc_id=one.orthanc_id) for one in below[:-1]),
        *of_studies,
        replace(patient_identity(patient.orthanc_id, patient.tags.get("PatientID", "")), labels=labels),
    ]
    deleted = [replace(one, kind=Kind.DELETED) for one in changed if one.level.depth > _depth(remaining)]
    # the log has no updates of patients
    return deleted + [one for one in changed[len(deleted) :] if one.level is not Level.PATIENT]


def _delete(context: RequestContext, resource: Resource) -> ResourceRef | None:
    """Delete a resource, without a retry; return the nearest remaining ancestor."""
    try:
        count = _counts(resource)[Level.INSTANCE.path]
        remaining = storage.delete(context.client, resource.level, resource.orthanc_id, count)
    except (ArchiveUnavailable, ArchiveProtocolError) as error:
        raise type(error)(f"{error.message} The resource may have been deleted nevertheless.") from error
    return ResourceRef(*remaining) if remaining else None


def _put_into_trash(context: RequestContext, study: Resource) -> None:
    """Put a study into the trash."""
    try:
        trash_of(context.client).put(
            study, _counts(study)[Level.INSTANCE.path], context.author.username, timezone.now()
        )
    except (ArchiveUnavailable, ArchiveProtocolError) as error:
        message = f"{error.message} The study may have been put into the trash nevertheless."
        raise type(error)(message) from error


def _is_visible(context: RequestContext, patient: str) -> bool:
    return bool(look_up(context, LevelPlan(level=Level.PATIENT), [patient]))


def _study_or_patient(line: Sequence[Resource]) -> Resource:
    """Return the nearest resource that identifies the audit subject."""
    return next(one for one in line if one.level in (Level.STUDY, Level.PATIENT))


def _counted(level: Level, **related: LevelPlan) -> LevelPlan:
    """Return a plan with the number of resources below, and the labels of studies."""
    counts = frozenset(_count_of(level, below) for below in level.below)
    facts = frozenset({Fact.LABELS, *([Fact.CHANGES] if conf.ORTHANC_TRASH_DAYS else [])})
    facts = facts if level is Level.STUDY else frozenset()
    return LevelPlan(level=level, needs=Needs(counts, facts), related=related)


def _count_of(level: Level, below: Level) -> str:
    """Return the keyword for the number of resources of a lower level (PS3.4 section C.6.1.1)."""
    return f"NumberOf{level.value}Related{below.path.capitalize()}"


def _counts(resource: Resource) -> Mapping[str, int]:
    """Return the number of resources by level, including the resource itself."""
    below = {one.path: integer(resource.tags.get(_count_of(resource.level, one))) or 0 for one in resource.level.below}
    return {resource.level.path: 1, **below}


def _depth(remaining: ResourceRef | None) -> int:
    return remaining.level.depth if remaining else -1


def _result(
    line: Sequence[Resource],
    remaining: ResourceRef | None,
    counts: Mapping[str, int],
    *,
    dry_run: bool,
    in_trash: bool,
) -> Deletion:
    return Deletion(
        dry_run=dry_run,
        in_trash=in_trash,
        deleted=tuple(ResourceRef(one.level, one.orthanc_id) for one in line if one.level.depth > _depth(remaining)),
        instances_count=counts[Level.INSTANCE.path],
        remaining_ancestor=remaining,
    )


def _not_found(level: Level) -> NotFound:
    return NotFound(f"There is no such {level.value.lower()}.")
