"""Collects what a request reads, for its audit events; `events` writes them."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.audit import events
from orthancproxy.audit.events import Author, Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.database import as_gateway_error
from orthancproxy.errors import NotAuthenticated, PermissionDenied


class ReadOperation:
    """One operation that reads: the subjects and counts of what it read, and its outcome."""

    def __init__(self, kind: EventKind, name: str) -> None:
        self.kind = kind
        self.name = name
        self.started = time.perf_counter()
        self.subjects: dict[Subject, None] = {}
        self.counts: Counter[str] = Counter()
        self.outcome = AuditOutcome.SUCCESS
        self.error_code = ""

    def add(self, resources: Iterable[Resource]) -> None:
        """Add resources, and those that are related to them."""
        found = _Summary()
        found.add(list(resources), Subject(""))
        self.subjects.update(found.subjects)
        self.counts.update(found.counts)

    def fail(self, error: BaseException) -> None:
        """Set the outcome and code of an error."""
        self.outcome, self.error_code = outcome_of(error), code_of(error)


class RequestReads:
    """The operations of one request that read, in one thread or several.

    `audited_errors` are errors that the event of an operation already reports.
    """

    def __init__(self, *, is_open: bool = False) -> None:
        self.is_open = is_open
        self.audited_errors: list[BaseException] = []
        self._reads: list[ReadOperation] = []
        self._early_failures: list[ReadOperation] = []

    def begin(self, kind: EventKind, name: str) -> ReadOperation:
        """Begin an operation; `name` is its name in the audit log. Raises RuntimeError if nothing would write it."""
        if not self.is_open:
            raise RuntimeError("Enter the RequestContext first: its exit writes the audit log.")
        read = ReadOperation(kind, name)
        self._reads.append(read)
        return read

    def fail(self, read: ReadOperation, error: BaseException) -> None:
        """End an operation with an error."""
        read.fail(error)
        self.audited_errors.append(error)

    def fail_early(self, name: str, error: BaseException) -> None:
        """Add an error that was raised before an operation began."""
        read = ReadOperation(EventKind.ACCESSED, name)
        read.fail(error)
        self._early_failures.append(read)

    @property
    def has_reads(self) -> bool:
        """Whether an operation has begun, so that the request must not be answered without its audit events."""
        return bool(self._reads)

    def write(self, author: Author) -> None:
        """Write one event for all operations of the same kind and outcome. Raises what the database raises."""
        groups: dict[tuple[str, ...], list[ReadOperation]] = defaultdict(list)
        for read in (*self._reads, *self._early_failures):
            groups[read.kind, read.outcome, read.error_code].append(read)
        now = time.perf_counter()
        for group in groups.values():
            events.write(
                author,
                group[0].kind,
                ", ".join(dict.fromkeys(read.name for read in group)),
                group[0].outcome,
                error_code=group[0].error_code,
                duration=now - min(read.started for read in group),
                subjects=dict.fromkeys(subject for read in group for subject in read.subjects),
                counts=sum((read.counts for read in group), Counter[str]()),
            )


class _Summary:
    """The patients and studies that resources belong to, and the number of resources by level."""

    def __init__(self) -> None:
        self.subjects: dict[Subject, None] = {}
        self.counts: Counter[str] = Counter()

    def add(self, resources: Sequence[Resource], above: Subject) -> None:
        """Add resources of one level and what is related to them; `above` is the subject of their parent."""
        if not resources:
            return
        self.counts[resources[0].level.path] += len(resources)
        if above.study_instance_uid and not resources[0].related:
            # all instances of a study have the same subject; there may be ten thousand
            return
        for resource in resources:
            subject = subject_of(resource, above)
            if not self._add_related(resource, subject):
                self.subjects[subject] = None

    def _add_related(self, resource: Resource, subject: Subject) -> bool:
        """Add what is related; return whether there are studies, which are more specific than their patient."""
        has_studies = False
        for related in resource.related.values():
            if isinstance(related, Resource):
                self.add([related], subject if related.level is not Level.PATIENT else Subject(""))
            else:
                self.add(related, subject)
                has_studies |= resource.level is Level.PATIENT and bool(related)
        return has_studies


def subject_of(resource: Resource, above: Subject = Subject("")) -> Subject:  # noqa: B008 - it is frozen
    """Return the patient or study that a resource belongs to, from its own tags or those of its ancestors."""
    return Subject(
        resource.tags.get("PatientID", above.patient_id),
        resource.tags.get("StudyInstanceUID", above.study_instance_uid),
    )


def outcome_of(error: BaseException) -> AuditOutcome:
    """Return the outcome of an operation that raised an error."""
    return AuditOutcome.DENIED if isinstance(error, NotAuthenticated | PermissionDenied) else AuditOutcome.FAILED


def code_of(error: BaseException) -> str:
    """Return the code that the caller gets for an error."""
    expected = as_gateway_error(error)
    return expected.code if expected else "INTERNAL"
