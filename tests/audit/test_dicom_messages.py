"""Every event becomes a message that is valid by the standard's schema and says what the standard wants said."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from lxml import etree

from orthancproxy.audit.dicom_messages import dicom_event, messages
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject
from tests.audit.events import record

Event, Outcome = EventKind, AuditOutcome
SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("audit-message.rng")))
KIM, YAMADA = Subject("김-001", "1.2.3"), Subject("山田", "1.2.4")
HOSTILE = [
    "</AuditMessage><x a='b\"&amp;&#0;'>]]>",
    "\x00\x01\x08\x0b\x1f\x7f\x85\ufffe\uffff\u2028\u2029",
    "two\r\nlines\tand a tab",
    "\ud800 half a pair",
    "홍^길동=洪^吉洞 \U0001f600",
    " ",
]

pytestmark = pytest.mark.django_db


def parsed(event: AuditEvent, source: str = "gateway") -> list[etree._Element]:
    """The messages of an event, which are valid and a line each."""
    found = []
    for message in messages(event, source):
        assert len(message.splitlines()) == 1
        root = etree.fromstring(message.encode())
        SCHEMA.assertValid(root)
        found.append(root)
    return found


def only(event: AuditEvent) -> etree._Element:
    [message] = parsed(event)
    return message


def code(element: etree._Element, tag: str) -> str | None:
    found = element.find(tag)
    return (
        None if found is None else f"{found.get('csd-code')} {found.get('codeSystemName')} {found.get('originalText')}"
    )


def identification(message: etree._Element) -> etree._Element:
    [found] = message.findall("EventIdentification")
    return found


def participants(message: etree._Element) -> list[tuple[str | None, ...]]:
    return [
        (one.get("UserID"), one.get("UserIsRequestor"), one.get("NetworkAccessPointID"), code(one, "RoleIDCode"))
        for one in message.findall("ActiveParticipant")
    ]


def objects(message: etree._Element) -> list[tuple[str | None, ...]]:
    """All but the request."""
    return [
        (
            one.get("ParticipantObjectTypeCode"),
            one.get("ParticipantObjectTypeCodeRole"),
            code(one, "ParticipantObjectIDTypeCode"),
            one.get("ParticipantObjectID"),
        )
        for one in message.findall("ParticipantObjectIdentification")[:-1]
    ]


def request(message: etree._Element) -> etree._Element:
    return message.findall("ParticipantObjectIdentification")[-1]


def details(message: etree._Element) -> dict[str, str]:
    return {
        str(one.get("type")): b64decode(str(one.get("value"))).decode()
        for one in request(message).findall("ParticipantObjectDetail")
    }


def test_the_schema_is_not_one_that_takes_anything() -> None:
    assert not SCHEMA.validate(etree.fromstring("<AuditMessage/>"))
    root = only(record(KIM))
    identification(root).set("EventOutcomeIndicator", "3")
    assert not SCHEMA.validate(root)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("kind", Event)
@pytest.mark.parametrize("subjects", [(), (KIM,), (KIM, YAMADA), (Subject("김-001"),), (Subject("", "1.2.3"),)])
def test_every_event_with_every_outcome_is_valid(
    kind: EventKind, outcome: AuditOutcome, subjects: tuple[Subject, ...]
) -> None:
    assert parsed(record(*subjects, event=kind, outcome=outcome, error_code="X", counts={"studies": 2}))


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_make_valid_messages_of_one_line(value: str) -> None:
    event = AuditEvent(
        pk=1,
        event=Event.ACCESSED,
        outcome=Outcome.FAILED,
        operation=value,
        error_code=value,
        username=value,
        authentication=value,
        request_id=value,
        target=value,
        duration_ms=1.0,
        counts={value: value},
    )
    # as if they were fetched: no database takes all of this
    subjects = [AuditSubject(patient_id=value, study_instance_uid=value)]
    event._prefetched_objects_cache = {"subjects": subjects}  # type: ignore[attr-defined]
    [message] = parsed(event, source=value)
    assert len(message.findall("ParticipantObjectIdentification")) == 3


def test_names_and_ids_are_written_as_they_are() -> None:
    message = only(record(Subject("홍길동-山田 😀"), username="간호사"))
    assert message[1].get("UserID") == "간호사"
    assert objects(message)[0][3] == "홍길동-山田 😀"


def test_who_read_which_studies() -> None:
    at = datetime(2026, 1, 31, 13, 0, 0, 5000, tzinfo=timezone(timedelta(hours=9)))
    message = only(record(KIM, Subject("김-001", "1.2.5"), Subject("김-001", "1.2.3"), at=at))
    event = identification(message)
    assert code(event, "EventID") == "110103 DCM DICOM Instances Accessed"
    attributes = {str(name): str(value) for name, value in event.attrib.items()}
    assert attributes == {
        "EventActionCode": "R",
        "EventDateTime": "2026-01-31T04:00:00.005000+00:00",
        "EventOutcomeIndicator": "0",
    }
    assert event.find("EventTypeCode") is None
    assert event.find("EventOutcomeDescription") is None
    assert participants(message) == [
        ("nurse", "true", "192.0.2.7", None),
        ("gateway", "false", None, "110150 DCM Application"),
    ]
    assert message[1].get("NetworkAccessPointTypeCode") == "2"
    source = message.find("AuditSourceIdentification")
    assert source is not None
    assert source.get("AuditSourceID") == "gateway"
    assert [one.get("csd-code") for one in source] == ["4"]
    assert objects(message) == [
        ("2", "3", "110180 DCM Study Instance UID", "1.2.3"),
        ("2", "3", "110180 DCM Study Instance UID", "1.2.5"),
        ("1", "1", "2 RFC-3881 Patient Number", "김-001"),
    ]


def test_what_is_in_no_field_of_the_standards_is_told_of_the_request() -> None:
    row = record(KIM, operation="studies", target="patient/4fe1", counts={"studies": 2, "instances": 200})
    found = request(only(row))
    assert found.get("ParticipantObjectID") == "a1b2c3"
    assert found.findtext("ParticipantObjectName") == "studies"
    assert details(only(row)) == {
        "event": str(row.pk),
        "authentication": "SESSION",
        "durationMs": "12.5",
        "target": "patient/4fe1",
        "counts.studies": "2",
        "counts.instances": "200",
    }


@pytest.mark.parametrize("kind", [Event.ACCESSED, Event.TRANSFERRED, Event.DELETION])
def test_a_message_of_what_was_done_to_instances_is_about_one_patient(kind: EventKind) -> None:
    both = parsed(record(KIM, YAMADA, Subject("김-001", "1.2.9"), event=kind))
    assert [[one[3] for one in objects(message)] for message in both] == [
        ["1.2.3", "1.2.9", "김-001"],
        ["1.2.4", "山田"],
    ]
    assert len({details(message)["event"] for message in both}) == 1


def test_what_was_sent_is_a_transfer_from_the_gateway_to_the_caller() -> None:
    message = only(record(KIM, event=Event.TRANSFERRED))
    assert code(identification(message), "EventID") == "110104 DCM DICOM Instances Transferred"
    assert identification(message).get("EventActionCode") == "R"
    assert participants(message) == [
        ("nurse", "true", "192.0.2.7", "110152 DCM Destination Role ID"),
        ("gateway", "false", None, "110153 DCM Source Role ID"),
    ]


def test_an_upload_is_an_import_from_the_caller_of_many_patients_at_once() -> None:
    message = only(record(KIM, YAMADA, event=Event.IMPORT))
    assert code(identification(message), "EventID") == "110107 DCM Import"
    assert identification(message).get("EventActionCode") == "C"
    assert participants(message) == [
        ("nurse", "true", "192.0.2.7", "110153 DCM Source Role ID"),
        ("gateway", "false", None, "110152 DCM Destination Role ID"),
    ]
    assert [one[3] for one in objects(message)] == ["1.2.3", "1.2.4", "김-001", "山田"]


@pytest.mark.parametrize(
    ("target", "counts", "expected"),
    [
        ("patient/a", {}, "110105 DCM DICOM Study Deleted"),
        ("study/a", {}, "110105 DCM DICOM Study Deleted"),
        ("", {}, "110105 DCM DICOM Study Deleted"),
        ("series/a", {"series": 1}, "110103 DCM DICOM Instances Accessed"),
        ("instance/a", {"instances": 1}, "110103 DCM DICOM Instances Accessed"),
        # it was the last one of its study
        ("instance/a", {"studies": 1, "series": 1, "instances": 1}, "110105 DCM DICOM Study Deleted"),
    ],
)
def test_deleting_less_than_a_study_is_an_access_that_deletes(
    target: str, counts: dict[str, int], expected: str
) -> None:
    row = record(KIM, event=Event.DELETION, target=target, counts=counts)
    event = identification(only(row))
    assert code(event, "EventID") == expected
    assert event.get("EventActionCode") == "D"
    assert dicom_event(row).id.value == expected.split()[0]


@pytest.mark.parametrize(("kind", "expected"), [(Event.LOGIN, "110122 DCM Login"), (Event.LOGOUT, "110123 DCM Logout")])
def test_logging_in_and_out_is_user_authentication(kind: EventKind, expected: str) -> None:
    message = only(record(event=kind))
    event = identification(message)
    assert code(event, "EventID") == "110114 DCM User Authentication"
    assert code(event, "EventTypeCode") == expected
    assert event.get("EventActionCode") == "E"
    assert objects(message) == []


def test_reading_the_audit_names_the_audit() -> None:
    [message] = parsed(record(event=Event.AUDIT_LOG_USED), source="PACS 1")
    assert code(identification(message), "EventID") == "110101 DCM Audit Log Used"
    assert identification(message).get("EventActionCode") == "R"
    assert objects(message) == [("2", "13", "12 RFC-3881 URI", "//PACS%201/audit-events")]
    assert message.findtext("ParticipantObjectIdentification/ParticipantObjectName") == "Security Audit Log"


@pytest.mark.parametrize(
    ("outcome", "error_code", "indicator", "description"),
    [
        (Outcome.SUCCESS, "", "0", None),
        (Outcome.DENIED, "PERMISSION_DENIED", "4", "PERMISSION_DENIED"),
        (Outcome.DENIED, "", "4", "DENIED"),
        (Outcome.FAILED, "ARCHIVE_TIMEOUT", "8", "ARCHIVE_TIMEOUT"),
        (Outcome.INTENDED, "", "12", "It was started; its outcome is unknown."),
    ],
)
def test_how_it_ended(outcome: AuditOutcome, error_code: str, indicator: str, description: str | None) -> None:
    event = identification(only(record(outcome=outcome, error_code=error_code)))
    assert event.get("EventOutcomeIndicator") == indicator
    assert event.findtext("EventOutcomeDescription") == description


def test_nobody_at_no_address_is_a_requestor_without_a_name() -> None:
    message = only(record(username="", address=None, outcome=Outcome.DENIED))
    assert participants(message)[0] == ("", "true", None, None)
    assert message[1].get("NetworkAccessPointTypeCode") is None
    assert objects(message) == []


def test_the_address_may_be_of_ipv6() -> None:
    assert participants(only(record(address="2001:db8::7")))[0][2] == "2001:db8::7"


def test_times_are_in_utc() -> None:
    row = record(at=datetime(2026, 1, 1, tzinfo=UTC))
    assert identification(only(row)).get("EventDateTime") == "2026-01-01T00:00:00+00:00"
