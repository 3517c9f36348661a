"""Events as DICOM audit messages: XML of the schema in PS3.15 section A.5.1, filled in as section A.5.3 wants it.

What the standard wants and the gateway does not know is left out, or empty where the schema insists on it:

- ParticipantObjectName of patients and studies: the audit has no names (empty).
- The domain in UserID: it is the name that a user logs in with, and empty for nobody.
- The source media of an import: files come from a browser, which does not tell where it has them from.
- Studies and patients of what was refused before it was known whom it was about.
- NetworkAccessPointID of a log-in that came through a socket without an address.

A message of these events is about one patient at most, as A.5.3 wants it: what was done to three patients gives three
messages, which have the id of the request in common. That id, the operation, and its counts are in one participating
object more, of a type of our own, which A.5 allows as an extension.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from orthancproxy.audit.models import AuditEvent, AuditSubject

Event = AuditEvent.Event
Outcome = AuditEvent.Outcome


class Code(NamedTuple):
    """A coded value: code, coding scheme, and code meaning."""

    value: str
    scheme: str
    meaning: str


AUDIT_LOG_USED = Code("110101", "DCM", "Audit Log Used")
ACCESSED = Code("110103", "DCM", "DICOM Instances Accessed")
TRANSFERRED = Code("110104", "DCM", "DICOM Instances Transferred")
STUDY_DELETED = Code("110105", "DCM", "DICOM Study Deleted")
IMPORT = Code("110107", "DCM", "Import")
USER_AUTHENTICATION = Code("110114", "DCM", "User Authentication")
LOGIN = Code("110122", "DCM", "Login")
LOGOUT = Code("110123", "DCM", "Logout")
APPLICATION = Code("110150", "DCM", "Application")
DESTINATION = Code("110152", "DCM", "Destination Role ID")
SOURCE = Code("110153", "DCM", "Source Role ID")
STUDY_INSTANCE_UID = Code("110180", "DCM", "Study Instance UID")
PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
URI = Code("12", "RFC-3881", "URI")
REQUEST = Code("request", "orthanc-graphql-gateway", "Request id")

# EventID, EventActionCode. The gateway does not know what the receiver had: A.5.3.7 wants R for a transfer then
_EVENTS: Mapping[str, tuple[Code, str]] = {
    Event.ACCESSED: (ACCESSED, "R"),
    Event.TRANSFERRED: (TRANSFERRED, "R"),
    Event.IMPORT: (IMPORT, "C"),
    Event.DELETION: (STUDY_DELETED, "D"),
    Event.LOGIN: (USER_AUTHENTICATION, "E"),
    Event.LOGOUT: (USER_AUTHENTICATION, "E"),
    Event.AUDIT_LOG_USED: (AUDIT_LOG_USED, "R"),
}
_TYPES: Mapping[str, Code] = {Event.LOGIN: LOGIN, Event.LOGOUT: LOGOUT}
# RoleIDCodes of who asked and of the gateway
_ROLES: Mapping[str, tuple[Code | None, Code]] = {
    Event.TRANSFERRED: (DESTINATION, SOURCE),
    Event.IMPORT: (SOURCE, DESTINATION),
}
_OF_ONE_PATIENT = frozenset({Event.ACCESSED, Event.TRANSFERRED, Event.DELETION})
# minor: it may be asked for again, with other credentials; serious: it was broken off; major: nobody knows how it ended
_INDICATORS: Mapping[str, str] = {
    Outcome.SUCCESS: "0",
    Outcome.DENIED: "4",
    Outcome.FAILED: "8",
    Outcome.INTENDED: "12",
}
_UNKNOWN_END = "It was begun; how it ended is not known."

# what XML 1.0 has no place for, and all that ends a line
_UNSPEAKABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def event_code(event: AuditEvent) -> Code:
    """The EventID. What deletes less than a study is an access by A.5.3.6, with D for its EventActionCode."""
    return _event(event)[0]


def _event(event: AuditEvent) -> tuple[Code, str]:
    if event.event == Event.DELETION:
        level = event.target.partition("/")[0]
        if level in {"series", "instance", "instances"} and not event.counts.get("studies"):
            return ACCESSED, "D"
    return _EVENTS[event.event]


def messages(event: AuditEvent, source: str) -> Iterator[str]:
    """One event as messages, each one line; `source` is the AuditSourceID: the name of the gateway."""
    subjects = list(event.subjects.all())
    groups: dict[str, list[AuditSubject]] = {} if subjects else {"": []}
    for subject in subjects:
        groups.setdefault(subject.patient_id if event.event in _OF_ONE_PATIENT else "", []).append(subject)
    for group in groups.values():
        yield ET.tostring(_message(event, group, source), encoding="unicode")


def _message(event: AuditEvent, subjects: Iterable[AuditSubject], source: str) -> ET.Element:
    message = ET.Element("AuditMessage")
    _add_event(message, event)
    _add_participants(message, event, source)
    identification = _add(message, "AuditSourceIdentification", {"AuditSourceID": source})
    # application server process
    _add(identification, "AuditSourceTypeCode", {"csd-code": "4"})
    if event.event == Event.AUDIT_LOG_USED:
        uri = f"//{quote(source, safe='')}/audit-events"
        _add_object(message, URI, uri, ("2", "13"), "Security Audit Log")
    for uid in dict.fromkeys(subject.study_instance_uid for subject in subjects if subject.study_instance_uid):
        _add_object(message, STUDY_INSTANCE_UID, uid, ("2", "3"))
    for patient_id in dict.fromkeys(subject.patient_id for subject in subjects if subject.patient_id):
        _add_object(message, PATIENT_NUMBER, patient_id, ("1", "1"))
    request = _add_object(message, REQUEST, event.request_id, ("2", "20"), event.operation)
    for name, value in _details(event).items():
        encoded = b64encode(value.encode("utf-8", "backslashreplace")).decode()
        _add(request, "ParticipantObjectDetail", {"type": name, "value": encoded})
    return message


def _add_event(message: ET.Element, event: AuditEvent) -> None:
    code, action = _event(event)
    at = event.at.astimezone(UTC).isoformat()
    indicator = _INDICATORS[event.outcome]
    identification = _add(
        message,
        "EventIdentification",
        {"EventActionCode": action, "EventDateTime": at, "EventOutcomeIndicator": indicator},
    )
    _add_code(identification, "EventID", code)
    if kind := _TYPES.get(event.event):
        _add_code(identification, "EventTypeCode", kind)
    if event.outcome == Outcome.INTENDED:
        _add(identification, "EventOutcomeDescription", text=_UNKNOWN_END)
    elif event.outcome != Outcome.SUCCESS:
        _add(identification, "EventOutcomeDescription", text=event.error_code or event.outcome)


def _add_participants(message: ET.Element, event: AuditEvent, source: str) -> None:
    role, own_role = _ROLES.get(event.event, (None, APPLICATION))
    # 2: an IP address
    place = {"NetworkAccessPointID": event.address, "NetworkAccessPointTypeCode": "2"} if event.address else {}
    user = _add(message, "ActiveParticipant", {"UserID": event.username, "UserIsRequestor": "true", **place})
    if role:
        _add_code(user, "RoleIDCode", role)
    gateway = _add(message, "ActiveParticipant", {"UserID": source, "UserIsRequestor": "false"})
    _add_code(gateway, "RoleIDCode", own_role)


def _details(event: AuditEvent) -> dict[str, str]:
    """What is in no field of the standard's. `event` is the same in all messages of one event, and in no other's."""
    known = {"event": str(event.pk), "authentication": event.authentication, "durationMs": str(event.duration_ms)}
    if event.target:
        known["target"] = event.target
    return known | {f"counts.{name}": str(count) for name, count in event.counts.items()}


def _add_object(
    message: ET.Element, kind: Code, identifier: str, kind_and_role: tuple[str, str], name: str = ""
) -> ET.Element:
    attributes = {
        "ParticipantObjectID": identifier,
        "ParticipantObjectTypeCode": kind_and_role[0],
        "ParticipantObjectTypeCodeRole": kind_and_role[1],
    }
    described = _add(message, "ParticipantObjectIdentification", attributes)
    _add_code(described, "ParticipantObjectIDTypeCode", kind)
    _add(described, "ParticipantObjectName", text=name)
    return described


def _add_code(parent: ET.Element, tag: str, code: Code) -> None:
    _add(parent, tag, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})


def _add(parent: ET.Element, tag: str, attributes: Mapping[str, str] | None = None, text: str = "") -> ET.Element:
    element = ET.SubElement(parent, tag, {name: _speakable(value) for name, value in (attributes or {}).items()})
    element.text = _speakable(text)
    return element


def _speakable(text: str) -> str:
    return _UNSPEAKABLE.sub("\ufffd", text)
