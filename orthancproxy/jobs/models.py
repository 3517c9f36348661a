"""The table of jobs."""

from enum import StrEnum
from typing import ClassVar

from django.db import models
from django.utils import timezone


class JobKind(StrEnum):
    """What a job does."""

    ANONYMIZE = "ANONYMIZE"
    SEND = "SEND"
    MODIFY = "MODIFY"
    MERGE = "MERGE"
    MOVE = "MOVE"
    RETRIEVE = "RETRIEVE"


class JobState(StrEnum):
    """How far a job is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobPhase(StrEnum):
    """What is done of a job that has been begun."""

    IN_ORTHANC = ""
    CONCLUDING = "CONCLUDING"
    UNDOING = "UNDOING"


class Job(models.Model):
    """A job of a caller. One process follows it; `version` grows with each change, and tells processes apart."""

    kind = models.CharField(max_length=16)
    state = models.CharField(max_length=16, default=JobState.PENDING.value)
    # empty for an anonymous caller
    created_by = models.CharField(max_length=150, blank=True)
    # of an OpenID Connect provider, who may have the name of a user
    is_identity = models.BooleanField(default=False)
    client_mutation_id = models.CharField(max_length=128, null=True)  # noqa: DJ001 - unique, unless there is none
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    # the resources that the caller named, and what else they asked for: `destination` of SEND, `source` of RETRIEVE
    level = models.CharField(max_length=8)
    orthanc_ids = models.JSONField()
    parameters = models.JSONField(default=dict)
    # Orthanc ids of the studies that it is about
    studies = models.JSONField()
    progress = models.FloatField(default=0.0)
    # of `Outcome`
    counts = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    # of `JobFailure.as_json`
    error = models.JSONField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)

    # the event whose outcome is not written yet
    intention = models.OneToOneField("orthancproxy.AuditEvent", on_delete=models.PROTECT, null=True, related_name="job")
    # the token of the current attempt to begin it in Orthanc, their number, and when it was made
    attempt = models.CharField(max_length=32, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    phase = models.CharField(max_length=16, blank=True)
    # what the phases remember
    stage = models.JSONField(default=dict)
    # Orthanc's id, when Orthanc last knew of it, and since when it has not
    orthanc_job = models.CharField(max_length=36, blank=True)
    seen_at = models.DateTimeField(null=True)
    missing_since = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["created_by", "-id"], name="jobs_of_caller"),
            # those that go on have none: what a follower reads does not grow with those that have ended
            models.Index(fields=["ended_at", "id"], name="jobs_by_end"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["created_by", "is_identity", "client_mutation_id"], name="one_job_for_each_mutation_id"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} {self.state}"

    @property
    def shown_studies(self) -> list[str]:
        """The Orthanc ids of the studies that it has made; else of those that it is about."""
        made: list[str] = self.result.get("studies", [])
        return made or list(self.studies)
