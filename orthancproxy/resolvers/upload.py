"""Uploading: the files of a folder become one study of one patient.

Every file ends in exactly one of three states: uploaded, already stored, or failed. UIDs are derived from the upload
key, so that a file that is sent again is not stored again (ADR 0007).
"""

import logging
import threading
import unicodedata
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db.models import QuerySet
from django.utils import timezone

from orthancproxy.access.actions import Action
from orthancproxy.access.policy import authorize
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import store
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, MESSAGE
from orthancproxy.dicom import file_format
from orthancproxy.dicom.rewrite import RewriteTarget, rewrite
from orthancproxy.dicom.uids import UploadUIDs
from orthancproxy.dicom.validation import long_string, person_name
from orthancproxy.errors import ArchiveUnavailable, GatewayError, GatewayUnavailable, InvalidRequest
from orthancproxy.logs import log_archive_failure
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.operations import UPLOAD
from orthancproxy.uploads import batches
from orthancproxy.uploads.files import FailedFile, SentFile, UploadErrorCode, failed, unpack
from orthancproxy.uploads.inspection import Scanned, scan
from orthancproxy.uploads.late_references import Resolution, resolve_references
from orthancproxy.uploads.models import MAX_KEY, UploadBatch, UploadedFile
from orthancproxy.uploads.workers import in_parallel

logger = logging.getLogger(__name__)

RECORDED_AT_ONCE = 200  # files
MAX_FOLDERS_WARNED_OF = 10
LOST = (
    "files that were stored before could not be stored again with their references: send them once more with this key."
)
DEMOGRAPHICS = {"PatientName": "name", "PatientBirthDate": "birth date", "PatientSex": "sex"}


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What somebody wants to be uploaded. Without a key, it is an upload of its own."""

    files: Sequence[SentFile]
    patient_id: str
    patient_name: str | None = None
    study_description: str | None = None
    upload_key: str | None = None


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of it; `uploaded`, `already_stored` and `failed` are as many as files were sent.

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
    """Turn away who may not upload, before what they sent is read. Raises NotAuthenticated or PermissionDenied."""
    if Action.UPLOAD not in context.caller.actions:
        with audited_write(context, UPLOAD):
            pass


def get_uploads(context: RequestContext) -> QuerySet[UploadBatch]:
    """The uploads that a caller may see, the newest first."""
    with audited_read(context):
        return batches.visible_batches(context.caller.scope).order_by("-created_at", "-pk")


def upload(context: RequestContext, request: UploadRequest) -> UploadResult:
    """Rewrite files and store them as one study.

    Raises InvalidRequest for a value that DICOM does not allow or a key that is in use otherwise, LimitExceeded, and
    ArchiveUnavailable where Orthanc is not there from the beginning; nothing is stored then.
    """
    with audited_write(context, UPLOAD) as record:
        result = _upload(context, request, record)
        if result.study_id is None:
            record.outcome = AuditOutcome.FAILED
        logger.info(
            "upload",
            extra={
                "uploaded": result.uploaded,
                "already_stored": result.already_stored,
                "failed": len(result.failed),
            },
        )
        return result


def _upload(context: RequestContext, request: UploadRequest, record: PendingEvent) -> UploadResult:
    if not request.files:
        raise InvalidRequest("There are no files in the upload.")
    patient_id = long_string(request.patient_id, "patient ID")
    if not patient_id:
        raise InvalidRequest("The patient ID is empty.")
    record.subjects = [Subject(patient_id)]
    authorize(context.caller, Action.UPLOAD, patient_id)
    patient_name = person_name(request.patient_name or "", "patient name") or None
    if patient_name is None:
        person_name(patient_id, "patient ID, which is the patient name where none is given,")
    description = request.study_description
    if description is not None:
        description = long_string(description, "study description")
    uids = UploadUIDs(patient_id, _upload_key(request.upload_key))
    record.subjects = [Subject(patient_id, uids.study)]
    plan = LevelPlan(level=Level.PATIENT, needs=Needs(frozenset(DEMOGRAPHICS)))
    known_patient = context.open_hierarchy().by_identifier(plan, patient_id)
    if Action.VIEW not in context.caller.actions:
        # the warnings would tell who is in the archive
        known_patient = None

    scanned = list(scan(unpack(request.files)))
    batch = batches.open_batch(
        uids,
        uploaded_by=context.caller.username,
        patient_name=patient_name,
        study_description=description or None,
        default_description=_own_description(scanned) or conf.ORTHANC_DEFAULT_STUDY_DESCRIPTION,
    )
    record.write_intent()
    try:
        lost = _Upload(context.client, batch, uids).carry_out(scanned)
    except DATABASE_ERRORS as error:
        message = f"{MESSAGE} Files may be stored all the same: send them again with the key {batch.upload_key}."
        raise GatewayUnavailable(message) from error
    finally:
        record.counts = _counts(scanned)
    failures = tuple(file.failure for file in scanned if file.failure)
    stored = [file.stored for file in scanned if file.stored]
    already_stored = sum(one.already_stored for one in stored)
    return UploadResult(
        upload_key=batch.upload_key,
        patient_id=batch.patient_id,
        study_instance_uid=batch.study_instance_uid,
        study_description=batch.study_description,
        study_id=stored[0].study_id if stored else None,
        series_ids=tuple(sorted({one.series_id for one in stored})),
        uploaded=len(stored) - already_stored,
        already_stored=already_stored,
        failed=failures,
        warnings=(*_warnings(known_patient, batch, scanned), *([f"{lost} {LOST}"] if lost else [])),
    )


def _counts(scanned: Sequence[Scanned]) -> Mapping[str, int]:
    """How many files ended how, as the audit has it; none of those that nobody came to."""
    stored = [file.stored for file in scanned if file.stored]
    before = sum(one.already_stored for one in stored)
    failures = sum(file.failure is not None for file in scanned)
    return {"instances": len(stored) - before, "alreadyStored": before, "failed": failures}


class _Upload:
    """One request's part of an upload."""

    def __init__(self, client: OrthancClient, batch: UploadBatch, uids: UploadUIDs) -> None:
        self._client = client
        self._batch = batch
        self._uids = uids
        self._moment = timezone.localtime(batch.created_at)
        self._known_uids: Mapping[str, str] = {}
        self._old_study_uids: frozenset[str] = frozenset()
        # set when Orthanc is gone, so that the rest of the files does not wait for it one by one
        self._is_down = threading.Event()

    def carry_out(self, scanned: Sequence[Scanned]) -> int:
        """Store the files and keep records of them; return how many that were stored before were lost."""
        for file in scanned:
            file.row.batch = self._batch
            if not file.failure:
                file.row.series_uid = self._uids.series(file.entry.folder)
                file.row.sop_uid = self._uids.instance(file.row.identity)
        batches.register([file.row for file in scanned])
        self._known_uids, self._old_study_uids = batches.known_uids(self._batch)
        finished = in_parallel(self._store, scanned)
        while part := list(islice(finished, RECORDED_AT_ONCE)):
            batches.record_stored([file.row for file in part if file.stored and not file.stored.already_stored])
            batches.record_found([file.row for file in part if file.stored and file.stored.already_stored])
            batches.record_failed([file.row for file in part if file.failure])
        lost = self._mend()
        batches.close_batch(self._batch, next((file.stored.study_id for file in scanned if file.stored), ""))
        return lost

    def _store(self, file: Scanned) -> Scanned:
        """Rewrite and send a file; its record says what became of it."""
        if file.failure:
            return file
        try:
            if self._is_down.is_set():
                raise ArchiveUnavailable("Orthanc cannot be reached.")
            rewritten = rewrite(file.file or file_format.read(file.entry.source), self._target(file.row))
            file.file = None
            file.stored = store(self._client, rewritten.payload)
            file.text_kept = rewritten.text_kept
            file.was_signed = rewritten.was_signed
            # which of its references were known when it was stored before, only its record tells
            unresolved = rewritten.references if file.stored.already_stored else rewritten.unresolved
            file.row.unresolved = batches.joined(unresolved)
            file.row.orthanc_id = file.stored.instance_id
        except GatewayError as error:
            file.failure = failed(file.entry, error)
            file.row.outcome = UploadedFile.Outcome.FAILED
            if isinstance(error, ArchiveUnavailable):
                file.row.outcome = UploadedFile.Outcome.UNAVAILABLE
                self._look_whether_it_is_down(error)
        return file

    def _mend(self) -> int:
        """Follow references to files that came later; return how many files were lost by that."""
        lost = 0
        # until there is nothing to do: others send meanwhile, and leave to us what we work on
        while True:
            self._known_uids, self._old_study_uids = batches.known_uids(self._batch)
            taken = batches.claim_resolvable(self._batch, self._known_uids)
            results = Counter(
                resolve_references(self._client, row, self._target(row), unresolved) for row, unresolved in taken
            )
            lost += results[Resolution.LOST]
            if not results[Resolution.YES] or results[Resolution.NO]:
                return lost

    def _look_whether_it_is_down(self, error: ArchiveUnavailable) -> None:
        if self._is_down.is_set():
            return
        try:
            self._client.ping()
        except GatewayError:
            self._is_down.set()
            log_archive_failure(error, UploadErrorCode.ARCHIVE_UNAVAILABLE.value)

    def _target(self, row: UploadedFile) -> RewriteTarget:
        return RewriteTarget(
            patient_id=self._batch.patient_id,
            patient_name=self._batch.patient_name,
            study_instance_uid=self._batch.study_instance_uid,
            series_instance_uid=row.series_uid,
            sop_instance_uid=row.sop_uid,
            study_description=self._batch.study_description,
            moment=self._moment,
            uids=self._known_uids,
            old_study_uids=self._old_study_uids,
        )


def _upload_key(given: str | None) -> str:
    if not given:
        return str(uuid.uuid4())
    if len(given) > MAX_KEY or any(unicodedata.category(character) in ("Cc", "Cs") for character in given):
        raise InvalidRequest(f"An upload key has at most {MAX_KEY} characters, and no control characters.")
    return given


def _own_description(scanned: Sequence[Scanned]) -> str:
    """The files' own StudyDescription where they agree; empty where they do not, or have none."""
    descriptions = {file.description for file in scanned if not file.failure}
    own = descriptions.pop() if len(descriptions) == 1 else ""
    return "" if any(character < " " for character in own) else own


def _warnings(known: Resource | None, batch: UploadBatch, scanned: Sequence[Scanned]) -> Iterator[str]:
    """What the sender should look at. It tells nothing of what is in the archive already."""
    good = [file for file in scanned if file.stored]
    if known is not None:
        sent = {
            "PatientName": {batch.patient_name},
            "PatientBirthDate": {file.birth_date for file in good},
            "PatientSex": {file.sex for file in good},
        }
        for keyword, what in DEMOGRAPHICS.items():
            there = _comparable(known.tags.get(keyword, ""))
            if there and any(value and _comparable(value) != there for value in sent[keyword]):
                yield f"This patient ID is already in the archive under another {what}."
    series: dict[str, set[str]] = defaultdict(set)
    for file in good:
        series[file.entry.folder].add(file.row.old_series_uid)
    for path, uids in islice(((path, uids) for path, uids in series.items() if len(uids) > 1), MAX_FOLDERS_WARNED_OF):
        yield f"The folder “{path}” has files of {len(uids)} series, which became one."
    if kept := sum(file.text_kept for file in good):
        yield f"{kept} files have text that their SpecificCharacterSet does not allow: it was taken for Latin-1."
    if signed := sum(file.was_signed for file in good):
        yield f"{signed} files had digital signatures, which are left out: they are not true of what was stored."


def _comparable(value: str) -> str:
    """A value without padding and without the delimiters of empty components at its end."""
    return unicodedata.normalize("NFC", value).strip(" \0").rstrip("^= ")
