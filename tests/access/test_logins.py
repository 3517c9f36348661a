"""Logging in and out by the pages, the throttle, and API tokens that an operator makes."""

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
from tests.access.archive import Archive
from tests.access.callers import ADDRESS, Caller, bearer, browser, log_in, make_user
from tests.access.cases import HERE
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

Event, Outcome = EventKind, AuditOutcome
VIEWER = "{ viewer { username actions } }"
FAILURES = 10
PAGES = ["/login/", "/admin/login/"]


@pytest.fixture
def user(groups: None) -> Iterator[User]:
    """A Manager who may use the admin site."""
    made = make_user(f"user-{uuid.uuid4().hex[:8]}", "Manager", is_staff=True)
    yield made
    made.delete()


def rows_of(user: User) -> list[tuple[Any, ...]]:
    """What was written down of the logins of a user, oldest first."""
    rows = AuditEvent.objects.filter(username=user.username).order_by("pk")
    assert all((row.address, row.authentication) == (ADDRESS, "SESSION") for row in rows)
    assert all(row.request_id and not row.target and not row.counts for row in rows)
    return [(row.event, row.outcome, row.error_code, row.operation) for row in rows]


@pytest.mark.parametrize("path", PAGES)
def test_logging_in_and_out(user: User, path: str) -> None:
    client = browser()
    wrong = log_in(client, user.username, "wrong", path)
    assert wrong.status_code == 200
    assert b"orrect" in wrong.content
    assert "sessionid" not in client.cookies
    assert log_in(client, user.username, path=path).status_code == 302
    caller = Caller("", user.username, headers={"X-CSRFToken": client.cookies["csrftoken"].value}, client=client)
    assert caller.graphql(VIEWER).data["viewer"]["username"] == user.username
    session = client.cookies["sessionid"].value
    form = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert client.post("/logout/", form).status_code == 302
    # nor does the old session work for one who has kept it
    client.cookies["sessionid"] = session
    assert caller.graphql(VIEWER).data["viewer"]["username"] is None
    assert rows_of(user) == [
        (Event.LOGIN, Outcome.FAILED, "UNAUTHENTICATED", f"POST {path}"),
        (Event.LOGIN, Outcome.SUCCESS, "", f"POST {path}"),
        (Event.ACCESSED, Outcome.SUCCESS, "", "viewer"),
        (Event.LOGOUT, Outcome.SUCCESS, "", "POST /logout/"),
    ]


def test_the_page_takes_no_forged_form(user: User) -> None:
    client = browser()
    answer = client.post("/login/", {"username": user.username, "password": "wrong"})
    assert answer.status_code == 403
    assert rows_of(user) == []


@pytest.mark.parametrize("path", PAGES)
def test_guesses_are_few(user: User, path: str) -> None:
    other = make_user(f"other-{user.username}", is_staff=True)
    try:
        client = browser()
        statuses = [log_in(client, user.username, f"guess {number}", path).status_code for number in range(FAILURES)]
        assert statuses == [200] * (FAILURES - 1) + [429]
        # now not even the right one helps, on whichever page
        for page in PAGES:
            locked_out = log_in(client, user.username, path=page)
            assert locked_out.status_code == 429
            assert locked_out["Retry-After"] == "900"
        assert "sessionid" not in client.cookies
        failures = [row for row in rows_of(user) if row[1] == Outcome.FAILED]
        assert len(failures) >= FAILURES
        assert not any(row[1] == Outcome.SUCCESS for row in rows_of(user))
        # others do not suffer: another user from this address, this user from another
        assert log_in(browser(), other.username, path=path).status_code == 302
        elsewhere = browser()
        elsewhere.defaults["REMOTE_ADDR"] = "192.0.2.9"
        assert log_in(elsewhere, user.username, path=path).status_code == 302
    finally:
        other.delete()


def test_a_session_ends_with_the_user(user: User, proxy: RecordingProxy) -> None:
    client = browser()
    log_in(client, user.username)
    caller = Caller("", headers={"X-CSRFToken": client.cookies["csrftoken"].value}, client=client)
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
def test_a_session_changes_nothing_without_the_token_against_forged_requests(
    callers: dict[str, Caller], stored: Archive, proxy: RecordingProxy, method: str, path: str, body: bytes, token: str
) -> None:
    before = stored.state()
    session = callers["Manager (session)"]
    forged = Caller("", headers={"X-CSRFToken": token} if token else {}, client=session.client)
    patient = HERE.ids["patients"]
    answer = forged.send(method, path.replace("%s", patient), body.replace(b"%s", patient.encode()))
    assert answer.status == 403
    assert answer.code == "FORBIDDEN"
    [row] = answer.rows
    assert (row.event, row.outcome, row.error_code) == (Event.LOGIN, Outcome.DENIED, "FORBIDDEN")
    assert stored.state() == before
    assert proxy.requests == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example"])
def test_a_page_from_elsewhere_changes_nothing_for_somebody_not_logged_in(
    settings: Any, stored: Archive, proxy: RecordingProxy, origin: str
) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value for action in Action]
    before = stored.state()
    for method, path, body in FORGERIES:
        patient = HERE.ids["patients"]
        path, body = path.replace("%s", patient), body.replace(b"%s", patient.encode())
        assert Caller("").send(method, path, body, Origin=origin).status == 403
    assert stored.state() == before
    assert proxy.requests == []


def made_token(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_api_token", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_an_operator_makes_tokens(user: User) -> None:
    token = made_token(user.username, "--days", "30")
    caller = Caller("", headers=bearer(token))
    answer = caller.graphql(VIEWER)
    assert answer.data["viewer"] == {"username": user.username, "actions": [one.name for one in Action]}
    assert [row.authentication for row in answer.rows] == ["API_TOKEN"]
    known = AuthToken.objects.get(user=user)
    assert known.expiry is not None
    assert (known.expiry - timezone.now()).days in (29, 30)
    # the database has no more of it than a hash and its beginning
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our own tables
            assert not any(token in str(value) for row in cursor.fetchall() for value in row), table
    known.delete()
    assert caller.graphql(VIEWER).status == 401


@pytest.mark.parametrize("days", ["0", "-1", "3651", "99999999999999999999"])
def test_a_token_lasts_a_sane_time(user: User, days: str) -> None:
    with pytest.raises(CommandError, match="--days must be from 1 to 3650"):
        made_token(user.username, f"--days={days}")
    assert not AuthToken.objects.filter(user=user).exists()


def test_there_are_no_tokens_for_those_who_are_not_there(user: User) -> None:
    with pytest.raises(CommandError, match="There is no user nobody"):
        made_token("nobody")
    user.is_active = False
    user.save()
    with pytest.raises(CommandError, match="is not active"):
        made_token(user.username)
    with pytest.raises(CommandError, match="--days"):
        made_token(user.username, "--days", "soon")
    assert not AuthToken.objects.filter(user=user).exists()
