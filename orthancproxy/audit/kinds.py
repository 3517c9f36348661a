"""The values of an audit event. Each kind is declared once, with its DICOM audit message (PS3.15 section A.5.3)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy


class Code(NamedTuple):
    """A coded value: code, coding scheme designator, and code meaning."""

    value: str
    scheme: str
    meaning: str


APPLICATION = Code("110150", "DCM", "Application")
DESTINATION = Code("110152", "DCM", "Destination Role ID")
SOURCE = Code("110153", "DCM", "Source Role ID")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomEvent:
    """How a DICOM audit message describes an event.

    `user_role` and `gateway_role` are RoleIDCodes of the caller and of the gateway. `has_one_patient` is set where the
    standard allows one patient in a message, so that an event about several becomes several messages. With a
    `server_role`, the event's details name another server, which had that role.
    """

    id: Code
    action: str
    type: Code | None = None
    user_role: Code | None = None
    gateway_role: Code = APPLICATION
    has_one_patient: bool = False
    server_role: Code | None = None


_USER_AUTHENTICATION = Code("110114", "DCM", "User Authentication")


class _TranslatedChoices(models.TextChoices):
    """Choices whose labels Django makes of their names: "Audit Log Used"."""

    @property
    def label(self) -> Any:
        return gettext_lazy(str(self._label_))


class EventKind(_TranslatedChoices):
    """What was done: a description, and the DICOM event."""

    ACCESSED = (
        "ACCESSED",
        "Resources were read.",
        DicomEvent(id=Code("110103", "DCM", "DICOM Instances Accessed"), action="R", has_one_patient=True),
    )
    TRANSFERRED = (
        "TRANSFERRED",
        "Files, rendered images or ZIPs were downloaded.",
        # A.5.3.7: R, since the gateway does not know what the receiver had before
        DicomEvent(
            id=Code("110104", "DCM", "DICOM Instances Transferred"),
            action="R",
            user_role=DESTINATION,
            gateway_role=SOURCE,
            has_one_patient=True,
        ),
    )
    SENT = (
        "SENT",
        "Files were sent to another server.",
        # A.5.3.3, A.5.3.7: the user is a participant who is neither source nor destination
        DicomEvent(
            id=Code("110104", "DCM", "DICOM Instances Transferred"),
            action="R",
            gateway_role=SOURCE,
            has_one_patient=True,
            server_role=DESTINATION,
        ),
    )
    QUERIED = (
        "QUERIED",
        "Another server was searched.",
        # A.5.3.10: the gateway issues the query, the server responds
        DicomEvent(id=Code("110112", "DCM", "Query"), action="E", gateway_role=SOURCE, server_role=DESTINATION),
    )
    RETRIEVED = (
        "RETRIEVED",
        "Studies were retrieved from another server.",
        # A.5.3.7: R, since the archive may have had them before
        DicomEvent(
            id=Code("110104", "DCM", "DICOM Instances Transferred"),
            action="R",
            gateway_role=DESTINATION,
            has_one_patient=True,
            server_role=SOURCE,
        ),
    )
    IMPORT = (
        "IMPORT",
        "Files were uploaded.",
        DicomEvent(id=Code("110107", "DCM", "Import"), action="C", user_role=SOURCE, gateway_role=DESTINATION),
    )
    DELETION = (
        "DELETION",
        "Resources were deleted for good.",
        DicomEvent(id=Code("110105", "DCM", "DICOM Study Deleted"), action="D", has_one_patient=True),
    )
    TRASHED = (
        "TRASHED",
        "Studies were put into the trash, where they are hidden until they are restored or deleted.",
        # they are not deleted yet. A.5.3.6: instances that are viewed, utilized, updated or deleted
        DicomEvent(id=Code("110103", "DCM", "DICOM Instances Accessed"), action="U", has_one_patient=True),
    )
    RESTORED = (
        "RESTORED",
        "Studies were taken out of the trash: by a user, or since instances of them arrived again.",
        DicomEvent(id=Code("110103", "DCM", "DICOM Instances Accessed"), action="U", has_one_patient=True),
    )
    LABELLED = (
        "LABELLED",
        "Labels were added or removed.",
        # A.5.3.6: instances that are viewed, utilized, updated or deleted
        DicomEvent(id=Code("110103", "DCM", "DICOM Instances Accessed"), action="U", has_one_patient=True),
    )
    MODIFIED = (
        "MODIFIED",
        "Resources were corrected, merged or moved.",
        DicomEvent(id=Code("110103", "DCM", "DICOM Instances Accessed"), action="U", has_one_patient=True),
    )
    ANONYMIZED = (
        "ANONYMIZED",
        "Anonymized copies of studies were made.",
        # A.5.3.6
        DicomEvent(id=Code("110103", "DCM", "DICOM Instances Accessed"), action="C", has_one_patient=True),
    )
    REIDENTIFIED = (
        "REIDENTIFIED",
        "The patients behind pseudonyms were read.",
        # PS3.16 CID 400
        DicomEvent(id=Code("110110", "DCM", "Patient Record"), action="R", has_one_patient=True),
    )
    LOGIN = (
        "LOGIN",
        "A user logged in, a share link was opened, or authentication failed.",
        DicomEvent(id=_USER_AUTHENTICATION, action="E", type=Code("110122", "DCM", "Login")),
    )
    LOGOUT = (
        "LOGOUT",
        "A user logged out.",
        DicomEvent(id=_USER_AUTHENTICATION, action="E", type=Code("110123", "DCM", "Logout")),
    )
    AUDIT_LOG_USED = (
        "AUDIT_LOG_USED",
        "The audit log was read.",
        DicomEvent(id=Code("110101", "DCM", "Audit Log Used"), action="R"),
    )

    ACCESS_CHANGED = (
        "ACCESS_CHANGED",
        "A user, a group, their permissions, an access scope, an API token or a share link was changed.",
        DicomEvent(
            id=Code("110113", "DCM", "Security Alert"),
            action="E",
            type=Code("110137", "DCM", "User Security Attributes Changed"),
        ),
    )

    description: str
    dicom: DicomEvent

    def __new__(cls, value: str, description: str, dicom: DicomEvent) -> "EventKind":
        """Make the description and the DICOM event attributes of the member."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.description = description
        kind.dicom = dicom
        return kind


CANCELLED = "CANCELLED"
"""The error code of what was intended and not carried out, on purpose."""


class AuditOutcome(_TranslatedChoices):
    """How an operation ended."""

    INTENDED = "INTENDED"
    SUCCESS = "SUCCESS"
    DENIED = "DENIED"
    FAILED = "FAILED"


class Authentication(_TranslatedChoices):
    """How a caller was authenticated."""

    NONE = "NONE"
    SESSION = "SESSION"
    API_TOKEN = "API_TOKEN"  # noqa: S105
    OPENID_CONNECT = "OPENID_CONNECT"
    SIGNED_URL = "SIGNED_URL"
    SHARE_LINK = "SHARE_LINK"
