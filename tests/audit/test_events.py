"""What an audit event stores of a request, whatever the request contains."""

import pytest

from orthancproxy.archive.records import Instance, Patient, Series, Study
from orthancproxy.audit.events import Author, Subject, write
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.reads import ReadOperation


@pytest.mark.django_db(transaction=True)
def test_text_that_databases_reject_is_replaced_and_long_text_is_cut() -> None:
    hostile = "a\0\ud800b" + "x" * 400
    stored = "a\ufffd\ufffdb" + "x" * 400
    write(
        Author(hostile, address="192.0.2.7", request_id=hostile),
        EventKind.ACCESSED,
        hostile,
        AuditOutcome.SUCCESS,
        target=hostile,
        subjects=[Subject(hostile, hostile)],
    )
    row = AuditEvent.objects.get()
    assert (row.username, row.request_id, row.operation, row.target) == (
        stored[:150],
        stored[:64],
        stored[:200],
        stored[:64],
    )
    [subject] = row.subjects.all()
    assert (subject.patient_id, subject.study_instance_uid) == (stored[:324], stored[:64])


def study(uid: str, *series: Series) -> Study:
    return Study(uid, None, {"StudyInstanceUID": uid}, {}, {"series": series} if series else {})


@pytest.mark.parametrize(
    ("studies", "subjects"),
    [
        ((study("1.2"), study("1.3")), [Subject("P1", "1.2"), Subject("P1", "1.3")]),
        ((), [Subject("P1")]),
    ],
)
def test_the_subjects_of_a_patient_are_the_studies_that_were_read_or_else_the_patient(
    studies: tuple[Study, ...], subjects: list[Subject]
) -> None:
    read = ReadOperation(EventKind.ACCESSED, "patients")
    read.add([Patient("p", None, {"PatientID": "P1"}, {}, {"studies": studies})])
    assert list(read.subjects) == subjects
    assert read.counts == {"patients": 1, **({"studies": len(studies)} if studies else {})}


def test_what_is_below_a_study_has_its_subject_and_is_counted() -> None:
    instances = tuple(Instance(str(number), None, {}, {}) for number in range(3))
    read = ReadOperation(EventKind.ACCESSED, "studies")
    read.add([study("1.2", Series("s", None, {}, {}, {"instances": instances}))])
    read.add([study("1.2")])
    assert list(read.subjects) == [Subject("", "1.2")]
    assert read.counts == {"studies": 2, "series": 1, "instances": 3}
