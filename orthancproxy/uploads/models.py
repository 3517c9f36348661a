"""The tables of uploads: a batch for each upload key of a user, and the files that were sent with it."""

from typing import ClassVar

from django.db import models

MAX_KEY_CHARACTERS = 128


class UploadBatch(models.Model):
    """Everything that a user sent with one upload key: one study of one patient."""

    class State(models.TextChoices):
        """The progress of an upload."""

        UPLOADING = "UPLOADING"
        COMPLETE = "COMPLETE"
        INCOMPLETE = "INCOMPLETE"

    upload_key = models.CharField(max_length=MAX_KEY_CHARACTERS)
    # empty for anonymous callers
    uploaded_by = models.CharField(max_length=150, blank=True)
    patient_id = models.CharField(max_length=64)
    patient_name = models.CharField(max_length=324)
    study_instance_uid = models.CharField(max_length=64)
    study_description = models.TextField(blank=True)
    # of files without one; empty for the time of the upload
    study_date = models.CharField(max_length=8, blank=True)
    study_time = models.CharField(max_length=13, blank=True)
    # digests of what its stored files had and should agree on, by kind (`distinct_values`)
    distinct_values = models.JSONField(default=dict, blank=True)
    # empty until a file is stored
    study_orthanc_id = models.CharField(max_length=44, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.UPLOADING)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """A key of one user says nothing about those of others."""

        constraints: ClassVar = [
            models.UniqueConstraint(fields=["uploaded_by", "upload_key"], name="one_batch_for_each_key_of_a_user")
        ]

    def __str__(self) -> str:
        return self.upload_key


class UploadedFile(models.Model):
    """A file of a batch and its outcome. The same bytes in the same folder are the same file."""

    class Outcome(models.TextChoices):
        """The outcome of a file."""

        PENDING = "PENDING"
        STORED = "STORED"
        FAILED = "FAILED"  # permanently
        UNAVAILABLE = "UNAVAILABLE"  # worth a retry
        MENDING = "MENDING"  # being stored again, with resolved references; worth a retry when interrupted

    batch = models.ForeignKey(UploadBatch, on_delete=models.CASCADE, related_name="files")
    # SHA-256 of folder and content
    identity = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.PENDING)
    # empty where the file is not DICOM
    old_study_uid = models.CharField(max_length=64, blank=True)
    old_series_uid = models.CharField(max_length=64, blank=True)
    old_sop_uid = models.CharField(max_length=64, blank=True)
    series_uid = models.CharField(max_length=64, blank=True)
    sop_uid = models.CharField(max_length=64, blank=True)
    # UIDs that it refers to and that have not been sent yet, separated by backslashes
    unresolved = models.TextField(blank=True)
    # when a request began to store it again
    taken_at = models.DateTimeField(null=True)
    # empty until it is stored
    orthanc_id = models.CharField(max_length=44, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["batch", "identity"], name="one_row_for_each_file")]

    def __str__(self) -> str:
        return self.identity
