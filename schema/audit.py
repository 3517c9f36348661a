"""The types of the audit: who did what, as it was written down."""

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
"""What a page of events fetches of other tables where it is selected."""

OUTCOMES = {
    AuditOutcome.INTENDED: "It was begun. An event of its own tells how it ended; if none does, nobody knows.",
    AuditOutcome.SUCCESS: "It was done.",
    AuditOutcome.DENIED: "The caller may not do this, or was not known.",
    AuditOutcome.FAILED: "It could not be done.",
}
AUTHENTICATIONS = {
    Authentication.NONE: "It was not known.",
    Authentication.SESSION: "By a log-in with a password.",
    Authentication.API_TOKEN: "By a token of the gateway's.",
    Authentication.OPENID_CONNECT: "By a token of an OpenID Connect provider's.",
}
describe_enum(
    strawberry.enum(EventKind, name="AuditEventKind", description="What was done, as DICOM PS3.15 A.5.3 has it."),
    {kind: f"{kind.description} DICOM: {kind.dicom.id.meaning}." for kind in EventKind},
)
describe_enum(strawberry.enum(AuditOutcome, name="AuditOutcome", description="How it ended."), OUTCOMES)
describe_enum(
    strawberry.enum(Authentication, name="AuditAuthentication", description="How it was known who asked."),
    AUTHENTICATIONS,
)


@strawberry_django.type(Subject, name="AuditSubject", description="A patient, or a study, that an event is about.")
class AuditSubject:
    """`orthancproxy.models.AuditSubject`."""

    @strawberry.field(description="PatientID; null where it has none.")
    def patient_id(root: strawberry.Parent[Subject]) -> str | None:
        return root.patient_id or None

    @strawberry.field(name="studyInstanceUID", description="StudyInstanceUID; null where it is about the patient.")
    def study_instance_uid(root: strawberry.Parent[Subject]) -> strawberry.ID | None:
        return strawberry.ID(root.study_instance_uid) if root.study_instance_uid else None


@strawberry_django.type(Event, name="AuditEvent", description="What somebody did, or tried to do.")
class AuditEvent:
    """`orthancproxy.models.AuditEvent`."""

    id: strawberry.ID = strawberry_django.field(description="It grows with each event.")
    at: datetime.datetime = strawberry_django.field(description="When it was written down.")
    event: EventKind = strawberry_django.field(description="What was done.")
    operation: str = strawberry_django.field(description="Root fields of GraphQL, or the method and route of REST.")
    outcome: AuditOutcome = strawberry_django.field(description="How it ended.")
    authentication: Authentication = strawberry_django.field(description="How it was known who asked.")
    address: str | None = strawberry_django.field(description="The IP address that the request came from.")
    duration_ms: float = strawberry_django.field(description="How long it took, in milliseconds.")
    counts: JSON = strawberry_django.field(description='How many there were of what, such as `{"studies": 2}`.')

    @strawberry.field(description="The patients and studies that it is about.")
    def subjects(root: strawberry.Parent[Event]) -> list[AuditSubject]:
        return cast("list[AuditSubject]", list(root.subjects.all()))

    @strawberry.field(description="EventID by PS3.15 A.5.3, such as `110105`.")
    def code(root: strawberry.Parent[Event]) -> str:
        return dicom_event(root).id.value

    @strawberry.field(description="The code of the error, as the caller got it; null when there was none.")
    def error_code(root: strawberry.Parent[Event]) -> str | None:
        return root.error_code or None

    @strawberry.field(description="Who asked; null for nobody, and where a token was not accepted.")
    def username(root: strawberry.Parent[Event]) -> str | None:
        return root.username or None

    @strawberry.field(description="It finds the request in the log.")
    def request_id(root: strawberry.Parent[Event]) -> str | None:
        return root.request_id or None

    @strawberry.field(description="What the caller named, such as `series/<Orthanc id>`; null when it was nothing.")
    def target(root: strawberry.Parent[Event]) -> str | None:
        return root.target or None

    @strawberry.field(description="Of an outcome: the id of the event that announced it.")
    def intention_id(root: strawberry.Parent[Event]) -> strawberry.ID | None:
        return strawberry.ID(str(root.intention_id)) if root.intention_id else None


@strawberry_django.filter_type(Event, name="AuditEventFilter", description="Every given field must match.")
class AuditEventFilter:
    """Matches events, all but `operation` to the letter."""

    outcome: AuditOutcome | None = strawberry_django.filter_field(description="How it ended.")
    username: str | None = strawberry_django.filter_field(description="Who asked; empty for nobody.")
    request_id: str | None = strawberry_django.filter_field(description="The request that it was part of.")
    target: str | None = strawberry_django.filter_field(description="What the caller named.")

    @strawberry_django.filter_field(description="From then on.")
    def since(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}at__gte": aware(value)})

    @strawberry_django.filter_field(description="Before then.")
    def until(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}at__lt": aware(value)})

    @strawberry_django.filter_field(description="What was done: one of these.")
    def events(self, value: list[EventKind], prefix: str) -> Q:
        return Q(**{f"{prefix}event__in": value})

    @strawberry_django.filter_field(description="A part of it, such as `deleteStudy`; case is ignored.")
    def operation(self, value: str, prefix: str) -> Q:
        return Q(**{f"{prefix}operation__icontains": value})

    @strawberry_django.filter_field(description="An IP address.")
    def address(self, value: str, prefix: str) -> Q:
        try:
            return Q(**{f"{prefix}address": str(ip_address(value))})
        except ValueError as error:
            raise InvalidRequest("This is not an IP address.") from error

    @strawberry_django.filter_field(description="It was about this patient, or a study of theirs.")
    def patient_id(self, value: str, prefix: str) -> Q:
        # a join would return an event once for each of the patient's studies
        return Q(**{f"{prefix}pk__in": Subject.objects.filter(patient_id=value).values("event")})

    @strawberry_django.filter_field(name="studyInstanceUID", description="It was about this study.")
    def study_instance_uid(self, value: strawberry.ID, prefix: str) -> Q:
        return Q(**{f"{prefix}pk__in": Subject.objects.filter(study_instance_uid=value).values("event")})

    @strawberry_django.filter_field(description="It was begun, and no event tells how it ended; or not so.")
    def is_unfinished(self, value: bool, prefix: str) -> Q:
        unfinished = Q(**{f"{prefix}outcome": AuditOutcome.INTENDED, f"{prefix}conclusion__isnull": True})
        return unfinished if value else ~unfinished


describe_filter(AuditEventFilter)


@strawberry.enum(description="What to order events by.")
class AuditEventOrderField(Enum):
    """What to order events by: columns."""

    AT = strawberry.enum_value("at", description="When the event was written.")
    USERNAME = strawberry.enum_value("username", description="The caller.")
    DURATION_MS = strawberry.enum_value("duration_ms", description="How long the operation took.")


@strawberry.input(description="One key of an order.")
class AuditEventOrder(OrderKey[AuditEventOrderField]):
    """Orders events."""
