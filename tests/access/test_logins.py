"""Login and logout pages, the login rate limit, CSRF, and the API tokens of `create_api_token`."""

import io
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from knox.models import AuthToken

from orthancproxy.access.actions import Action
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from tests.access.archive import SmallArchive
from tests.access.callers import ADDRESS, CallerClient, bearer, csrf_client, log_in, make_user
from tests.access.cases import DEFAULT_TARGET
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

VIEWER = "{ viewer { username actions } }"
FAILURES = 10
PAGES = ["/login/", "/admin/login/"]


@pytest.fixture
def user(groups: None) -> Iterator[User]:
    """Yield a Manager who can use the admin site."""
    made = make_user(f"user-{uuid.uuid4().hex[:8]}", "Manager", is_staff=True)
    yield made
    made.delete()


def login_events(user: User) -> list[tuple[Any, ...]]:
    """Return the audit events of a user, oldest first."""
    rows = AuditEvent.objects.filter(username=user.username).order_by("pk")
    assert all((row.address, row.authentication) == (ADDRESS, "SESSION") for row in rows)
    assert all(row.request_id and not row.target and not row.counts for row in rows)
    return [(row.event, row.outcome, row.error_code, row.operation) for row in rows]


@pytest.mark.parametrize("path", PAGES)
def test_login_and_logout_are_audited_and_logout_ends_the_session(user: User, path: str) -> None:
    client = csrf_client()
    wrong = log_in(client, user.username, "wrong", path)
    assert wrong.status_code == 200
    assert b"orrect" in wrong.content
    assert "sessionid" not in client.cookies
    assert log_in(client, user.username, path=path).status_code == 302
    caller = CallerClient("", user.username, headers={"X-CSRFToken": client.cookies["csrftoken"].value}, client=client)
    assert caller.graphql(VIEWER).data["viewer"]["username"] == user.username
    session = client.cookies["sessionid"].value
    form = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    response = client.post("/logout/", form)
    assert (response.status_code, response["Clear-Site-Data"]) == (302, '"cache"')
    # a kept session cookie is not valid either
    client.cookies["sessionid"] = session
    assert caller.graphql(VIEWER).data["viewer"]["username"] is None
    assert login_events(user) == [
        (EventKind.LOGIN, AuditOutcome.FAILED, "UNAUTHENTICATED", f"POST {path}"),
        (EventKind.LOGIN, AuditOutcome.SUCCESS, "", f"POST {path}"),
        (EventKind.ACCESSED, AuditOutcome.SUCCESS, "", "viewer"),
        (EventKind.LOGOUT, AuditOutcome.SUCCESS, "", "POST /logout/"),
    ]


def test_login_without_a_csrf_token_is_rejected(user: User) -> None:
    client = csrf_client()
    answer = client.post("/login/", {"username": user.username, "password": "wrong"})
    assert answer.status_code == 403
    assert login_events(user) == []


@pytest.mark.parametrize("path", PAGES)
def test_tenth_failed_login_locks_out_the_user_at_the_address(user: User, path: str) -> None:
    other = make_user(f"other-{user.username}", is_staff=True)
    try:
        client = csrf_client()
        statuses = [log_in(client, user.username, f"guess {number}", path).status_code for number in range(FAILURES)]
        assert statuses == [200] * (FAILURES - 1) + [429]
        # on both pages, the correct password is rejected too
        for page in PAGES:
            locked_out = log_in(client, user.username, path=page)
            assert locked_out.status_code == 429
            assert locked_out["Retry-After"] == "900"
        assert "sessionid" not in client.cookies
        failures = [row for row in login_events(user) if row[1] == AuditOutcome.FAILED]
        assert len(failures) >= FAILURES
        assert not any(row[1] == AuditOutcome.SUCCESS for row in login_events(user))
        # another user at this address and this user at another address are not locked out
        assert log_in(csrf_client(), other.username, path=path).status_code == 302
        elsewhere = csrf_client()
        elsewhere.defaults["REMOTE_ADDR"] = "192.0.2.9"
        assert log_in(elsewhere, user.username, path=path).status_code == 302
    finally:
        other.delete()


def test_session_of_a_deactivated_user_is_rejected(user: User, proxy: RecordingProxy) -> None:
    client = csrf_client()
    log_in(client, user.username)
    caller = CallerClient("", headers={"X-CSRFToken": client.cookies["csrftoken"].value}, client=client)
    assert caller.rest("patients/").status == 200
    user.is_active = False
    user.save()
    proxy.requests.clear()
    answer = caller.rest("patients/")
    assert (answer.status, answer.json["code"]) == (401, "UNAUTHENTICATED")
    assert proxy.requests == []


FORGERIES = [
    ("POST", "/graphql/", b'{"query": "mutation { deletePatient(orthancId: \\"%s\\") { dryRun } }"}'),
    ("DELETE", "/api/orthanc/patients/%s/", b""),
    ("POST", "/api/orthanc/upload-patient/", b""),
]


@pytest.mark.parametrize(("method", "path", "body"), FORGERIES)
@pytest.mark.parametrize("token", ["", "0" * 32, "0" * 64])
def test_session_without_a_csrf_token_changes_nothing(
    callers: dict[str, CallerClient],
    archive: SmallArchive,
    proxy: RecordingProxy,
    method: str,
    path: str,
    body: bytes,
    token: str,
) -> None:
    before = archive.state()
    session = callers["Manager (session)"]
    forged = CallerClient("", headers={"X-CSRFToken": token} if token else {}, client=session.client)
    patient = DEFAULT_TARGET.ids["patients"]
    answer = forged.send(method, path.replace("%s", patient), body.replace(b"%s", patient.encode()))
    assert answer.status == 403
    assert answer.code == "CSRF_FAILED"
    [row] = answer.audit_events
    assert (row.event, row.outcome, row.error_code) == (EventKind.LOGIN, AuditOutcome.DENIED, "CSRF_FAILED")
    assert archive.state() == before
    assert proxy.requests == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example"])
def test_anonymous_request_from_another_origin_changes_nothing(
    settings: Any, archive: SmallArchive, proxy: RecordingProxy, origin: str
) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value for action in Action]
    before = archive.state()
    for method, path, body in FORGERIES:
        patient = DEFAULT_TARGET.ids["patients"]
        path, body = path.replace("%s", patient), body.replace(b"%s", patient.encode())
        assert CallerClient("").send(method, path, body, Origin=origin).status == 403
    assert archive.state() == before
    assert proxy.requests == []


def create_token(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_api_token", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_created_token_authenticates_its_user_until_it_is_deleted(user: User) -> None:
    token = create_token(user.username, "--days", "30")
    caller = CallerClient("", headers=bearer(token))
    answer = caller.graphql(VIEWER)
    assert answer.data["viewer"] == {
        "username": user.username,
        "actions": [one.name for one in Action if "Manager" in one.groups],
    }
    assert [row.authentication for row in answer.audit_events] == ["API_TOKEN"]
    known = AuthToken.objects.get(user=user)
    assert known.expiry is not None
    assert (known.expiry - timezone.now()).days in (29, 30)
    # the database has only its hash and its first characters
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our own tables
            assert not any(token in str(value) for row in cursor.fetchall() for value in row), table
    known.delete()
    assert caller.graphql(VIEWER).status == 401


@pytest.mark.parametrize("days", ["0", "-1", "3651", "99999999999999999999"])
def test_invalid_lifetime_of_a_token_is_rejected(user: User, days: str) -> None:
    with pytest.raises(CommandError, match="--days must be from 1 to 3650"):
        create_token(user.username, f"--days={days}")
    assert not AuthToken.objects.filter(user=user).exists()


def test_no_token_is_created_for_an_unknown_or_inactive_user(user: User) -> None:
    with pytest.raises(CommandError, match="There is no user nobody"):
        create_token("nobody")
    user.is_active = False
    user.save()
    with pytest.raises(CommandError, match="is not active"):
        create_token(user.username)
    with pytest.raises(CommandError, match="--days"):
        create_token(user.username, "--days", "soon")
    assert not AuthToken.objects.filter(user=user).exists()
