"""The tables of the log of changes: a row for each change, and how far the log has come."""

from typing import ClassVar

from django.db import models


class ChangeRow(models.Model):
    """A change of the archive. Its primary key is its cursor: rows become visible in this order."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=16)
    level = models.CharField(max_length=8)
    orthanc_id = models.CharField(max_length=44)
    # null where they are not known
    patient_id = models.TextField(null=True)  # noqa: DJ001 - a PatientID may be empty
    study_instance_uid = models.TextField(null=True)  # noqa: DJ001
    patient_orthanc_id = models.CharField(max_length=44, null=True)  # noqa: DJ001
    study_orthanc_id = models.CharField(max_length=44, null=True)  # noqa: DJ001
    # of the study, or the studies of a patient
    labels = models.JSONField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["orthanc_id", "-id"], name="newest_change_of_resource")]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind} {self.level} {self.orthanc_id}"


class ChangeLogState(models.Model):
    """How far the log has come: one row, which whoever writes to the log locks."""

    # the cursor of the newest row that was dropped
    dropped = models.BigIntegerField(default=0)
    # the Orthanc that was read last, and the number of its change up to which it was read; null before the first time
    server = models.CharField(max_length=512, blank=True)
    position = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.server} {self.position}"
