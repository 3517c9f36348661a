"""What a request has read, and of whom, gathered for the one record that its reading becomes."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.audit.events import Subject
from orthancproxy.audit.models import AuditEvent
from orthancproxy.database import as_gateway_error
from orthancproxy.errors import NotAuthenticated, PermissionDenied

Outcome = AuditEvent.Outcome


class ReadRecord:
    """What one operation read: of whom, how much, and how it ended. `started` is by the performance counter."""

    def __init__(self, event: AuditEvent.Event, operation: str) -> None:
        self.event = event
        self.operation = operation
        self.started = time.perf_counter()
        self.subjects: dict[Subject, None] = {}
        self.counts: Counter[str] = Counter()
        self.outcome = Outcome.SUCCESS
        self.error_code = ""

    def add(self, records: Iterable[Resource]) -> None:
        """Keep what these records show, and those that are related to them."""
        found = Gathered()
        found.gather(list(records), Subject(""))
        self.subjects.update(found.subjects)
        self.counts.update(found.counts)

    def fail(self, error: BaseException) -> None:
        """Keep how it failed."""
        self.outcome, self.error_code = outcome_of(error), code_of(error)


class Trail:
    """What the operations of one request read, which may run at the same time."""

    def __init__(self) -> None:
        self.readings: list[ReadRecord] = []
        self.failures: list[BaseException] = []  # of which it is known what they ended

    def begin(self, event: AuditEvent.Event, operation: str) -> ReadRecord:
        """An operation that reads."""
        reading = ReadRecord(event, operation)
        self.readings.append(reading)
        return reading

    def by_outcome(self) -> Iterable[Sequence[ReadRecord]]:
        """The readings that make one record: those under the same code that ended in the same way."""
        groups: dict[tuple[str, ...], list[ReadRecord]] = defaultdict(list)
        for reading in self.readings:
            groups[reading.event, reading.outcome, reading.error_code].append(reading)
        return groups.values()


class Gathered:
    """The patients and studies that records are of, and how many records there are of each level."""

    def __init__(self) -> None:
        self.subjects: dict[Subject, None] = {}
        self.counts: Counter[str] = Counter()

    def gather(self, records: Sequence[Resource], above: Subject) -> None:
        """Look at records of one level and at what is related to them; `above` is what they are below of."""
        if not records:
            return
        self.counts[records[0].level.path] += len(records)
        if above.study_instance_uid and not records[0].related:
            # ten thousand instances of a study: all is told
            return
        for record in records:
            subject = subject_of(record, above)
            if not self._gather_below(record, subject):
                self.subjects[subject] = None

    def _gather_below(self, record: Resource, subject: Subject) -> bool:
        """Whether there are studies below that tell more than a patient does."""
        studies = False
        for near in record.related.values():
            if isinstance(near, Resource):
                self.gather([near], subject if near.level is not Level.PATIENT else Subject(""))
            else:
                self.gather(near, subject)
                studies |= record.level is Level.PATIENT and bool(near)
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
    expected = as_gateway_error(error)
    return expected.code if expected else "INTERNAL"
