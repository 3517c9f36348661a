"""Corrections in tests: requests, following their jobs, and what the archive has before and after."""

import hashlib
import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

from pydicom import dcmread

from orthancproxy.audit.models import AuditEvent
from orthancproxy.jobs.following import JobFollower
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.corpus import ask
from tests.waiting import wait_until

PAYLOAD = """{ dryRun instancesCount changes { keyword before after } collisions { kind keyword message } job {
  id kind state progress createdBy error { code message } study { studyInstanceUID } } }"""
JOB = """query($id: ID!) { job(id: $id) { id state progress endedAt study { orthancId studyInstanceUID }
  result { instancesCount studies { orthancId studyInstanceUID labels } } error { code message } } }"""
CANCEL = "mutation($id: ID!) { cancelJob(id: $id) { job { state } } }"


def mutation(field: str) -> str:
    kind = field[0].upper() + field[1:]
    return f"mutation($input: {kind}Input!) {{ {field}(input: $input) {PAYLOAD} }}"


def correct(graphql: GraphQL, field: str, orthanc_id: str, replace: dict[str, str], **more: Any) -> dict[str, Any]:
    """Ask for a correction, and return the payload."""
    tags = [{"keyword": keyword, "value": value} for keyword, value in replace.items()]
    payload: dict[str, Any] = graphql(mutation(field), input={"orthancId": orthanc_id, "replace": tags, **more})[field]
    return payload


def follow(graphql: GraphQL, job: dict[str, Any], follower: JobFollower) -> dict[str, Any]:
    """Follow a job to its end."""

    def look() -> dict[str, Any]:
        found: dict[str, Any] = graphql(JOB, id=job["id"])["job"]
        return found

    def has_ended() -> bool:
        follower.step()
        return look()["endedAt"] is not None

    wait_until(has_ended)
    return look()


def audited() -> tuple[AuditEvent, set[tuple[str, str]], list[tuple[str, str, str]]]:
    """Return the newest outcome of a correction, its subjects, and what became what: UID, UID and PatientID."""
    event = AuditEvent.objects.filter(event="MODIFIED").exclude(outcome="INTENDED").latest("pk")
    made = [(one["from"], one["studyInstanceUID"], one["patientId"]) for one in (event.details or {}).get("made", ())]
    return event, set(event.subjects.values_list("patient_id", "study_instance_uid")), made


@dataclass(frozen=True, slots=True)
class Archive:
    """All files of an Orthanc: digests of their pixels, and their data sets, by Orthanc id."""

    files: dict[str, Any]

    @classmethod
    def of(cls, orthanc: LocalOrthanc) -> Self:
        ids = json.loads(ask(orthanc, "/instances"))
        return cls({one: dcmread(BytesIO(ask(orthanc, f"/instances/{one}/file"))) for one in ids})

    @property
    def pixels(self) -> list[str]:
        """The digests of all pixels, in order."""
        return sorted(hashlib.sha256(file.get("PixelData", b"")).hexdigest() for file in self.files.values())

    def studies(self) -> dict[tuple[str, str], int]:
        """Number of instances by PatientID and StudyInstanceUID."""
        counts: dict[tuple[str, str], int] = {}
        for file in self.files.values():
            key = (str(file.get("PatientID", "")), str(file.StudyInstanceUID))
            counts[key] = counts.get(key, 0) + 1
        return counts

    def of_study(self, uid: str) -> list[Any]:
        """The data sets of a study."""
        return [file for file in self.files.values() if file.StudyInstanceUID == uid]

    def values(self, keyword: str, uid: str) -> set[str]:
        """The values of an attribute in a study."""
        return {str(file.get(keyword)) for file in self.of_study(uid)}
