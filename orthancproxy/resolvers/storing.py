"""Storing DICOM files under their own UIDs, in whichever studies they belong to."""

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from orthancproxy.access.actions import Action
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.dicom.sources import Source
from orthancproxy.errors import (
    ArchiveUnavailable,
    GatewayError,
    InsufficientStorage,
    InvalidRequest,
    PermissionDenied,
    UnreadableDicom,
)
from orthancproxy.metrics import UPLOADED_BYTES
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.operations import STORE
from orthancproxy.resolvers.restoring import restore_stored
from orthancproxy.uploads.identified_files import IdentifiedFile
from orthancproxy.uploads.outage import Outage
from orthancproxy.uploads.workers import in_parallel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of a file: it is stored, or there is an error.

    `file` is None if it cannot be parsed. `already_stored`: the archive has such an instance and keeps it.
    `was_in_trash`: a study of the request was, and is restored.
    """

    file: IdentifiedFile | None = None
    error: GatewayError | None = None
    already_stored: bool = False
    was_in_trash: bool = False


def require_store_permission(context: RequestContext) -> None:
    """Raise NotAuthenticated or PermissionDenied before the body is parsed."""
    if Action.UPLOAD not in context.caller.actions:
        with audited_write(context, STORE):
            pass


def store_files(
    context: RequestContext, sources: Sequence[Source], study_instance_uid: str | None = None
) -> list[StoreOutcome]:
    """Store files, all of one study if its UID is given; return their outcomes in order, and close the files.

    A caller with a scope stores only in what the caller can see: studies of PatientIDs in scope, and visible studies.
    `already_stored` and `was_in_trash` are not set for a caller without the permission to view, whom they would tell
    what is in the archive. Raises InvalidRequest without files, and ArchiveUnavailable or InsufficientStorage if
    that is why nothing is stored.
    """
    try:
        with audited_write(context, STORE) as event:
            UPLOADED_BYTES.inc(sum(source.size for source in sources))
            outcomes = _store(context, sources, study_instance_uid, event)
            errors = [one.error for one in outcomes if one.error]
            if len(errors) == len(outcomes):
                for error in errors:
                    if isinstance(error, ArchiveUnavailable | InsufficientStorage):
                        raise error
                is_denied = any(isinstance(error, PermissionDenied) for error in errors)
                event.outcome = AuditOutcome.DENIED if is_denied else AuditOutcome.FAILED
            logger.info("store", extra={**event.counts})
            if Action.VIEW not in context.caller.actions:
                return [replace(one, already_stored=False, was_in_trash=False) for one in outcomes]
            return outcomes
    finally:
        for source in sources:
            source.close()


def _store(
    context: RequestContext, sources: Sequence[Source], study_instance_uid: str | None, event: PendingEvent
) -> list[StoreOutcome]:
    if not sources:
        raise InvalidRequest("The request contains no files.")
    with closing(in_parallel(partial(_identified, study_instance_uid), sources)) as identified:
        outcomes = list(identified)
    files = [one.file for one in outcomes if one.file]
    event.subjects = list(dict.fromkeys(Subject(one.patient_id, one.study_instance_uid) for one in files))
    outcomes = _in_scope(context, outcomes)
    if any(one.error is None for one in outcomes):
        event.write_intent()
    store = partial(_store_one, context, Outage(context.client))
    studies = {one.file.study_orthanc_id for one in outcomes if one.file and not one.error}
    was_in_trash = restore_stored(context, studies)
    # closed before the files are: no thread reads them afterwards
    with closing(in_parallel(store, outcomes)) as stored:
        outcomes = list(stored)
    was_in_trash |= restore_stored(context, studies, is_stored=True)
    outcomes = [replace(one, was_in_trash=was_in_trash and one.error is None) for one in outcomes]
    failed = sum(one.error is not None for one in outcomes)
    already_stored = sum(one.already_stored for one in outcomes)
    event.counts = {
        "instances": len(outcomes) - failed - already_stored,
        "alreadyStored": already_stored,
        "failed": failed,
    }
    return outcomes


def _identified(study_instance_uid: str | None, source: Source) -> StoreOutcome:
    try:
        file = IdentifiedFile.of(source)
    except GatewayError as error:
        return StoreOutcome(error=error)
    if study_instance_uid not in (None, file.study_instance_uid):
        return StoreOutcome(file, InvalidRequest("The file belongs to another study than that of the URL."))
    return StoreOutcome(file)


def _in_scope(context: RequestContext, outcomes: Sequence[StoreOutcome]) -> list[StoreOutcome]:
    """Return the outcomes, with errors for files of what the caller cannot see, whether it exists or not."""
    scope = context.caller.scope
    if not scope.is_restricted:
        return list(outcomes)
    files = [one.file for one in outcomes if one.file and not one.error]
    by_study = {one.study_orthanc_id for one in files if not scope.admits_patient(one.patient_id)}
    studies = look_up(context, LevelPlan(level=Level.STUDY), sorted(by_study)) if by_study else []
    hidden = by_study - {study.orthanc_id for study in studies}

    def checked(outcome: StoreOutcome) -> StoreOutcome:
        if outcome.error or not outcome.file:
            return outcome
        if not outcome.file.is_unambiguous:
            return replace(outcome, error=UnreadableDicom("The file has no valid PatientID."))
        if outcome.file.study_orthanc_id in hidden:
            return replace(outcome, error=PermissionDenied("You do not have permission to do this for this study."))
        return outcome

    return [checked(one) for one in outcomes]


def _store_one(context: RequestContext, outage: Outage, outcome: StoreOutcome) -> StoreOutcome:
    if outcome.error or not outcome.file:
        return outcome
    try:
        outage.check()
        location = outcome.file.store(context.client, reencoded=context.caller.scope.is_restricted)
    except GatewayError as error:
        outage.learn(error)
        return replace(outcome, error=error)
    return replace(outcome, already_stored=location.already_stored)
