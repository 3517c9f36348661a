"""Audit events as DICOM audit messages: valid against the schema of the standard, with the values it requires."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from lxml import etree

from orthancproxy.audit.delivery import SUBJECTS_PER_MESSAGE
from orthancproxy.audit.dicom_messages import dicom_event, messages
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.resolvers.moving import MAX_STUDIES
from tests.audit.events import create_event

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


def parsed_messages(event: AuditEvent, source: str = "gateway") -> list[etree._Element]:
    """Return the messages of an event, each of which is valid and has one line."""
    found = []
    for message in messages(event, source):
        assert len(message.splitlines()) == 1
        root = etree.fromstring(message.encode())
        SCHEMA.assertValid(root)
        found.append(root)
    return found


def single_message(event: AuditEvent) -> etree._Element:
    [message] = parsed_messages(event)
    return message


def coded_value(element: etree._Element, tag: str) -> str | None:
    found = element.find(tag)
    return (
        None if found is None else f"{found.get('csd-code')} {found.get('codeSystemName')} {found.get('originalText')}"
    )


def event_identification(message: etree._Element) -> etree._Element:
    [found] = message.findall("EventIdentification")
    return found


def participants(message: etree._Element) -> list[tuple[str | None, ...]]:
    return [
        (one.get("UserID"), one.get("UserIsRequestor"), one.get("NetworkAccessPointID"), coded_value(one, "RoleIDCode"))
        for one in message.findall("ActiveParticipant")
    ]


def objects(message: etree._Element) -> list[tuple[str | None, ...]]:
    """Return the participant objects except the last one, which is the request."""
    return [
        (
            one.get("ParticipantObjectTypeCode"),
            one.get("ParticipantObjectTypeCodeRole"),
            coded_value(one, "ParticipantObjectIDTypeCode"),
            one.get("ParticipantObjectID"),
        )
        for one in message.findall("ParticipantObjectIdentification")[:-1]
    ]


def request_object(message: etree._Element) -> etree._Element:
    return message.findall("ParticipantObjectIdentification")[-1]


def request_details(message: etree._Element) -> dict[str, str]:
    return {
        str(one.get("type")): b64decode(str(one.get("value"))).decode()
        for one in request_object(message).findall("ParticipantObjectDetail")
    }


def test_schema_rejects_an_invalid_message() -> None:
    assert not SCHEMA.validate(etree.fromstring("<AuditMessage/>"))
    root = single_message(create_event(KIM))
    event_identification(root).set("EventOutcomeIndicator", "3")
    assert not SCHEMA.validate(root)


@pytest.mark.parametrize("outcome", AuditOutcome)
@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("subjects", [(), (KIM,), (KIM, YAMADA), (Subject("김-001"),), (Subject("", "1.2.3"),)])
def test_message_of_every_event_kind_with_every_outcome_is_valid(
    kind: EventKind, outcome: AuditOutcome, subjects: tuple[Subject, ...]
) -> None:
    assert parsed_messages(create_event(*subjects, event=kind, outcome=outcome, error_code="X", counts={"studies": 2}))


@pytest.mark.parametrize("value", HOSTILE)
def test_message_with_hostile_values_is_valid_and_has_one_line(value: str) -> None:
    event = AuditEvent(
        pk=1,
        event=EventKind.ACCESSED,
        outcome=AuditOutcome.FAILED,
        operation=value,
        error_code=value,
        username=value,
        authentication=value,
        request_id=value,
        target=value,
        duration_ms=1.0,
        counts={value: value},
    )
    # set as if prefetched: no database stores all of these values
    subjects = [AuditSubject(patient_id=value, study_instance_uid=value)]
    event._prefetched_objects_cache = {"subjects": subjects}  # type: ignore[attr-defined]
    [message] = parsed_messages(event, source=value)
    assert len(message.findall("ParticipantObjectIdentification")) == 3


def test_message_has_names_and_ids_outside_ascii_unchanged() -> None:
    message = single_message(create_event(Subject("홍길동-山田 😀"), username="간호사"))
    assert message[1].get("UserID") == "간호사"
    assert objects(message)[0][3] == "홍길동-山田 😀"


def test_message_of_an_access_names_the_user_the_studies_and_the_patient() -> None:
    at = datetime(2026, 1, 31, 13, 0, 0, 5000, tzinfo=timezone(timedelta(hours=9)))
    message = single_message(create_event(KIM, Subject("김-001", "1.2.5"), Subject("김-001", "1.2.3"), at=at))
    event = event_identification(message)
    assert coded_value(event, "EventID") == "110103 DCM DICOM Instances Accessed"
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


def test_values_without_a_field_in_the_standard_are_details_of_the_request() -> None:
    row = create_event(KIM, operation="studies", target="patient/4fe1", counts={"studies": 2, "instances": 200})
    found = request_object(single_message(row))
    assert found.get("ParticipantObjectID") == "a1b2c3"
    assert found.findtext("ParticipantObjectName") == "studies"
    assert request_details(single_message(row)) == {
        "event": str(row.pk),
        "authentication": "SESSION",
        "durationMs": "12.5",
        "target": "patient/4fe1",
        "counts.studies": "2",
        "counts.instances": "200",
    }


@pytest.mark.parametrize("kind", [EventKind.ACCESSED, EventKind.TRANSFERRED, EventKind.DELETION])
def test_event_about_two_patients_becomes_one_message_for_each(kind: EventKind) -> None:
    both = parsed_messages(create_event(KIM, YAMADA, Subject("김-001", "1.2.9"), event=kind))
    assert [[one[3] for one in objects(message)] for message in both] == [
        ["1.2.3", "1.2.9", "김-001"],
        ["1.2.4", "山田"],
    ]
    assert len({request_details(message)["event"] for message in both}) == 1


def test_download_is_a_transfer_from_the_gateway_to_the_caller() -> None:
    message = single_message(create_event(KIM, event=EventKind.TRANSFERRED))
    assert coded_value(event_identification(message), "EventID") == "110104 DCM DICOM Instances Transferred"
    assert event_identification(message).get("EventActionCode") == "R"
    assert participants(message) == [
        ("nurse", "true", "192.0.2.7", "110152 DCM Destination Role ID"),
        ("gateway", "false", None, "110153 DCM Source Role ID"),
    ]


def test_upload_is_one_import_from_the_caller_about_all_its_patients() -> None:
    message = single_message(create_event(KIM, YAMADA, event=EventKind.IMPORT))
    assert coded_value(event_identification(message), "EventID") == "110107 DCM Import"
    assert event_identification(message).get("EventActionCode") == "C"
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
        # the last instance of its study
        ("instance/a", {"studies": 1, "series": 1, "instances": 1}, "110105 DCM DICOM Study Deleted"),
    ],
)
def test_deletion_of_less_than_a_study_is_an_access_with_the_action_delete(
    target: str, counts: dict[str, int], expected: str
) -> None:
    row = create_event(KIM, event=EventKind.DELETION, target=target, counts=counts)
    event = event_identification(single_message(row))
    assert coded_value(event, "EventID") == expected
    assert event.get("EventActionCode") == "D"
    assert dicom_event(row).id.value == expected.split()[0]


def test_correction_says_which_study_became_which_in_a_message_for_each_patient() -> None:
    old, new = Subject("P1", "1.2.1"), Subject("P2", "2.25.1")
    made = [{"from": old.study_instance_uid, "studyInstanceUID": new.study_instance_uid, "patientId": "P2"}]
    event = create_event(old, new, event=EventKind.MODIFIED, details={"attributes": ["PatientID"], "made": made})
    of_old, of_new = parsed_messages(event)
    assert ["P1" in str(objects(one)) for one in (of_old, of_new)] == [True, False]
    for one in (of_old, of_new):
        assert json.loads(request_details(one)["became"]) == {"1.2.1": "2.25.1"}
    assert "P2" not in "".join(request_details(of_old).values())


def test_message_of_a_large_merge_is_one_that_every_repository_takes() -> None:
    """PS3.15 section A.6: 32,768 bytes."""
    uids = ["1." + "2" * 58 + f"{number:04}" for number in range(MAX_STUDIES + 1)]
    made = [{"from": uid, "studyInstanceUID": uids[-1], "patientId": "홍" * 64} for uid in uids[:-1]]
    event = create_event(*(Subject("홍" * 64, uid) for uid in uids), event=EventKind.MODIFIED, details={"made": made})
    texts = list(messages(event, "gateway", SUBJECTS_PER_MESSAGE))
    assert max(len(text.encode()) for text in texts) < 32_000
    assert {uid for text in texts for uid in became(text)} == set(uids[:-1])


def became(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(request_details(etree.fromstring(text)).get("became", "{}"))
    return found


def test_change_of_labels_is_an_access_with_the_action_update() -> None:
    row = create_event(KIM, event=EventKind.LABELLED, target="studies/a", details={"labels added": ["a", "B-1"]})
    message = single_message(row)
    event = event_identification(message)
    assert coded_value(event, "EventID") == "110103 DCM DICOM Instances Accessed"
    assert event.get("EventActionCode") == "U"
    assert request_details(message)["labels added"] == "a, B-1"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(EventKind.LOGIN, "110122 DCM Login"), (EventKind.LOGOUT, "110123 DCM Logout")],
)
def test_login_and_logout_are_user_authentication(kind: EventKind, expected: str) -> None:
    message = single_message(create_event(event=kind))
    event = event_identification(message)
    assert coded_value(event, "EventID") == "110114 DCM User Authentication"
    assert coded_value(event, "EventTypeCode") == expected
    assert event.get("EventActionCode") == "E"
    assert objects(message) == []


def test_message_of_a_read_of_the_audit_log_names_the_audit_log() -> None:
    [message] = parsed_messages(create_event(event=EventKind.AUDIT_LOG_USED), source="PACS 1")
    assert coded_value(event_identification(message), "EventID") == "110101 DCM Audit Log Used"
    assert event_identification(message).get("EventActionCode") == "R"
    assert objects(message) == [("2", "13", "12 RFC-3881 URI", "//PACS%201/audit-events")]
    assert message.findtext("ParticipantObjectIdentification/ParticipantObjectName") == "Security Audit Log"


@pytest.mark.parametrize(
    ("outcome", "error_code", "indicator", "description"),
    [
        (AuditOutcome.SUCCESS, "", "0", None),
        (AuditOutcome.DENIED, "PERMISSION_DENIED", "4", "PERMISSION_DENIED"),
        (AuditOutcome.DENIED, "", "4", "DENIED"),
        (AuditOutcome.FAILED, "ARCHIVE_TIMEOUT", "8", "ARCHIVE_TIMEOUT"),
        (AuditOutcome.INTENDED, "", "12", "It was started; its outcome is unknown."),
    ],
)
def test_outcome_indicator_and_description_follow_the_outcome(
    outcome: AuditOutcome, error_code: str, indicator: str, description: str | None
) -> None:
    event = event_identification(single_message(create_event(outcome=outcome, error_code=error_code)))
    assert event.get("EventOutcomeIndicator") == indicator
    assert event.findtext("EventOutcomeDescription") == description


def test_event_without_a_user_and_an_address_has_a_requestor_without_a_name() -> None:
    message = single_message(create_event(username="", address=None, outcome=AuditOutcome.DENIED))
    assert participants(message)[0] == ("", "true", None, None)
    assert message[1].get("NetworkAccessPointTypeCode") is None
    assert objects(message) == []


def test_ipv6_address_is_the_network_access_point() -> None:
    assert participants(single_message(create_event(address="2001:db8::7")))[0][2] == "2001:db8::7"


def test_event_time_is_in_utc() -> None:
    row = create_event(at=datetime(2026, 1, 1, tzinfo=UTC))
    assert event_identification(single_message(row)).get("EventDateTime") == "2026-01-01T00:00:00+00:00"
