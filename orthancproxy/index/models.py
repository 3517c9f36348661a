"""The tables of the index: an entry for each patient and study of the archive, and how far the index has come."""

from typing import Any, ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class BinaryTextField(models.TextField):  # type: ignore[type-arg]
    """Text that the database sorts and compares by code points, like Python, whatever its locale."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the collation, which has another name in each database."""
        return super().db_parameters(connection) | {"collation": "C" if connection.vendor == "postgresql" else "BINARY"}


class IndexState(models.Model):
    """How far the index of one archive has come."""

    base_url = models.CharField(max_length=512, unique=True)
    is_ready = models.BooleanField(default=False)
    # `Last` of Orthanc's changes, up to which additions are indexed
    last_change = models.BigIntegerField(default=0)
    # the newest LastUpdate of the studies, by Orthanc's clock
    newest_update = models.CharField(max_length=15, blank=True)
    # one more with each write of entries
    version = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.base_url


# The indexes end with the state, which all entries of most databases share: SQLite takes five times as long to look up
# each of them by an index that begins with it as to scan the table.
class _Entry(models.Model):
    orthanc_id = models.CharField(max_length=44)
    # as Orthanc has them, by keyword; those of the patient are the patient's own
    tags = models.JSONField()
    last_update = BinaryTextField(blank=True)
    # to sort by: as shown; empty, which comes first, if absent or shown as null
    patient_id = BinaryTextField(blank=True)
    patient_name = BinaryTextField(blank=True)
    patient_birth_date = BinaryTextField(blank=True)
    # to match: as `archive.matching` compares them
    folded_patient_id = BinaryTextField(blank=True)
    folded_patient_name = BinaryTextField(blank=True)
    folded_patient_sex = BinaryTextField(blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.orthanc_id


class IndexedPatient(_Entry):
    """A patient of the archive."""

    state = models.ForeignKey(IndexState, on_delete=models.CASCADE, related_name="patients", db_index=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["orthanc_id", "state"], name="one_entry_for_each_patient")
        ]
        indexes: ClassVar = [models.Index(fields=["patient_id", "orthanc_id", "state"], name="patients_by_patient_id")]


class IndexedStudy(_Entry):
    """A study of the archive."""

    state = models.ForeignKey(IndexState, on_delete=models.CASCADE, related_name="studies", db_index=False)
    patient = models.CharField(max_length=44)
    # as `archive.scope` compares it
    scoped_patient_id = BinaryTextField()
    study_instance_uid = BinaryTextField(blank=True)
    study_date = BinaryTextField(blank=True)
    study_time = BinaryTextField(blank=True)
    study_description = BinaryTextField(blank=True)
    accession_number = BinaryTextField(blank=True)
    folded_study_description = BinaryTextField(blank=True)
    folded_accession_number = BinaryTextField(blank=True)
    folded_referring_physician_name = BinaryTextField(blank=True)
    # as `archive.search` finds words
    searchable = BinaryTextField()
    # `|ct|mr|`
    modalities = BinaryTextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["orthanc_id", "state"], name="one_entry_for_each_study")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["-study_date", "-study_time", "study_instance_uid", "orthanc_id", "state"],
                name="studies_by_date",
            ),
            models.Index(fields=["patient", "state"], name="studies_by_patient"),
            models.Index(fields=["last_update", "state"], name="studies_by_last_update"),
            models.Index(fields=["folded_accession_number", "state"], name="studies_by_accession_number"),
            models.Index(fields=["folded_patient_id", "state"], name="studies_by_patient_id"),
        ]
