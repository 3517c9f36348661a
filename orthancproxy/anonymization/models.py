"""The table of pseudonyms: who is who in a project."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Pseudonym(models.Model):
    """The pseudonym of a patient in a project, and by how many days the dates of the patient's files are moved."""

    project = models.CharField(max_length=64)
    patient_id = models.CharField(max_length=324)
    pseudonym = models.CharField(max_length=64)
    days = models.SmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    # who anonymized the first study; empty for an anonymous caller
    created_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "patient_id"], name="one_pseudonym_for_each_patient"),
            models.UniqueConstraint(fields=["project", "pseudonym"], name="one_patient_for_each_pseudonym"),
        ]

    def __str__(self) -> str:
        return f"{self.project} {self.pseudonym}"
