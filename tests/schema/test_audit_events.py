"""The audit by GraphQL: filters, order, pages, one query for the subjects of a page, and who may read it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import Permission, User
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from tests.audit.events import create_event

Event, Outcome = EventKind, AuditOutcome
KIM, KIM_TOO, YAMADA = Subject("김-001", "1.2.3"), Subject("김-001", "1.2.5"), Subject("山田", "1.2.4")
ALL = """
    id at event code operation outcome errorCode username authentication address requestId durationMs target counts
    intentionId subjects { patientId studyInstanceUID }
"""

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def executed() -> Iterator[list[str]]:
    """Yield the list of all SQL that is executed, in whatever thread."""
    statements: list[str] = []
    execute = CursorWrapper.execute

    def noting(cursor: CursorWrapper, sql: str, params: Any = None) -> Any:
        statements.append(sql)
        return execute(cursor, sql, params)

    with patch.object(CursorWrapper, "execute", noting):
        yield statements


class Auditor:
    """A caller with a session who reads the audit."""

    def __init__(self, *permissions: str) -> None:
        self.user = User.objects.create_user("auditor")
        self.user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        self.client = Client()
        self.client.force_login(self.user, backend="orthancproxy.project.login.PasswordBackend")
        self.sql: list[str] = []
        # logging in is no part of the tests
        QuerySet(AuditEvent).delete()

    def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        with executed() as statements:
            response = self.client.post(
                "/graphql/", {"query": query, "variables": variables}, content_type="application/json"
            )
        self.sql = [one for one in statements if "orthancproxy_audit" in one and "SELECT" in one]
        found: dict[str, Any] = response.json()
        return found

    def __call__(self, arguments: str = "", fields: str = ALL) -> list[dict[str, Any]]:
        """The events."""
        query = f"{{ auditEvents{f'({arguments})' if arguments else ''} {{ nodes {{ {fields} }} }} }}"
        answer = self.answer(query)
        assert "errors" not in answer, answer["errors"]
        nodes: list[dict[str, Any]] = answer["data"]["auditEvents"]["nodes"]
        return nodes

    def operations(self, arguments: str = "") -> list[str]:
        return [event["operation"] for event in self(arguments, "operation")]

    def filtered(self, filters: str) -> set[str]:
        return set(self.operations(f"filter: {{ {filters} }}"))

    def error(self, arguments: str) -> tuple[str, str]:
        [error] = self.answer(f"{{ auditEvents({arguments}) {{ nodes {{ id }} }} }}")["errors"]
        return error["extensions"]["code"], error["message"]


@pytest.fixture
def auditor() -> Auditor:
    return Auditor("view_audit")


def test_an_event_has_all_columns(auditor: Auditor) -> None:
    row = create_event(KIM, Subject("김-001"), Subject(""), counts={"studies": 2}, target="studies/4fe1")
    assert auditor() == [
        {
            "id": str(row.pk),
            "at": row.at.isoformat(),
            "event": "ACCESSED",
            "code": "110103",
            "operation": "patients",
            "outcome": "SUCCESS",
            "errorCode": None,
            "username": "nurse",
            "authentication": "SESSION",
            "address": "192.0.2.7",
            "requestId": "a1b2c3",
            "durationMs": 12.5,
            "target": "studies/4fe1",
            "counts": {"studies": 2},
            "intentionId": None,
            "subjects": [
                {"patientId": "김-001", "studyInstanceUID": "1.2.3"},
                {"patientId": "김-001", "studyInstanceUID": None},
                {"patientId": None, "studyInstanceUID": None},
            ],
        }
    ]


def test_empty_columns_are_null(auditor: Auditor) -> None:
    create_event(username="", address=None, request_id="", outcome=Outcome.DENIED)
    [event] = auditor()
    assert {name: event[name] for name in ("username", "address", "requestId", "target", "errorCode")} == {
        "username": None,
        "address": None,
        "requestId": None,
        "target": None,
        "errorCode": None,
    }
    assert event["subjects"] == []


def test_an_outcome_names_its_intention(auditor: Auditor) -> None:
    intention = create_event(event=Event.DELETION, outcome=Outcome.INTENDED)
    create_event(event=Event.DELETION, outcome=Outcome.FAILED, error_code="ARCHIVE_TIMEOUT", intention=intention)
    outcome, intended = auditor()
    assert (outcome["intentionId"], outcome["errorCode"]) == (str(intention.pk), "ARCHIVE_TIMEOUT")
    assert (intended["id"], intended["intentionId"]) == (str(intention.pk), None)


@pytest.mark.parametrize("rows", [1, 40])
def test_the_subjects_of_a_page_are_one_query(auditor: Auditor, rows: int) -> None:
    for _ in range(rows):
        create_event(KIM, KIM_TOO, YAMADA)
    assert [len(event["subjects"]) for event in auditor()] == [3] * rows
    assert len(auditor.sql) == 2


def test_only_selected_fields_are_fetched(auditor: Auditor) -> None:
    create_event(KIM)
    auditor(fields="id username code")
    assert len(auditor.sql) == 1
    answer = auditor.answer("{ auditEvents { totalCount } }")
    assert answer["data"]["auditEvents"] == {"totalCount": 2}
    assert len(auditor.sql) == 1
    answer = auditor.answer("{ auditEvents(first: 2) { totalCount pageInfo { hasNextPage } edges { cursor } } }")
    assert answer["data"]["auditEvents"]["totalCount"] == 3
    assert answer["data"]["auditEvents"]["pageInfo"] == {"hasNextPage": True}
    assert len(auditor.sql) == 2


def test_subjects_in_several_places_are_one_query(auditor: Auditor) -> None:
    create_event(KIM)
    answer = auditor.answer("""{ auditEvents {
        nodes { subjects { patientId } } edges { node { subjects { studyInstanceUID } } } again: nodes { id } } }""")
    assert answer["data"]["auditEvents"]["nodes"] == [{"subjects": [{"patientId": "김-001"}]}]
    assert answer["data"]["auditEvents"]["edges"] == [{"node": {"subjects": [{"studyInstanceUID": "1.2.3"}]}}]
    assert len(auditor.sql) == 2


@pytest.fixture
def different() -> dict[str, AuditEvent]:
    """Four events, the oldest first."""
    now = timezone.now()
    rows = [
        {"operation": "patients", "username": "nurse"},
        {"operation": "archive", "event": Event.TRANSFERRED, "address": "2001:db8::7", "request_id": "r2"},
        {"operation": "deleteStudy", "event": Event.DELETION, "target": "studies/4fe1", "username": "doctor"},
        {"operation": "uploadPatient", "event": Event.IMPORT, "outcome": Outcome.FAILED, "username": ""},
    ]
    subjects = [(KIM, KIM_TOO), (KIM_TOO,), (YAMADA,), ()]
    return {
        str(row["operation"]): create_event(*about, at=now - timedelta(hours=4 - hour), duration_ms=100 - hour, **row)
        for hour, (row, about) in enumerate(zip(rows, subjects, strict=True))
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("events: [DELETION, IMPORT]", {"deleteStudy", "uploadPatient"}),
        ("events: []", set()),
        ("outcome: FAILED", {"uploadPatient"}),
        ('username: "nurse"', {"patients", "archive"}),
        ('username: ""', {"uploadPatient"}),
        ('requestId: "r2"', {"archive"}),
        ('target: "studies/4fe1"', {"deleteStudy"}),
        ('operation: "PATIENT"', {"patients", "uploadPatient"}),
        ('operation: "%"', set()),
        ('address: "2001:DB8:0::7"', {"archive"}),
        ('patientId: "김-001"', {"patients", "archive"}),
        ('studyInstanceUID: "1.2.5"', {"patients", "archive"}),
        ('studyInstanceUID: "1.2.3"', {"patients"}),
        ('patientId: "김-001", events: [TRANSFERRED]', {"archive"}),
        ('NOT: { patientId: "김-001" }', {"deleteStudy", "uploadPatient"}),
        ('username: "doctor", OR: { outcome: FAILED }', {"deleteStudy", "uploadPatient"}),
        ("outcome: null, events: null", {"patients", "archive", "deleteStudy", "uploadPatient"}),
    ],
)
def test_filters(auditor: Auditor, different: dict[str, AuditEvent], filters: str, expected: set[str]) -> None:
    assert auditor.filtered(filters) == expected


def test_since_is_included_and_until_is_not(auditor: Auditor, different: dict[str, AuditEvent]) -> None:
    since, until = different["archive"].at.isoformat(), different["uploadPatient"].at.isoformat()
    assert auditor.operations(f'filter: {{ since: "{since}", until: "{until}" }}') == ["deleteStudy", "archive"]


def test_unfinished_operations_are_found(auditor: Auditor) -> None:
    intention = create_event(event=Event.DELETION, outcome=Outcome.INTENDED, operation="begun")
    create_event(event=Event.DELETION, operation="ended", intention=intention)
    create_event(event=Event.DELETION, outcome=Outcome.INTENDED, operation="broken off")
    assert auditor.filtered("isUnfinished: true") == {"broken off"}
    assert auditor.filtered("isUnfinished: false, events: [DELETION]") == {"begun", "ended"}


def test_an_event_about_many_studies_of_a_patient_is_found_once(
    auditor: Auditor, different: dict[str, AuditEvent]
) -> None:
    assert auditor.operations('filter: { patientId: "김-001" }') == ["archive", "patients"]


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        ("", ["uploadPatient", "deleteStudy", "archive", "patients"]),
        ("{ field: AT }", ["patients", "archive", "deleteStudy", "uploadPatient"]),
        ("{ field: DURATION_MS }", ["uploadPatient", "deleteStudy", "archive", "patients"]),
        (
            "{ field: USERNAME, direction: DESC }, { field: AT, direction: ASC }",
            ["patients", "archive", "deleteStudy", "uploadPatient"],
        ),
        # equals: the latest first
        ("{ field: USERNAME, direction: DESC }", ["archive", "patients", "deleteStudy", "uploadPatient"]),
    ],
)
def test_ordering(auditor: Auditor, different: dict[str, AuditEvent], ordering: str, expected: list[str]) -> None:
    assert auditor.operations(f"orderBy: [{ordering}]") == expected


def test_pages(auditor: Auditor) -> None:
    at = timezone.now()
    for number in range(5):
        create_event(operation=str(number), at=at)
    pages = []
    after = "null"
    for _ in range(4):
        query = f"""{{ auditEvents(first: 2, after: {after}, filter: {{ NOT: {{ events: [AUDIT_LOG_USED] }} }}) {{
            nodes {{ operation }} edges {{ cursor }} pageInfo {{ hasNextPage endCursor }} }} }}"""
        page = auditor.answer(query)["data"]["auditEvents"]
        pages.append([event["operation"] for event in page["nodes"]])
        assert page["pageInfo"]["hasNextPage"] is (len(pages) < 3)
        if page["edges"]:
            assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
            after = json.dumps(page["pageInfo"]["endCursor"])
    assert pages == [["4", "3"], ["2", "1"], ["0"], []]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('after: "here"', "`after` is not a valid cursor."),
        ("first: -1", "`first` cannot be negative."),
        ('filter: { address: "here" }', "`address` is not an IP address."),
    ],
)
def test_invalid_arguments_are_rejected(auditor: Auditor, arguments: str, message: str) -> None:
    assert auditor.error(arguments) == ("BAD_USER_INPUT", message)


@pytest.mark.parametrize("filters", [{"username": "a\x00"}, {"NOT": {"patientId": "\ud800"}}, {"operation": "\udfff"}])
def test_text_that_databases_reject_is_rejected(auditor: Auditor, filters: dict[str, Any]) -> None:
    query = "query ($filters: AuditEventFilter) { auditEvents(filter: $filters) { nodes { id } } }"
    [error] = auditor.answer(query, filters=filters)["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_reading_the_audit_is_audited(auditor: Auditor) -> None:
    assert auditor() == []
    [event] = auditor(fields="event outcome code username operation")
    assert event == {
        "event": "AUDIT_LOG_USED",
        "outcome": "SUCCESS",
        "code": "110101",
        "username": "auditor",
        "operation": "auditEvents",
    }


def test_other_callers_cannot_read_the_audit() -> None:
    somebody = Auditor("view", "download", "upload", "delete")
    create_event(KIM)
    assert somebody.error('filter: { username: "nurse" }')[0] == "FORBIDDEN"
    assert somebody.sql == []
    [denied] = AuditEvent.objects.exclude(operation="patients")
    assert (denied.event, denied.outcome, denied.username) == (Event.AUDIT_LOG_USED, Outcome.DENIED, "auditor")
