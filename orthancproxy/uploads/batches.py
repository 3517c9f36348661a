"""The records of uploads: what was sent with which key, so that the rest can be sent later, in any order and again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from orthancproxy.archive.scope import Scope
from orthancproxy.dicom.uids import UploadUIDs
from orthancproxy.errors import InvalidRequest
from orthancproxy.uploads.models import UploadBatch, UploadedFile

AT_ONCE = 500  # rows in one statement
# not by whom, nor for which patient
IN_USE = "This upload key is in use for another upload."
Outcome = UploadedFile.Outcome
SEPARATOR = "\\"
# after which nobody is at work any more on what was taken: the gateway was killed
BROKEN_OFF = timedelta(minutes=10)


def visible_batches(scope: Scope) -> QuerySet[UploadBatch]:
    """The uploads for patients in a scope, with how many files are stored (`uploaded`) and `failed`.

    Which labels their studies have, only the archive knows.
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
    uploaded_by: str,
    patient_name: str | None,
    study_description: str | None,
    default_description: str,
) -> UploadBatch:
    """Begin an upload, or go on with the one that has this key.

    Raises InvalidRequest when the key is in use by somebody else, or with another patient, name or description.
    """
    batch, is_new = UploadBatch.objects.get_or_create(
        upload_key=uids.upload_key,
        defaults={
            "uploaded_by": uploaded_by,
            "patient_id": uids.patient_id,
            "patient_name": patient_name or uids.patient_id,
            "study_instance_uid": uids.study,
            "study_description": default_description if study_description is None else study_description,
        },
    )
    if is_new:
        return batch
    if batch.uploaded_by and batch.uploaded_by != uploaded_by:
        raise InvalidRequest(IN_USE)
    if batch.patient_id != uids.patient_id:
        raise InvalidRequest(IN_USE)
    for what, known, given in (
        ("patient name", batch.patient_name, patient_name),
        ("study description", batch.study_description, study_description),
    ):
        if given is not None and given != known:
            raise InvalidRequest(f"This upload key is in use with another {what}.")
    batch.state = UploadBatch.State.UPLOADING
    batch.save(update_fields=["state", "updated_at"])
    return batch


def register(files: Sequence[UploadedFile]) -> None:
    """Keep the UIDs of files, before any file is rewritten that may refer to them."""
    UploadedFile.objects.bulk_create(_distinct(files), batch_size=AT_ONCE, ignore_conflicts=True)


def known_uids(batch: UploadBatch) -> tuple[Mapping[str, str], frozenset[str]]:
    """The new UIDs of all instances, series and studies that were sent with this key, by the old; and the old studies.

    Of several that an old one became, it is always the same: the first by series and instance.
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


def record_stored(files: Sequence[UploadedFile]) -> None:
    """Keep that files were stored now."""
    for file in files:
        file.outcome = Outcome.STORED
    UploadedFile.objects.bulk_create(
        _distinct(files),
        batch_size=AT_ONCE,
        update_conflicts=True,
        unique_fields=["batch", "identity"],
        update_fields=["outcome", "unresolved", "orthanc_id"],
    )


def record_found(files: Sequence[UploadedFile]) -> None:
    """Keep that files were stored already, of which a record may say more than these do."""
    recorded: set[str] = set()
    for rows in _rows(files):
        known = rows.filter(outcome__in=(Outcome.STORED, Outcome.MENDING))
        recorded.update(known.values_list("identity", flat=True))
    record_stored([file for file in files if file.identity not in recorded])


def record_failed(files: Sequence[UploadedFile]) -> None:
    """Keep that files were not stored now; what was stored before stays so."""
    register(files)
    for outcome in (Outcome.FAILED, Outcome.UNAVAILABLE):
        for rows in _rows([file for file in files if file.outcome == outcome]):
            rows.exclude(outcome__in=(Outcome.STORED, Outcome.MENDING)).update(outcome=outcome)


def claim_resolvable(batch: UploadBatch, uids: Mapping[str, str]) -> Iterator[tuple[UploadedFile, str]]:
    """Stored files that refer to what was unknown then and is known now, and what stays unresolved of each.

    A file is given to one caller only, and counts as not stored until that one says otherwise.
    """
    now = timezone.now()
    untaken = Q(outcome=Outcome.STORED) | Q(outcome=Outcome.MENDING, taken_at__lt=now - BROKEN_OFF)
    for file in batch.files.filter(untaken).exclude(unresolved=""):
        references = file.unresolved.split(SEPARATOR)
        left = [uid for uid in references if uid not in uids]
        if len(left) == len(references):
            continue
        row = UploadedFile.objects.filter(pk=file.pk, outcome=file.outcome, taken_at=file.taken_at)
        if row.update(outcome=Outcome.MENDING, taken_at=now):
            yield file, joined(left)


def joined(uids: Iterable[str]) -> str:
    """UIDs as `UploadedFile.unresolved` has them."""
    return SEPARATOR.join(sorted(uids))


def close_batch(batch: UploadBatch, study_orthanc_id: str) -> None:
    """Say how far the upload is when a request ends; other requests with its key may end at the same time."""
    with transaction.atomic():
        locked = UploadBatch.objects.select_for_update().get(pk=batch.pk)
        left = set(batch.files.exclude(outcome__in=(Outcome.STORED, Outcome.FAILED)).values_list("outcome", flat=True))
        if left & {Outcome.UNAVAILABLE, Outcome.MENDING}:
            locked.state = UploadBatch.State.INCOMPLETE
        else:
            locked.state = UploadBatch.State.UPLOADING if left else UploadBatch.State.COMPLETE
        locked.study_orthanc_id = study_orthanc_id or locked.study_orthanc_id
        locked.save(update_fields=["state", "study_orthanc_id", "updated_at"])


def _distinct(files: Sequence[UploadedFile]) -> list[UploadedFile]:
    """One of each file: a statement can't write a row twice."""
    return list({file.identity: file for file in files}.values())


def _rows(files: Sequence[UploadedFile]) -> Iterator[QuerySet[UploadedFile]]:
    """What the database has of these files, in parts that a statement can ask for."""
    for start in range(0, len(files), AT_ONCE):
        part = files[start : start + AT_ONCE]
        yield UploadedFile.objects.filter(batch=part[0].batch, identity__in=[file.identity for file in part])
