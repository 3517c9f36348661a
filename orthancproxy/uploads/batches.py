"""The database rows of uploads, which let a client send the rest of a batch later, in any order and again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from orthancproxy.archive.scope import Scope
from orthancproxy.errors import InvalidRequest
from orthancproxy.uploads.distinct_values import merged
from orthancproxy.uploads.files import FailedFile, InspectedFile, StoredFile, UploadErrorCode
from orthancproxy.uploads.late_references import Claim, Resolution
from orthancproxy.uploads.models import UploadBatch, UploadedFile
from orthancproxy.uploads.uids import UploadUIDs

MAX_ROWS_PER_STATEMENT = 500
# it does not name the other patient
KEY_IN_USE = "This upload key is in use for another upload."
SEPARATOR = "\\"
# no request takes so long to store one file again: the gateway was killed
CLAIM_EXPIRES_AFTER = timedelta(minutes=10)
Outcome = UploadedFile.Outcome
# a later request that finds or fails the same file does not overwrite these
PROTECTED_OUTCOMES = (Outcome.STORED, Outcome.MENDING)


def visible_batches(scope: Scope) -> QuerySet[UploadBatch]:
    """Return the batches of patients in a scope, with their numbers of stored (`uploaded`) and `failed` files.

    Labels of a scope are not considered: only the archive knows them.
    """
    stored = Q(files__outcome=Outcome.STORED)
    not_stored = Q(files__outcome__in=(Outcome.FAILED, Outcome.UNAVAILABLE, Outcome.MENDING))
    batches = UploadBatch.objects.all()
    if scope.is_restricted:
        patients = UploadBatch.objects.values_list("patient_id", flat=True).distinct()
        batches = batches.filter(patient_id__in=[patient for patient in patients if scope.admits_patient(patient)])
    return batches.annotate(uploaded=Count("files", filter=stored), failed=Count("files", filter=not_stored))


def open_batch(
    uids: UploadUIDs,
    *,
    patient_name: str | None,
    study_description: str | None,
    default_description: str,
    study_date: str,
    study_time: str,
) -> UploadBatch:
    """Create the batch of a user's upload key, or return the existing one, for which dates and defaults are not used.

    Raises InvalidRequest when it has another patient, patient name or study description.
    """
    batch, is_new = UploadBatch.objects.get_or_create(
        uploaded_by=uids.username,
        upload_key=uids.upload_key,
        defaults={
            "patient_id": uids.patient_id,
            "patient_name": patient_name or uids.patient_id,
            "study_instance_uid": uids.study,
            "study_description": default_description if study_description is None else study_description,
            "study_date": study_date,
            "study_time": study_time,
        },
    )
    if is_new:
        return batch
    if batch.patient_id != uids.patient_id:
        raise InvalidRequest(KEY_IN_USE)
    for what, known, given in (
        ("patient name", batch.patient_name, patient_name),
        ("study description", batch.study_description, study_description),
    ):
        if given is not None and given != known:
            raise InvalidRequest(f"This upload key is in use with another {what}.")
    batch.state = UploadBatch.State.UPLOADING
    batch.save(update_fields=["state", "updated_at"])
    return batch


def register(batch: UploadBatch, files: Sequence[InspectedFile | FailedFile]) -> None:
    """Insert the files that are new in a batch, before a file is rewritten that may refer to them."""
    rows = _unique_rows(batch, files)
    UploadedFile.objects.bulk_create(rows, batch_size=MAX_ROWS_PER_STATEMENT, ignore_conflicts=True)


def known_uids(batch: UploadBatch) -> tuple[Mapping[str, str], frozenset[str]]:
    """Return the new UIDs of all instances, series and studies of a batch, by the old ones; and the old studies.

    An old UID that became several new ones always maps to the first by series and instance.
    """
    instances: dict[str, str] = {}
    series: dict[str, str] = {}
    studies: set[str] = set()
    rows = batch.files.exclude(sop_uid="").order_by("series_uid", "sop_uid")
    for old_study, old_series, old_instance, new_series, new_instance in rows.values_list(
        "old_study_uid", "old_series_uid", "old_sop_uid", "series_uid", "sop_uid"
    ).iterator():
        studies.add(old_study)
        series.setdefault(old_series, new_series)
        instances.setdefault(old_instance, new_instance)
    uids = {**dict.fromkeys(studies, batch.study_instance_uid), **series, **instances}
    uids.pop("", None)
    return uids, frozenset(studies)


def record(batch: UploadBatch, files: Sequence[StoredFile | FailedFile]) -> None:
    """Write the outcomes of at most MAX_ROWS_PER_STATEMENT files. A file that was stored before stays stored."""
    stored = [file for file in files if isinstance(file, StoredFile)]
    _record_stored(batch, [file for file in stored if not file.location.already_stored])
    # the row of a file that was stored before can know more of its references than this request does
    found = [file for file in stored if file.location.already_stored]
    rows = _rows(batch, [file.inspected.identity for file in found]).filter(outcome__in=PROTECTED_OUTCOMES)
    recorded = set(rows.values_list("identity", flat=True))
    _record_stored(batch, [file for file in found if file.inspected.identity not in recorded])
    for outcome in (Outcome.FAILED, Outcome.UNAVAILABLE):
        failed = [file.identity for file in files if isinstance(file, FailedFile) and _outcome(file) == outcome]
        _rows(batch, failed).exclude(outcome__in=PROTECTED_OUTCOMES).update(outcome=outcome)


def stored_before(batch: UploadBatch, files: Sequence[InspectedFile | FailedFile]) -> Mapping[str, str]:
    """Return the Orthanc ids of the files that earlier requests stored, by identity."""
    identities = [file.identity for file in files]
    stored: dict[str, str] = {}
    for start in range(0, len(identities), MAX_ROWS_PER_STATEMENT):
        rows = _rows(batch, identities[start : start + MAX_ROWS_PER_STATEMENT]).exclude(orthanc_id="")
        stored |= dict(rows.values_list("identity", "orthanc_id"))
    return stored


def claim_resolvable(batch: UploadBatch, uids: Mapping[str, str]) -> Iterator[Claim]:
    """Claim the stored files with unresolved references that `uids` resolves.

    Each file is claimed by one caller. It counts as not stored until `release`: also when the gateway is killed.
    """
    now = timezone.now()
    unclaimed = Q(outcome=Outcome.STORED) | Q(outcome=Outcome.MENDING, taken_at__lt=now - CLAIM_EXPIRES_AFTER)
    for file in batch.files.filter(unclaimed).exclude(unresolved=""):
        references = frozenset(file.unresolved.split(SEPARATOR))
        unresolved = references - uids.keys()
        if unresolved == references:
            continue
        row = UploadedFile.objects.filter(pk=file.pk, outcome=file.outcome, taken_at=file.taken_at)
        if row.update(outcome=Outcome.MENDING, taken_at=now):
            yield Claim(file, unresolved, is_interrupted=file.outcome == Outcome.MENDING)


def release(claim: Claim, resolution: Resolution, unresolved: frozenset[str]) -> None:
    """Write how a claim ended."""
    row = UploadedFile.objects.filter(pk=claim.row.pk)
    match resolution:
        case Resolution.RESOLVED:
            row.update(outcome=Outcome.STORED, unresolved=_joined(unresolved))
        case Resolution.POSTPONED:
            row.update(outcome=Outcome.STORED)
        case Resolution.LOST:
            row.update(outcome=Outcome.UNAVAILABLE)


def merged_series(batch: UploadBatch) -> Mapping[str, int]:
    """Return the new series that stored files of several old series became, with the number of these."""
    stored = batch.files.filter(outcome__in=PROTECTED_OUTCOMES).order_by()
    counts = stored.values("series_uid").annotate(old=Count("old_series_uid", distinct=True)).filter(old__gt=1)
    return dict(counts.values_list("series_uid", "old"))


def close_batch(batch: UploadBatch, study_orthanc_id: str, digests: Mapping[str, Iterable[str]]) -> None:
    """Write the state of a batch when a request ends; other requests with its key can end at the same time.

    `digests` are those of the request's stored files; afterwards `batch` has those of all requests.
    """
    with transaction.atomic():
        locked = UploadBatch.objects.select_for_update().get(pk=batch.pk)
        left = set(batch.files.exclude(outcome__in=(Outcome.STORED, Outcome.FAILED)).values_list("outcome", flat=True))
        if left & {Outcome.UNAVAILABLE, Outcome.MENDING}:
            locked.state = UploadBatch.State.INCOMPLETE
        else:
            locked.state = UploadBatch.State.UPLOADING if left else UploadBatch.State.COMPLETE
        locked.study_orthanc_id = study_orthanc_id or locked.study_orthanc_id
        batch.distinct_values = locked.distinct_values = merged(locked.distinct_values, digests)
        locked.save(update_fields=["state", "study_orthanc_id", "distinct_values", "updated_at"])


def _record_stored(batch: UploadBatch, files: Sequence[StoredFile]) -> None:
    UploadedFile.objects.bulk_create(
        _unique_rows(batch, files),
        update_conflicts=True,
        unique_fields=["batch", "identity"],
        update_fields=["outcome", "unresolved", "orthanc_id"],
    )


def _unique_rows(
    batch: UploadBatch, files: Sequence[InspectedFile | FailedFile] | Sequence[StoredFile]
) -> list[UploadedFile]:
    """Return one row for each file: a statement cannot write a row twice."""
    return list({row.identity: row for row in (_row(batch, file) for file in files)}.values())


def _row(batch: UploadBatch, file: InspectedFile | StoredFile | FailedFile) -> UploadedFile:
    match file:
        case FailedFile():
            return UploadedFile(batch=batch, identity=file.identity, outcome=_outcome(file))
        case StoredFile():
            row = _row(batch, file.inspected)
            row.outcome, row.unresolved = Outcome.STORED, _joined(file.unresolved)
            row.orthanc_id = file.location.instance_id
            return row
    return UploadedFile(
        batch=batch,
        identity=file.identity,
        old_study_uid=file.old_study_uid,
        old_series_uid=file.old_series_uid,
        old_sop_uid=file.old_sop_uid,
        series_uid=file.series_uid,
        sop_uid=file.sop_uid,
    )


def _outcome(file: FailedFile) -> UploadedFile.Outcome:
    return Outcome.UNAVAILABLE if file.code is UploadErrorCode.ARCHIVE_UNAVAILABLE else Outcome.FAILED


def _rows(batch: UploadBatch, identities: Sequence[str]) -> QuerySet[UploadedFile]:
    return UploadedFile.objects.filter(batch=batch, identity__in=identities)


def _joined(uids: Iterable[str]) -> str:
    return SEPARATOR.join(sorted(uids))
