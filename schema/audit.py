"""The types of the audit log."""

import datetime
from enum import Enum
from ipaddress import ip_address
from typing import cast

import strawberry
import strawberry_django
from django.db.models import Prefetch, Q
from strawberry.scalars import JSON

from orthancproxy.audit.dicom_messages import dicom_event
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import AuditEvent as Event
from orthancproxy.audit.models import AuditSubject as Subject
from orthancproxy.errors import InvalidRequest
from orthancproxy.schema.descriptions import describe_enum, describe_filter
from orthancproxy.schema.inputs import OrderKey
from orthancproxy.schema.tables import aware

RELATED = {"subjects": Prefetch("subjects", Subject.objects.order_by("pk"))}
"""The fields of events that a page fetches from other tables, if they are selected."""

OUTCOMES = {
    AuditOutcome.INTENDED: "The operation is about to begin. A later event has the outcome, else it is unknown.",
    AuditOutcome.SUCCESS: "The operation succeeded.",
    AuditOutcome.DENIED: "The caller lacks the permission, or is not authenticated.",
    AuditOutcome.FAILED: "The operation failed.",
}
AUTHENTICATIONS = {
    Authentication.NONE: "Not authenticated.",
    Authentication.SESSION: "A session, after a login with a password.",
    Authentication.API_TOKEN: "An API token of the gateway.",
    Authentication.OPENID_CONNECT: "An access token of an OpenID Connect provider.",
    Authentication.SIGNED_URL: "A signed URL, made for the caller.",
    Authentication.SHARE_LINK: "A share link: the username is `share:` and its id.",
}
describe_enum(
    strawberry.enum(EventKind, name="AuditEventKind", description="The kinds of events of DICOM PS3.15 A.5.3."),
    {kind: f"{kind.description} DICOM: {kind.dicom.id.meaning}." for kind in EventKind},
)
describe_enum(strawberry.enum(AuditOutcome, name="AuditOutcome", description="The outcome of an operation."), OUTCOMES)
describe_enum(
    strawberry.enum(Authentication, name="AuditAuthentication", description="How a caller was authenticated."),
    AUTHENTICATIONS,
)


@strawberry_django.type(Subject, name="AuditSubject", description="A patient or a study that an event concerns.")
class AuditSubject:
    @strawberry.field(description="PatientID; null if it is empty.")
    def patient_id(root: strawberry.Parent[Subject]) -> str | None:
        return root.patient_id or None

    @strawberry.field(name="studyInstanceUID", description="StudyInstanceUID; null if the event concerns the patient.")
    def study_instance_uid(root: strawberry.Parent[Subject]) -> strawberry.ID | None:
        return strawberry.ID(root.study_instance_uid) if root.study_instance_uid else None


@strawberry_django.type(Event, name="AuditEvent", description="An operation that a caller performed or attempted.")
class AuditEvent:
    id: strawberry.ID = strawberry_django.field(description="The id. Later events have higher ids.")
    at: datetime.datetime = strawberry_django.field(description="When the event was written.")
    event: EventKind = strawberry_django.field(description="The kind of event.")
    operation: str = strawberry_django.field(
        description="The root fields of a GraphQL request, or the method and route of a REST request."
    )
    outcome: AuditOutcome = strawberry_django.field(description="The outcome.")
    authentication: Authentication = strawberry_django.field(description="How the caller was authenticated.")
    address: str | None = strawberry_django.field(description="The IP address of the client.")
    duration_ms: float = strawberry_django.field(description="The duration in milliseconds.")
    counts: JSON = strawberry_django.field(description='Number of resources by level, such as `{"studies": 2}`.')

    details: JSON | None = strawberry_django.field(
        description='What changed, for ACCESS_CHANGED and LABELLED, such as `{"groups added": ["Manager"]}`; for '
        "SENT, the `destination`; for QUERIED and RETRIEVED, the `source`, and of a search the `query` by keyword, "
        "without names and descriptions; for outcomes of MODIFIED and RETRIEVED, the studies that were `made`: each "
        "`studyInstanceUID`, its `patientId`, and for MODIFIED the StudyInstanceUID `from` which it was made. Of "
        "ANONYMIZED, the result is not named; otherwise null."
    )

    @strawberry.field(description="The patients and studies that the event concerns.")
    def subjects(root: strawberry.Parent[Event]) -> list[AuditSubject]:
        return cast("list[AuditSubject]", list(root.subjects.all()))

    @strawberry.field(description="EventID of DICOM PS3.15 A.5.3, such as `110105`.")
    def code(root: strawberry.Parent[Event]) -> str:
        return dicom_event(root).id.value

    @strawberry.field(
        description="The error code that the caller got, or `CANCELLED` for what was not carried out on purpose; null "
        "without an error."
    )
    def error_code(root: strawberry.Parent[Event]) -> str | None:
        return root.error_code or None

    @strawberry.field(description="The caller; null for an anonymous one or a rejected token.")
    def username(root: strawberry.Parent[Event]) -> str | None:
        return root.username or None

    @strawberry.field(description="The id of the request in the request log.")
    def request_id(root: strawberry.Parent[Event]) -> str | None:
        return root.request_id or None

    @strawberry.field(
        description="The resource that the caller named, or of which files and images were viewed, such as "
        "`series/<Orthanc id>`; null for a list."
    )
    def target(root: strawberry.Parent[Event]) -> str | None:
        return root.target or None

    @strawberry.field(description="The id of the INTENDED event whose outcome this event reports; otherwise null.")
    def intention_id(root: strawberry.Parent[Event]) -> strawberry.ID | None:
        return strawberry.ID(str(root.intention_id)) if root.intention_id else None


@strawberry_django.filter_type(Event, name="AuditEventFilter", description="Every given field must match.")
class AuditEventFilter:
    outcome: AuditOutcome | None = strawberry_django.filter_field(description="The outcome.")
    username: str | None = strawberry_django.filter_field(description="The caller; empty for anonymous callers.")
    request_id: str | None = strawberry_django.filter_field(description="The id of the request.")
    target: str | None = strawberry_django.filter_field(description="The resource that the caller named.")

    @strawberry_django.filter_field(description="Written at this time or later.")
    def since(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}at__gte": aware(value)})

    @strawberry_django.filter_field(description="Written before this time.")
    def until(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}at__lt": aware(value)})

    @strawberry_django.filter_field(description="Any of these kinds.")
    def events(self, value: list[EventKind], prefix: str) -> Q:
        return Q(**{f"{prefix}event__in": value})

    @strawberry_django.filter_field(description="A part of the operation, such as `deleteStudy`; case is ignored.")
    def operation(self, value: str, prefix: str) -> Q:
        return Q(**{f"{prefix}operation__icontains": value})

    @strawberry_django.filter_field(description="The IP address of the client.")
    def address(self, value: str, prefix: str) -> Q:
        try:
            return Q(**{f"{prefix}address": str(ip_address(value))})
        except ValueError as error:
            raise InvalidRequest("`address` is not an IP address.") from error

    @strawberry_django.filter_field(description="The event concerns this patient, or a study of this patient.")
    def patient_id(self, value: str, prefix: str) -> Q:
        # a join would return an event once for each of the patient's studies
        return Q(**{f"{prefix}pk__in": Subject.objects.filter(patient_id=value).values("event")})

    @strawberry_django.filter_field(name="studyInstanceUID", description="The event concerns this study.")
    def study_instance_uid(self, value: strawberry.ID, prefix: str) -> Q:
        return Q(**{f"{prefix}pk__in": Subject.objects.filter(study_instance_uid=value).values("event")})

    @strawberry_django.filter_field(
        description="True: only INTENDED events without an outcome, of no series that is being viewed, and of no "
        "job that goes on. "
        "False: only others."
    )
    def is_unfinished(self, value: bool, prefix: str) -> Q:
        without = {f"{prefix}{name}__isnull": True for name in ("conclusion", "viewing", "job")}
        unfinished = Q(**{f"{prefix}outcome": AuditOutcome.INTENDED, **without})
        return unfinished if value else ~unfinished


describe_filter(AuditEventFilter)


@strawberry.enum(description="What to order events by.")
class AuditEventOrderField(Enum):
    AT = strawberry.enum_value("at", description="When the event was written.")
    USERNAME = strawberry.enum_value("username", description="The caller.")
    DURATION_MS = strawberry.enum_value("duration_ms", description="How long the operation took.")


@strawberry.input(description="One key of an order.")
class AuditEventOrder(OrderKey[AuditEventOrderField]):
    pass
