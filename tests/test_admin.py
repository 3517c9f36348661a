"""The admin site: access scopes are validated, audit events are read-only, and tokens can only be deleted."""

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
from tests.audit.events import create_event

EVENTS, TOKENS, GROUPS = "/admin/orthancproxy/auditevent/", "/admin/knox/authtoken/", "/admin/auth/group/"
KIM, KIM_TOO = Subject("김-001", "1.2.3"), Subject("김-001", "1.2.5")

pytestmark = pytest.mark.django_db


def logged_in_client(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="orthancproxy.project.login.PasswordBackend")
    return client


def staff_client(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in_client(user)


@pytest.fixture
def superuser() -> Client:
    return logged_in_client(User.objects.create_superuser("root"))


@pytest.fixture
def auditor() -> Client:
    return staff_client("auditor", "view_audit")


@pytest.fixture(params=["superuser", "auditor"])
def reader(request: pytest.FixtureRequest) -> Client:
    client: Client = request.getfixturevalue(request.param)
    return client


def audit_log_reads() -> Iterator[tuple[str, str, str]]:
    """Yield the user, operation and outcome of each access to the audit log."""
    for event in AuditEvent.objects.filter(event=EventKind.AUDIT_LOG_USED).order_by("pk"):
        yield event.username, event.operation, event.outcome


def listed_operations(client: Client, **parameters: str) -> list[str]:
    """Return the operations of the events on the list page."""
    response = client.get(EVENTS, parameters)
    assert response.status_code == 200
    return [event.operation for event in response.context["cl"].result_list]


def group_form(group: Group, *rules: tuple[str, str]) -> dict[str, Any]:
    """Return the form data of a group with new access scopes."""
    prefix = "access_scopes"
    form: dict[str, Any] = {"name": group.name, f"{prefix}-INITIAL_FORMS": 0, f"{prefix}-TOTAL_FORMS": len(rules)}
    for number, (kind, value) in enumerate(rules):
        form |= {f"{prefix}-{number}-kind": kind, f"{prefix}-{number}-value": value}
    return form


def test_group_form_adds_access_scopes(superuser: Client) -> None:
    group = Group.objects.create(name="ward 7")
    rules = [("PATIENT_ID", "W7-*"), ("STUDY_LABEL", "ward-7")]
    response = superuser.post(f"{GROUPS}{group.pk}/change/", group_form(group, *rules))
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
def test_group_form_rejects_an_invalid_access_scope(superuser: Client, rule: tuple[str, str], message: str) -> None:
    group = Group.objects.create(name="ward 7")
    response = superuser.post(f"{GROUPS}{group.pk}/change/", group_form(group, rule))
    assert response.status_code == 200
    assert message in response.content.decode()
    assert not AccessScope.objects.exists()


def test_group_form_deletes_an_access_scope(superuser: Client) -> None:
    group = Group.objects.create(name="ward 7")
    scope = AccessScope.objects.create(group=group, value="W7-*")
    form = group_form(group, ("PATIENT_ID", "W7-*")) | {
        "access_scopes-INITIAL_FORMS": 1,
        "access_scopes-0-id": scope.pk,
        "access_scopes-0-group": group.pk,
        "access_scopes-0-DELETE": "on",
    }
    assert superuser.post(f"{GROUPS}{group.pk}/change/", form).status_code == 302
    assert not AccessScope.objects.exists()


def test_audit_events_are_listed_and_each_has_a_read_only_page(reader: Client) -> None:
    intention = create_event(
        KIM, KIM_TOO, event=EventKind.DELETION, outcome=AuditOutcome.INTENDED, operation="deleteStudy"
    )
    create_event(event=EventKind.DELETION, operation="ended", intention=intention)
    assert listed_operations(reader, event__exact="DELETION") == ["ended", "deleteStudy"]
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
def test_audit_events_are_found_by_user_request_patient_and_study(
    superuser: Client, sought: str, expected: list[str]
) -> None:
    create_event(KIM, KIM_TOO, operation="read")
    create_event(Subject("W 7"), operation="spaced", username="doctor", request_id="other")
    assert listed_operations(superuser, q=sought) == expected


def test_number_of_queries_of_the_event_list_is_constant(superuser: Client) -> None:
    counts = []
    for rows in (2, 30):
        for _ in range(rows):
            create_event(KIM, KIM_TOO)
        with CaptureQueriesContext(connection) as queries:
            assert superuser.get(EVENTS).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_page_of_an_event_shows_at_most_200_subjects(superuser: Client) -> None:
    event = create_event(*(Subject(f"P{number}") for number in range(1000)))
    page = superuser.get(f"{EVENTS}{event.pk}/change/").content.decode()
    assert "P199 " in page
    assert "P200 " not in page


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["add/", "{}/delete/"])
def test_superuser_cannot_add_or_delete_events(superuser: Client, path: str, method: str) -> None:
    event = create_event(KIM)
    response = getattr(superuser, method)(EVENTS + path.format(event.pk), {"post": "yes"})
    assert response.status_code == 403
    assert AuditEvent.objects.filter(operation="patients").count() == 1


def test_superuser_cannot_change_events(superuser: Client) -> None:
    event = create_event(KIM)
    assert superuser.post(f"{EVENTS}{event.pk}/change/", {"username": "somebody else"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"}
    superuser.post(EVENTS, chosen)
    event.refresh_from_db()
    assert event.username == "nurse"


def test_access_to_the_audit_log_is_audited(auditor: Client) -> None:
    event = create_event(KIM)
    auditor.get(EVENTS)
    auditor.get(f"{EVENTS}{event.pk}/change/")
    assert list(audit_log_reads()) == [
        ("auditor", f"GET {EVENTS}", "SUCCESS"),
        ("auditor", f"GET {EVENTS}{event.pk}/change/", "SUCCESS"),
    ]
    latest = AuditEvent.objects.latest("pk")
    assert (latest.authentication, latest.address) == ("SESSION", "127.0.0.1")
    assert latest.request_id


def test_access_to_the_audit_log_without_the_permission_is_denied_and_audited() -> None:
    nosy = staff_client("nosy", "view", "delete", "view_auditevent", "change_auditevent", "delete_auditevent")
    event = create_event(KIM)
    assert nosy.get(EVENTS).status_code == 403
    assert nosy.get(f"{EVENTS}{event.pk}/change/").status_code == 403
    assert "auditevent" not in nosy.get("/admin/").content.decode()
    assert list(audit_log_reads()) == [
        ("nosy", f"GET {EVENTS}", "DENIED"),
        ("nosy", f"GET {EVENTS}{event.pk}/change/", "DENIED"),
    ]


def test_auditor_sees_only_the_audit_log(auditor: Client) -> None:
    index = auditor.get("/admin/").content.decode()
    assert EVENTS in index
    for path in (TOKENS, GROUPS, "/admin/auth/user/"):
        assert path not in index
        assert auditor.get(path).status_code == 403


def test_api_tokens_are_listed_and_deleted_but_not_shown_added_or_changed(superuser: Client) -> None:
    stored, token = AuthToken.objects.create(User.objects.create_user("machine"))
    page = superuser.get(TOKENS).content.decode()
    assert "machine" in page
    assert token not in page
    assert superuser.get(f"{TOKENS}add/").status_code == 403
    assert superuser.post(f"{TOKENS}{stored.pk}/change/", {"expiry_0": "2099-01-01"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": stored.pk, "post": "yes"}
    assert superuser.post(TOKENS, chosen).status_code == 302
    assert not AuthToken.objects.exists()


def test_user_who_is_not_staff_is_redirected_to_the_login_page() -> None:
    user = User.objects.create_user("user")
    user.user_permissions.set(Permission.objects.filter(codename="view_audit"))
    assert logged_in_client(user).get(EVENTS).status_code == 302
    assert list(audit_log_reads()) == []


def test_auditor_with_an_access_scope_sees_only_events_about_patients_in_it() -> None:
    group = Group.objects.create(name="ward 7")
    AccessScope.objects.create(group=group, value="김-*")
    client = staff_client("scoped", "view_audit")
    User.objects.get(username="scoped").groups.add(group)
    mine = create_event(KIM, operation="mine")
    both = create_event(KIM, Subject("SECRET-9", "1.2.9"), operation="both")
    create_event(operation="without subjects")
    assert listed_operations(client) == ["mine"]
    assert listed_operations(client, q="SECRET-9") == []
    assert client.get(f"{EVENTS}{mine.pk}/change/").status_code == 200
    assert client.get(f"{EVENTS}{both.pk}/change/").status_code == 302


def test_group_with_an_access_scope_cannot_be_deleted(superuser: Client) -> None:
    group = Group.objects.create(name="ward 7")
    AccessScope.objects.create(group=group, value="W7-*")
    superuser.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    assert Group.objects.filter(pk=group.pk).exists()
