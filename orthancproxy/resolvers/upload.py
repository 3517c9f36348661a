"""Uploading: the files of a folder become one study of one patient.

Each file ends in exactly one of three states: uploaded, already stored, or failed. UIDs are derived from the upload
key, so that a file that is sent again is not stored again (ADR 0007).
"""

import logging
import unicodedata
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from django.db.models import QuerySet

from orthancproxy.access.actions import Action
from orthancproxy.access.policy import authorize
from orthancproxy.archive.levels import Level, study_orthanc_id
from orthancproxy.archive.matching import is_patient_id
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, MESSAGE
from orthancproxy.dicom.validation import long_string, person_name
from orthancproxy.errors import GatewayUnavailable, InvalidRequest
from orthancproxy.metrics import UPLOADED_BYTES
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.operations import UPLOAD
from orthancproxy.resolvers.restoring import WAS_IN_TRASH, restore_stored
from orthancproxy.uploads import batches
from orthancproxy.uploads.files import FailedFile, SentFile, StoredFile, close
from orthancproxy.uploads.inspection import common_date, common_description, common_time, inspect
from orthancproxy.uploads.models import MAX_KEY_CHARACTERS, UploadBatch
from orthancproxy.uploads.storing import BatchUpload
from orthancproxy.uploads.uids import UploadUIDs
from orthancproxy.uploads.warnings import DEMOGRAPHICS, warnings
from orthancproxy.uploads.zips import unpack

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """The files and values of a request. Without a key, it creates a study of its own."""

    files: Sequence[SentFile]
    patient_id: str
    patient_name: str | None = None
    study_description: str | None = None
    upload_key: str | None = None


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The outcome: each file is counted in `uploaded` or `already_stored`, or is in `failed`.

    `study_id` and `series_ids` are Orthanc ids; None and empty where nothing is stored.
    """

    upload_key: str
    patient_id: str
    study_instance_uid: str
    study_description: str
    study_id: str | None
    series_ids: tuple[str, ...]
    uploaded: int
    already_stored: int
    failed: tuple[FailedFile, ...]
    warnings: tuple[str, ...]


def require_upload_permission(context: RequestContext) -> None:
    """Raise NotAuthenticated or PermissionDenied before the body is parsed."""
    if Action.UPLOAD not in context.caller.actions:
        with audited_write(context, UPLOAD):
            pass


def get_uploads(context: RequestContext) -> QuerySet[UploadBatch]:
    """Return the uploads that the caller may see, the newest first."""
    with audited_read(context):
        return batches.visible_batches(context.caller.scope).order_by("-created_at", "-pk")


def upload(context: RequestContext, request: UploadRequest) -> UploadResult:
    """Rewrite files, store them as one study, and close them.

    Raises InvalidRequest for a value that DICOM does not allow or a key that is in use for another upload,
    LimitExceeded, InsufficientStorage, and ArchiveUnavailable if Orthanc does not answer at the start; nothing of the
    request is stored then.
    """
    with ExitStack() as spools:
        # Django does not close what is parsed after the client has disconnected
        spools.callback(close, request.files)
        with audited_write(context, UPLOAD) as event:
            UPLOADED_BYTES.inc(sum(file.source.size for file in request.files))
            result = _upload(context, request, event, spools)
            if result.study_id is None:
                event.outcome = AuditOutcome.FAILED
            counts = {"uploaded": result.uploaded, "already_stored": result.already_stored}
            logger.info("upload", extra={**counts, "failed": len(result.failed)})
            return result


def _upload(context: RequestContext, request: UploadRequest, event: PendingEvent, spools: ExitStack) -> UploadResult:
    if not request.files:
        raise InvalidRequest("The upload contains no files.")
    patient_id = long_string(request.patient_id, "patient ID")
    if not patient_id:
        raise InvalidRequest("The patient ID is empty.")
    if not is_patient_id(patient_id):
        raise InvalidRequest("The patient ID looks like a path.")
    event.subjects = [Subject(patient_id)]
    authorize(context.caller, Action.UPLOAD, patient_id)
    patient_name = person_name(request.patient_name or "", "patient name") or None
    if patient_name is None:
        person_name(patient_id, "patient ID, which is also the patient name,")
    description = long_string(request.study_description or "", "study description") or None
    uids = UploadUIDs(patient_id, _upload_key(request.upload_key), context.caller.username)
    event.subjects = [Subject(patient_id, uids.study)]
    known_patient = _known_patient(context, patient_id)

    unpacked, left_out = unpack(request.files, spools)
    files = list(inspect(unpacked, uids))
    batch = batches.open_batch(
        uids,
        patient_name=patient_name,
        study_description=description,
        default_description=common_description(files) or conf.ORTHANC_DEFAULT_STUDY_DESCRIPTION,
        study_date=common_date(files),
        study_time=common_time(files),
    )
    event.write_intent()
    batch_upload = BatchUpload(context.client, batch)
    study = study_orthanc_id(batch.patient_id, batch.study_instance_uid)
    was_in_trash = restore_stored(context, [study])
    try:
        batch_upload.run(files)
        was_in_trash |= restore_stored(context, [study], is_stored=True)
    except DATABASE_ERRORS as error:
        message = f"{MESSAGE} Files may be stored nevertheless: send them again with the key {batch.upload_key}."
        raise GatewayUnavailable(message) from error
    finally:
        stored = [file for file in batch_upload.outcomes if isinstance(file, StoredFile)]
        failed = tuple(file for file in batch_upload.outcomes if isinstance(file, FailedFile))
        already_stored = sum(file.location.already_stored for file in stored)
        uploaded = len(stored) - already_stored
        event.counts = {"instances": uploaded, "alreadyStored": already_stored, "failed": len(failed)}
    return UploadResult(
        upload_key=batch.upload_key,
        patient_id=batch.patient_id,
        study_instance_uid=batch.study_instance_uid,
        study_description=batch.study_description,
        study_id=stored[0].location.study_id if stored else None,
        series_ids=tuple(sorted({file.location.series_id for file in stored})),
        uploaded=uploaded,
        already_stored=already_stored,
        failed=failed,
        warnings=(
            *warnings(known_patient, batch_upload, stored, left_out),
            # it would reveal what is in the archive
            *([WAS_IN_TRASH] if was_in_trash and Action.VIEW in context.caller.actions else []),
        ),
    )


def _known_patient(context: RequestContext, patient_id: str) -> Resource | None:
    """Return the patient as it is in the archive. Raises ArchiveUnavailable before anything is written."""
    if Action.VIEW not in context.caller.actions:
        # warnings would reveal who is in the archive
        context.client.ping()
        return None
    plan = LevelPlan(level=Level.PATIENT, needs=Needs(frozenset(DEMOGRAPHICS)))
    return context.open_hierarchy().by_identifier(plan, patient_id)


def _upload_key(given: str | None) -> str:
    if not given:
        return str(uuid.uuid4())
    if len(given) > MAX_KEY_CHARACTERS or any(unicodedata.category(char) in ("Cc", "Cs") for char in given):
        raise InvalidRequest(f"An upload key has at most {MAX_KEY_CHARACTERS} characters, and no control characters.")
    return given
