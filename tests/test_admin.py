"""The admin site: scopes are edited with the rules of the model, the audit is read only, tokens are only deleted."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from orthancproxy.access.models import AccessScope
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from tests.audit.events import record

EVENTS, TOKENS, GROUPS = "/admin/orthancproxy/auditevent/", "/admin/knox/authtoken/", "/admin/auth/group/"
KIM, KIM_TOO = Subject("김-001", "1.2.3"), Subject("김-001", "1.2.5")
Event, Outcome = EventKind, AuditOutcome

pytestmark = pytest.mark.django_db


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def staff(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user)


@pytest.fixture
def superuser() -> Client:
    return logged_in(User.objects.create_superuser("root"))


@pytest.fixture
def auditor() -> Client:
    return staff("auditor", "view_audit")


@pytest.fixture(params=["superuser", "auditor"])
def reader(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client


def used() -> Iterator[tuple[str, str, str]]:
    """Who read the audit, and how."""
    for event in AuditEvent.objects.filter(event=Event.AUDIT_LOG_USED).order_by("pk"):
        yield event.username, event.operation, event.outcome


def shown(client: Client, **parameters: str) -> list[str]:
    """The operations in a list."""
    response = client.get(EVENTS, parameters)
    assert response.status_code == 200
    return [event.operation for event in response.context["cl"].result_list]


def scopes(group: Group, *rules: tuple[str, str]) -> dict[str, Any]:
    """The form of a group with new scopes."""
    prefix = "access_scopes"
    form: dict[str, Any] = {"name": group.name, f"{prefix}-INITIAL_FORMS": 0, f"{prefix}-TOTAL_FORMS": len(rules)}
    for number, (kind, value) in enumerate(rules):
        form |= {f"{prefix}-{number}-kind": kind, f"{prefix}-{number}-value": value}
    return form


def test_a_group_is_given_scopes(superuser: Client) -> None:
    group = Group.objects.create(name="ward 7")
    rules = [("PATIENT_ID", "W7-*"), ("STUDY_LABEL", "ward-7")]
    response = superuser.post(f"{GROUPS}{group.pk}/change/", scopes(group, *rules))
    assert response.status_code == 302
    assert list(AccessScope.objects.values_list("group", "kind", "value")) == [(group.pk, *rule) for rule in rules]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("STUDY_LABEL", "ward 7"), "A label consists of letters, digits, _ and -."),
        (("PATIENT_ID", "a\\b"), "A PatientID contains no backslash and no control characters, and is not a path."),
        (("PATIENT_ID", ""), "This field is required."),
    ],
)
def test_a_scope_that_fits_nothing_is_refused(superuser: Client, rule: tuple[str, str], message: str) -> None:
    group = Group.objects.create(name="ward 7")
    response = superuser.post(f"{GROUPS}{group.pk}/change/", scopes(group, rule))
    assert response.status_code == 200
    assert message in response.content.decode()
    assert not AccessScope.objects.exists()


def test_a_group_keeps_no_scope_that_is_taken_away(superuser: Client) -> None:
    group = Group.objects.create(name="ward 7")
    scope = AccessScope.objects.create(group=group, value="W7-*")
    form = scopes(group, ("PATIENT_ID", "W7-*")) | {
        "access_scopes-INITIAL_FORMS": 1,
        "access_scopes-0-id": scope.pk,
        "access_scopes-0-group": group.pk,
        "access_scopes-0-DELETE": "on",
    }
    assert superuser.post(f"{GROUPS}{group.pk}/change/", form).status_code == 302
    assert not AccessScope.objects.exists()


def test_the_audit_is_listed_and_each_event_is_shown(reader: Client) -> None:
    intention = record(KIM, KIM_TOO, event=Event.DELETION, outcome=Outcome.INTENDED, operation="deleteStudy")
    record(event=Event.DELETION, operation="ended", intention=intention)
    assert shown(reader, event__exact="DELETION") == ["ended", "deleteStudy"]
    page = reader.get(f"{EVENTS}{intention.pk}/change/").content.decode()
    for text in ("110105 DICOM Study Deleted", "deleteStudy", "김-001 1.2.3", "김-001 1.2.5", "192.0.2.7", "SUCCESS"):
        assert text in page
    assert 'name="_save"' not in page
    assert "deletelink" not in page


@pytest.mark.parametrize(
    ("sought", "expected"),
    [
        ("nurse", ["read"]),
        ("a1b2c3", ["read"]),
        ("김-001", ["read"]),
        ("1.2.5", ["read"]),
        ("1.2", []),
        ("'W 7'", ["spaced"]),
        ("nobody", []),
    ],
)
def test_the_audit_is_searched(superuser: Client, sought: str, expected: list[str]) -> None:
    record(KIM, KIM_TOO, operation="read")
    record(Subject("W 7"), operation="spaced", username="doctor", request_id="other")
    assert shown(superuser, q=sought) == expected


def test_the_list_takes_the_same_queries_however_long_it_is(superuser: Client) -> None:
    counts = []
    for rows in (2, 30):
        for _ in range(rows):
            record(KIM, KIM_TOO)
        with CaptureQueriesContext(connection) as queries:
            assert superuser.get(EVENTS).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_event_about_very_many_is_shown_in_part(superuser: Client) -> None:
    event = record(*(Subject(f"P{number}") for number in range(1000)))
    page = superuser.get(f"{EVENTS}{event.pk}/change/").content.decode()
    assert "P199 " in page
    assert "P200 " not in page


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["add/", "{}/delete/"])
def test_nobody_adds_or_deletes_events(superuser: Client, path: str, method: str) -> None:
    event = record(KIM)
    response = getattr(superuser, method)(EVENTS + path.format(event.pk), {"post": "yes"})
    assert response.status_code == 403
    assert AuditEvent.objects.filter(operation="patients").count() == 1


def test_nobody_changes_events(superuser: Client) -> None:
    event = record(KIM)
    assert superuser.post(f"{EVENTS}{event.pk}/change/", {"username": "somebody else"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"}
    superuser.post(EVENTS, chosen)
    event.refresh_from_db()
    assert event.username == "nurse"


def test_reading_the_audit_is_in_the_audit(auditor: Client) -> None:
    event = record(KIM)
    auditor.get(EVENTS)
    auditor.get(f"{EVENTS}{event.pk}/change/")
    assert list(used()) == [
        ("auditor", f"GET {EVENTS}", "SUCCESS"),
        ("auditor", f"GET {EVENTS}{event.pk}/change/", "SUCCESS"),
    ]
    latest = AuditEvent.objects.latest("pk")
    assert (latest.authentication, latest.address) == ("SESSION", "127.0.0.1")
    assert latest.request_id


def test_who_may_not_read_the_audit_is_denied_and_that_is_in_the_audit() -> None:
    nosy = staff("nosy", "view", "delete", "view_auditevent", "change_auditevent", "delete_auditevent")
    event = record(KIM)
    assert nosy.get(EVENTS).status_code == 403
    assert nosy.get(f"{EVENTS}{event.pk}/change/").status_code == 403
    assert "auditevent" not in nosy.get("/admin/").content.decode()
    assert list(used()) == [
        ("nosy", f"GET {EVENTS}", "DENIED"),
        ("nosy", f"GET {EVENTS}{event.pk}/change/", "DENIED"),
    ]


def test_an_auditor_sees_the_audit_and_nothing_else(auditor: Client) -> None:
    index = auditor.get("/admin/").content.decode()
    assert EVENTS in index
    for path in (TOKENS, GROUPS, "/admin/auth/user/"):
        assert path not in index
        assert auditor.get(path).status_code == 403


def test_tokens_are_listed_and_deleted_and_neither_shown_nor_made(superuser: Client) -> None:
    stored, token = AuthToken.objects.create(User.objects.create_user("machine"))
    page = superuser.get(TOKENS).content.decode()
    assert "machine" in page
    assert token not in page
    assert superuser.get(f"{TOKENS}add/").status_code == 403
    assert superuser.post(f"{TOKENS}{stored.pk}/change/", {"expiry_0": "2099-01-01"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": stored.pk, "post": "yes"}
    assert superuser.post(TOKENS, chosen).status_code == 302
    assert not AuthToken.objects.exists()


def test_somebody_who_is_not_staff_is_asked_to_log_in() -> None:
    user = User.objects.create_user("user")
    user.user_permissions.set(Permission.objects.filter(codename="view_audit"))
    assert logged_in(user).get(EVENTS).status_code == 302
    assert list(used()) == []


def test_a_confined_auditor_sees_what_is_about_their_patients_only() -> None:
    group = Group.objects.create(name="ward 7")
    AccessScope.objects.create(group=group, value="김-*")
    client = staff("confined", "view_audit")
    User.objects.get(username="confined").groups.add(group)
    mine = record(KIM, operation="mine")
    both = record(KIM, Subject("SECRET-9", "1.2.9"), operation="both")
    record(operation="of nobody")
    assert shown(client) == ["mine"]
    assert shown(client, q="SECRET-9") == []
    assert client.get(f"{EVENTS}{mine.pk}/change/").status_code == 200
    assert client.get(f"{EVENTS}{both.pk}/change/").status_code == 302


def test_a_group_that_confines_somebody_is_not_deleted(superuser: Client) -> None:
    group = Group.objects.create(name="ward 7")
    AccessScope.objects.create(group=group, value="W7-*")
    superuser.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    assert Group.objects.filter(pk=group.pk).exists()
