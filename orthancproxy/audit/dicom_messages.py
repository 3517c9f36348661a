"""Audit events as DICOM audit messages: XML of the schema in PS3.15 section A.5.1, filled in as in section A.5.3.

Values that the gateway does not know are omitted, or empty if the schema requires them:

- ParticipantObjectName of patients and studies: the audit log has no names (empty).
- The domain in UserID: it is the name that a user logs in with, and empty for anonymous callers.
- The source media of an import: a browser does not say where its files come from.
- The data set of a query: the audit log has its keywords, and no names.
- Studies and patients of requests that were rejected before their subject was known.
- NetworkAccessPointID of a login that came through a socket without an address.

A message of these events is about one patient at most (A.5.3): an event about three patients becomes three messages
with the same request id, and so does one about a corrected PatientID. That id, the operation and its counts are in one
more participant object, of a type of our own, which A.5 allows as an extension.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from urllib.parse import quote
from xml.etree import ElementTree as ET

from orthancproxy.audit.kinds import AuditOutcome, Code, DicomEvent, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject

BEGIN_TRANSFERRING = Code("110102", "DCM", "Begin Transferring DICOM Instances")
ROLES_CHANGED = Code("110136", "DCM", "Security Roles Changed")
STUDY_INSTANCE_UID = Code("110180", "DCM", "Study Instance UID")
PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
URI = Code("12", "RFC-3881", "URI")
REQUEST = Code("request", "orthanc-graphql-gateway", "Request id")

# minor failure: may be tried again with other credentials; serious: it was aborted; major: the outcome is unknown
_INDICATORS: Mapping[str, str] = {
    AuditOutcome.SUCCESS: "0",
    AuditOutcome.DENIED: "4",
    AuditOutcome.FAILED: "8",
    AuditOutcome.INTENDED: "12",
}
_UNKNOWN_OUTCOME = "It was started; its outcome is unknown."

# what XML 1.0 cannot hold, and all line ends
_NOT_XML = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dicom_event(event: AuditEvent) -> DicomEvent:
    """Return the DICOM event of an audit event.

    Deleting less than a study is an access (A.5.3.6), whose EventActionCode is D. The intention of a transfer is an
    event of its own (A.5.3.3).
    """
    dicom = EventKind[event.event].dicom
    if dicom.id == EventKind.TRANSFERRED.dicom.id and event.outcome == AuditOutcome.INTENDED:
        return replace(dicom, id=BEGIN_TRANSFERRING, action="E")
    if event.event == EventKind.DELETION:
        level = event.target.partition("/")[0]
        if level in {"series", "instance", "instances"} and not event.counts.get("studies"):
            return replace(dicom, id=EventKind.ACCESSED.dicom.id)
    if event.event == EventKind.ACCESS_CHANGED and event.target.startswith("groups/"):
        return replace(dicom, type=ROLES_CHANGED)
    return dicom


def messages(event: AuditEvent, source: str, max_subjects: int | None = None) -> Iterator[str]:
    """Yield an event as messages of one line each; `source` is the AuditSourceID: the name of the gateway.

    An event about more than `max_subjects` becomes several messages.
    """
    dicom = dicom_event(event)
    subjects = list(event.subjects.all())
    groups: dict[str, list[AuditSubject]] = {} if subjects else {"": []}
    for subject in subjects:
        groups.setdefault(subject.patient_id if dicom.has_one_patient else "", []).append(subject)
    for group in groups.values():
        size = max_subjects or max(len(group), 1)
        for start in range(0, max(len(group), 1), size):
            part = group[start : start + size]
            yield ET.tostring(_message(event, dicom, part, source), encoding="unicode")


def _message(event: AuditEvent, dicom: DicomEvent, subjects: Iterable[AuditSubject], source: str) -> ET.Element:
    message = ET.Element("AuditMessage")
    _add_event(message, event, dicom)
    _add_participants(message, event, dicom, source)
    identification = _add(message, "AuditSourceIdentification", {"AuditSourceID": source})
    # application server process
    _add(identification, "AuditSourceTypeCode", {"csd-code": "4"})
    if event.event == EventKind.AUDIT_LOG_USED:
        uri = f"//{quote(source, safe='')}/audit-events"
        _add_object(message, URI, uri, ("2", "13"), "Security Audit Log")
    if event.event == EventKind.ACCESS_CHANGED:
        alert = _add_object(message, URI, f"//{quote(source, safe='')}/{quote(event.target)}", ("2", "13"))
        _add_detail(alert, "Alert Description", json.dumps(event.details, ensure_ascii=False))
    for uid in dict.fromkeys(subject.study_instance_uid for subject in subjects if subject.study_instance_uid):
        _add_object(message, STUDY_INSTANCE_UID, uid, ("2", "3"))
    for patient_id in dict.fromkeys(subject.patient_id for subject in subjects if subject.patient_id):
        _add_object(message, PATIENT_NUMBER, patient_id, ("1", "1"))
    request = _add_object(message, REQUEST, event.request_id, ("2", "20"), event.operation)
    for name, value in (_details(event) | _became(event, subjects)).items():
        _add_detail(request, name, value)
    return message


def _add_event(message: ET.Element, event: AuditEvent, dicom: DicomEvent) -> None:
    at = event.at.astimezone(UTC).isoformat()
    indicator = _INDICATORS[event.outcome]
    identification = _add(
        message,
        "EventIdentification",
        {"EventActionCode": dicom.action, "EventDateTime": at, "EventOutcomeIndicator": indicator},
    )
    _add_code(identification, "EventID", dicom.id)
    if dicom.type:
        _add_code(identification, "EventTypeCode", dicom.type)
    if event.outcome == AuditOutcome.INTENDED:
        _add(identification, "EventOutcomeDescription", text=_UNKNOWN_OUTCOME)
    elif event.outcome != AuditOutcome.SUCCESS:
        _add(identification, "EventOutcomeDescription", text=event.error_code or event.outcome)


def _add_participants(message: ET.Element, event: AuditEvent, dicom: DicomEvent, source: str) -> None:
    # type 2 is an IP address
    place = {"NetworkAccessPointID": event.address, "NetworkAccessPointTypeCode": "2"} if event.address else {}
    user = _add(message, "ActiveParticipant", {"UserID": event.username, "UserIsRequestor": "true", **place})
    if dicom.user_role:
        _add_code(user, "RoleIDCode", dicom.user_role)
    gateway = _add(message, "ActiveParticipant", {"UserID": source, "UserIsRequestor": "false"})
    _add_code(gateway, "RoleIDCode", dicom.gateway_role)
    # what was denied or failed before has none
    if dicom.server_role and event.details:
        name = event.details.get("destination") or event.details["source"]
        server = _add(message, "ActiveParticipant", {"UserID": name, "UserIsRequestor": "false"})
        _add_code(server, "RoleIDCode", dicom.server_role)


def _details(event: AuditEvent) -> dict[str, str]:
    """Return what the standard has no field for. `event` is shared by all messages of one event, and by no others."""
    known = {"event": str(event.pk), "authentication": event.authentication, "durationMs": str(event.duration_ms)}
    if event.target:
        known["target"] = event.target
    if event.event == EventKind.LABELLED:
        known |= {name: ", ".join(labels) for name, labels in (event.details or {}).items()}
    if event.event == EventKind.QUERIED and event.details:
        known["query"] = json.dumps(event.details["query"], ensure_ascii=False)
    return known | {f"counts.{name}": str(count) for name, count in event.counts.items()}


def _became(event: AuditEvent, subjects: Iterable[AuditSubject]) -> dict[str, str]:
    """Return which studies of a message became which: StudyInstanceUIDs, as another message names another patient."""
    uids = {subject.study_instance_uid for subject in subjects}
    made = [one for one in (event.details or {}).get("made", ()) if "from" in one]
    pairs = {
        one["from"]: one["studyInstanceUID"]
        for one in made
        if not uids.isdisjoint((one["from"], one["studyInstanceUID"]))
    }
    return {"became": json.dumps(pairs)} if pairs else {}


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


def _add_detail(described: ET.Element, name: str, value: str) -> None:
    encoded = b64encode(value.encode("utf-8", "backslashreplace")).decode()
    _add(described, "ParticipantObjectDetail", {"type": name, "value": encoded})


def _add_code(parent: ET.Element, tag: str, code: Code) -> None:
    _add(parent, tag, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning})


def _add(parent: ET.Element, tag: str, attributes: Mapping[str, str] | None = None, text: str = "") -> ET.Element:
    element = ET.SubElement(parent, tag, {name: _xml_text(value) for name, value in (attributes or {}).items()})
    element.text = _xml_text(text)
    return element


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
