"""The rows of an upload: what they keep when requests with its key end, in any order."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orthancproxy.errors import InvalidRequest
from orthancproxy.uploads import batches
from orthancproxy.uploads.files import FailedFile, UploadErrorCode
from orthancproxy.uploads.late_references import Resolution
from orthancproxy.uploads.models import UploadBatch, UploadedFile
from orthancproxy.uploads.uids import UploadUIDs

pytestmark = pytest.mark.django_db(transaction=True)

Outcome, State = UploadedFile.Outcome, UploadBatch.State


def opened(name: str | None = None, description: str | None = None, patient_id: str = "P1") -> UploadBatch:
    return batches.open_batch(
        UploadUIDs(patient_id, "key"),
        patient_name=name,
        study_description=description,
        default_description="Upload",
        study_date="20260111",
        study_time="",
    )


def with_file(batch: UploadBatch, outcome: UploadedFile.Outcome, **values: object) -> UploadedFile:
    identity = f"file {batch.files.count()}"
    row: UploadedFile = batch.files.create(identity=identity, outcome=outcome, **values)
    return row


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([], State.COMPLETE),
        ([Outcome.STORED, Outcome.FAILED], State.COMPLETE),
        ([Outcome.STORED, Outcome.PENDING], State.UPLOADING),
        ([Outcome.STORED, Outcome.UNAVAILABLE], State.INCOMPLETE),
        ([Outcome.PENDING, Outcome.MENDING], State.INCOMPLETE),
    ],
)
def test_the_state_of_a_batch_is_that_of_its_files(
    outcomes: list[UploadedFile.Outcome], state: UploadBatch.State
) -> None:
    batch = opened()
    for outcome in outcomes:
        with_file(batch, outcome)
    batches.close_batch(batch, "", {})
    assert UploadBatch.objects.get().state == state
    assert opened().state == State.UPLOADING


def test_a_request_that_stores_nothing_keeps_the_study_of_an_earlier_one() -> None:
    batch = opened()
    batches.close_batch(batch, "study", {})
    batches.close_batch(batch, "", {})
    assert UploadBatch.objects.get().study_orthanc_id == "study"


def test_a_key_has_one_patient_one_name_and_one_description() -> None:
    first = opened("Kim^A", "")
    assert opened() == opened("Kim^A") == opened("Kim^A", "") == first
    for name, description, patient_id in (
        ("Lee^B", None, "P1"),
        ("", None, "P1"),
        (None, "MRI", "P1"),
        (None, None, "P2"),
    ):
        with pytest.raises(InvalidRequest, match="This upload key is in use"):
            opened(name, description, patient_id)
    batch = UploadBatch.objects.get()
    assert (batch.patient_id, batch.patient_name, batch.study_description) == ("P1", "Kim^A", "")


def test_a_batch_without_name_and_description_has_the_defaults() -> None:
    batch = opened()
    assert (batch.patient_name, batch.study_description, batch.study_date) == ("P1", "Upload", "20260111")


def test_a_file_is_claimed_once_and_again_when_its_claim_has_expired() -> None:
    batch = opened()
    row = with_file(batch, Outcome.STORED, unresolved="1.2\\1.3", orthanc_id="a")
    with_file(batch, Outcome.STORED, unresolved="1.4", orthanc_id="b")
    with_file(batch, Outcome.STORED, orthanc_id="c")
    [claim] = batches.claim_resolvable(batch, {"1.2": "2.25.1"})
    assert (claim.row, claim.unresolved, claim.is_interrupted) == (row, frozenset({"1.3"}), False)
    assert list(batches.claim_resolvable(batch, {"1.2": "2.25.1"})) == []
    taken = UploadedFile.objects.filter(pk=row.pk)
    taken.update(taken_at=timezone.now() - batches.CLAIM_EXPIRES_AFTER + timedelta(minutes=1))
    assert list(batches.claim_resolvable(batch, {"1.2": "2.25.1"})) == []
    taken.update(taken_at=timezone.now() - batches.CLAIM_EXPIRES_AFTER - timedelta(minutes=1))
    [again] = batches.claim_resolvable(batch, {"1.2": "2.25.1"})
    assert (again.row, again.is_interrupted) == (row, True)


@pytest.mark.parametrize("code", [UploadErrorCode.UNREADABLE, UploadErrorCode.ARCHIVE_UNAVAILABLE])
def test_a_stored_file_stays_stored_when_a_later_request_fails_it(code: UploadErrorCode) -> None:
    batch = opened()
    rows = {outcome: with_file(batch, outcome) for outcome in (Outcome.STORED, Outcome.MENDING, Outcome.PENDING)}
    batches.record(batch, [FailedFile(0, "", "", code, "", row.identity) for row in rows.values()])
    failed = Outcome.UNAVAILABLE if code is UploadErrorCode.ARCHIVE_UNAVAILABLE else Outcome.FAILED
    assert list(batch.files.order_by("pk").values_list("outcome", flat=True)) == [
        Outcome.STORED,
        Outcome.MENDING,
        failed,
    ]


@pytest.mark.parametrize(
    ("resolution", "outcome", "unresolved"),
    [
        (Resolution.RESOLVED, Outcome.STORED, "1.3"),
        (Resolution.POSTPONED, Outcome.STORED, "1.2\\1.3"),
        (Resolution.LOST, Outcome.UNAVAILABLE, "1.2\\1.3"),
    ],
)
def test_a_released_claim_leaves_what_is_unresolved(
    resolution: Resolution, outcome: UploadedFile.Outcome, unresolved: str
) -> None:
    batch = opened()
    with_file(batch, Outcome.STORED, unresolved="1.2\\1.3", orthanc_id="a")
    [claim] = batches.claim_resolvable(batch, {"1.2": "2.25.1"})
    batches.release(claim, resolution, claim.unresolved)
    row = batch.files.get()
    assert (row.outcome, row.unresolved) == (outcome, unresolved)
