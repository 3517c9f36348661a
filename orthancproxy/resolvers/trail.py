"""What a request has read, and of whom, gathered for the one record that its reading becomes."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.audit import Subject
from orthancproxy.errors import GatewayError, NotAuthenticated, PermissionDenied
from orthancproxy.models import AuditEvent

Outcome = AuditEvent.Outcome
_SEVERITY = (Outcome.SUCCESS, Outcome.FAILED, Outcome.DENIED)


class Reading:
    """What was read under one code: by which operations, of whom, how much, and how it ended at the worst."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.operations: dict[str, None] = {}
        self.subjects: dict[Subject, None] = {}
        self.counts: Counter[str] = Counter()
        self.outcome = Outcome.SUCCESS
        self.error_code = ""
        self._lock = threading.Lock()

    def add(self, records: Iterable[Resource]) -> None:
        """Keep what these records show, and those that are linked to them."""
        found = Gathered()
        found.gather(list(records), Subject(""))
        with self._lock:
            self.subjects.update(found.subjects)
            self.counts.update(found.counts)

    def fail(self, error: BaseException) -> None:
        """Keep how an operation failed, unless another one failed worse."""
        outcome = outcome_of(error)
        with self._lock:
            if _SEVERITY.index(outcome) > _SEVERITY.index(self.outcome):
                self.outcome, self.error_code = outcome, code_of(error)


class Trail:
    """What the operations of one request did, which may run at the same time."""

    def __init__(self) -> None:
        self.readings: dict[AuditEvent.Event, Reading] = {}
        self.failures: list[BaseException] = []  # of which it is known what they ended
        self._lock = threading.Lock()

    def begin(self, event: AuditEvent.Event, operation: str) -> Reading:
        """What is read under a code, with one more operation that reads."""
        with self._lock:
            reading = self.readings.setdefault(event, Reading())
            reading.operations[operation] = None
        return reading


class Gathered:
    """The patients and studies that records are of, and how many records there are of each level."""

    def __init__(self) -> None:
        self.subjects: dict[Subject, None] = {}
        self.counts: Counter[str] = Counter()

    def gather(self, records: Sequence[Resource], above: Subject) -> None:
        """Look at records of one level and at what is linked to them; `above` is what they are below of."""
        if not records:
            return
        self.counts[records[0].level.path] += len(records)
        if above.study_instance_uid and not records[0].links:
            # ten thousand instances of a study: all is told
            return
        for record in records:
            subject = subject_of(record, above)
            if not self._gather_below(record, subject):
                self.subjects[subject] = None

    def _gather_below(self, record: Resource, subject: Subject) -> bool:
        """Whether there are studies below that tell more than a patient does."""
        studies = False
        for linked in record.links.values():
            if isinstance(linked, Resource):
                self.gather([linked], subject if linked.level is not Level.PATIENT else Subject(""))
            else:
                self.gather(linked, subject)
                studies |= record.level is Level.PATIENT and bool(linked)
        return studies


def subject_of(record: Resource, above: Subject = Subject("")) -> Subject:  # noqa: B008 - it is frozen
    """The patient or study that a record is of, as far as it or what is above tells."""
    return Subject(
        record.tags.get("PatientID", above.patient_id),
        record.tags.get("StudyInstanceUID", above.study_instance_uid),
    )


def outcome_of(error: BaseException) -> AuditEvent.Outcome:
    """How the audit calls what an error ended."""
    return Outcome.DENIED if isinstance(error, NotAuthenticated | PermissionDenied) else Outcome.FAILED


def code_of(error: BaseException) -> str:
    """The code by which the caller is told of an error."""
    return error.code if isinstance(error, GatewayError) else "INTERNAL"
