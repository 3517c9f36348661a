"""Labels: adding and removing those of one resource, and counting those of the archive.

Scopes can consist of labels, so labels decide who sees what. `access.policy` authorizes changes of them. A patient is
visible to whoever sees one of its studies; its labels are changed only by those who see all of them, whatever there is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orthancproxy.access.policy import authorize, authorize_labels
from orthancproxy.archive import labels as archive_labels
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import is_label
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.archive.trash_note import is_reserved
from orthancproxy.audit.reads import subject_of
from orthancproxy.errors import ArchiveProtocolError, ArchiveUnavailable, InvalidRequest, LimitExceeded, NotFound
from orthancproxy.feed.identities import patient_identity, study_identity
from orthancproxy.feed.log import Change, Kind, change_log
from orthancproxy.orthanc.capabilities import TRASH_LABEL
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.operations import LABEL, PREVIEW_LABELS

MAX_LABELS_PER_RESOURCE = 100

_PARENT, _STUDIES = "parent", "studies"


@dataclass(frozen=True, slots=True)
class LabelledResource:
    """A resource with the labels that it has now, in order; after a dry run, with those that it would have."""

    level: Level
    orthanc_id: str
    labels: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label, and the number of resources of all levels that have it."""

    label: str
    count: int


def count_labels(context: RequestContext) -> list[LabelCount]:
    """Return the labels of all resources that the caller sees, in order. Raises InvalidRequest before Orthanc 1.12."""
    with audited_read(context):
        counts = archive_labels.count(context.client, context.open_hierarchy())
        return [LabelCount(label, count) for label, count in counts.items()]


def add_labels(
    context: RequestContext, level: Level, orthanc_id: str, labels: Iterable[str], *, dry_run: bool = False
) -> LabelledResource:
    """Add labels to a resource, or predict those that it has then; those that it has already are left as they are.

    Raises NotFound, PermissionDenied, LimitExceeded, and InvalidRequest for an invalid label or before Orthanc 1.12.
    """
    return _change(context, level, orthanc_id, labels, is_added=True, dry_run=dry_run)


def remove_labels(
    context: RequestContext, level: Level, orthanc_id: str, labels: Iterable[str], *, dry_run: bool = False
) -> LabelledResource:
    """Remove labels from a resource; those that it does not have are ignored. Raises like `add_labels`."""
    return _change(context, level, orthanc_id, labels, is_added=False, dry_run=dry_run)


def _change(
    context: RequestContext, level: Level, orthanc_id: str, labels: Iterable[str], *, is_added: bool, dry_run: bool
) -> LabelledResource:
    if dry_run:
        with audited_read(context, PREVIEW_LABELS) as read:
            wanted = _checked(labels)
            resource = _labelled(context, level, orthanc_id, wanted)
            changed = _changed(context, resource, wanted, is_added=is_added)
            read([_study_or_patient(resource)])
            return LabelledResource(
                level, orthanc_id, tuple(_after(resource, changed, is_added=is_added)), dry_run=True
            )
    with audited_write(context, LABEL[level], orthanc_id) as event:
        wanted = _checked(labels)
        what = "labels added" if is_added else "labels removed"
        event.details = {what: wanted}
        seen_at = change_log.newest()
        resource = _labelled(context, level, orthanc_id, wanted)
        event.subjects = [subject_of(_study_or_patient(resource))]
        changed = _changed(context, resource, wanted, is_added=is_added)
        event.counts = {level.path: 1}
        event.details = {what: changed}
        after = _after(resource, changed, is_added=is_added)
        if changed:
            event.write_intent()
            after = _carry_out(context, resource, changed, event, seen_at, is_added=is_added)
        return LabelledResource(level, orthanc_id, tuple(after), dry_run=False)


def _labelled(context: RequestContext, level: Level, orthanc_id: str, wanted: Sequence[str]) -> Resource:
    """Return the resource with the labels. Raises PermissionDenied, before it asks Orthanc, and NotFound."""
    authorize_labels(context.caller, wanted)
    found = look_up(context, _plan(level), [orthanc_id])
    if not found:
        raise _not_found(level)
    return found[0]


def _changed(context: RequestContext, resource: Resource, wanted: Sequence[str], *, is_added: bool) -> list[str]:
    """Return the labels that change. Raises PermissionDenied, LimitExceeded, and InvalidRequest before Orthanc 1.12."""
    level = resource.level
    if level is Level.PATIENT:
        authorize(context.caller, LABEL[level].action, resource.tags.get("PatientID", ""))
    archive_labels.check_support(context.client.capabilities(), level)
    before = frozenset(resource.labels or ())
    if is_added and len(before.union(wanted)) > MAX_LABELS_PER_RESOURCE:
        raise LimitExceeded(f"A {level.value.lower()} can have at most {MAX_LABELS_PER_RESOURCE} labels.")
    return [one for one in wanted if (one in before) != is_added]


def _after(resource: Resource, changed: Sequence[str], *, is_added: bool) -> list[str]:
    before = set(resource.labels or ())
    return sorted(before.union(changed) if is_added else before.difference(changed))


def _checked(labels: Iterable[str]) -> list[str]:
    """Return the labels without duplicates. Raises InvalidRequest if there is none, or for one that Orthanc rejects."""
    wanted = list(dict.fromkeys(labels))
    if not wanted:
        raise InvalidRequest("There must be at least one label.")
    if len(wanted) > MAX_LABELS_PER_RESOURCE:
        raise LimitExceeded(f"At most {MAX_LABELS_PER_RESOURCE} labels can be changed at once.")
    if not all(map(is_label, wanted)):
        raise InvalidRequest("A label consists of 1 to 64 letters of ASCII, digits, _ and -.")
    if any(map(is_reserved, wanted)):
        raise InvalidRequest(f"The label {TRASH_LABEL} is the gateway's: delete or restore the study instead.")
    return wanted


def _plan(level: Level) -> LevelPlan:
    """Return the plan for a resource with its labels, and its parents up to the study; of a patient, all studies."""
    plan = LevelPlan(level=Level.STUDY, needs=archive_labels.NEEDS)
    if level is Level.PATIENT:
        return LevelPlan(level=level, needs=archive_labels.NEEDS, related={_STUDIES: plan})
    for below in Level.STUDY.below[: level.depth - Level.STUDY.depth]:
        plan = LevelPlan(level=below, needs=archive_labels.NEEDS, related={_PARENT: plan})
    return plan


def _carry_out(
    context: RequestContext,
    resource: Resource,
    changed: Sequence[str],
    event: PendingEvent,
    seen_at: int,
    *,
    is_added: bool,
) -> list[str]:
    """Add or remove labels, one by one; return those that the resource has then."""
    client, place = context.client, (resource.level, resource.orthanc_id)
    # what they are, or are likely to be if one of the calls fails
    after = _after(resource, changed, is_added=is_added)
    try:
        for label in changed:
            (archive_labels.add if is_added else archive_labels.remove)(client, *place, label)
        after = archive_labels.labels_of(client, *place)
    except NotFound as error:
        # deleted concurrently
        raise _not_found(resource.level) from error
    except (ArchiveUnavailable, ArchiveProtocolError) as error:
        message = f"{error.message} Some of the labels may have been changed nevertheless: repeat the request."
        raise type(error)(message) from error
    finally:
        event.changes = [replace(_change_of(resource, frozenset(after)), seen_at=seen_at)]
    return after


def _change_of(resource: Resource, labels: frozenset[str]) -> Change:
    """Return the change of a resource that has these labels now. What it says of labels are those of its study."""
    study = _study_or_patient(resource)
    if study.level is Level.PATIENT:
        of_studies = (one.labels or () for one in resource.related[_STUDIES])
        patient = patient_identity(study.orthanc_id, study.tags.get("PatientID", ""))
        return replace(patient, kind=Kind.LABELLED, labels=frozenset[str]().union(*of_studies))
    change = replace(study_identity(study), kind=Kind.LABELLED, level=resource.level, orthanc_id=resource.orthanc_id)
    return replace(change, labels=labels) if resource.level is Level.STUDY else change


def _study_or_patient(resource: Resource) -> Resource:
    """Return the study of a resource, or the patient that it is."""
    related: Mapping[str, Resource] = resource.related
    return _study_or_patient(related[_PARENT]) if _PARENT in related else resource


def _not_found(level: Level) -> NotFound:
    return NotFound(f"There is no such {level.value.lower()}.")
