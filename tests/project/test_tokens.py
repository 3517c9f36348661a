"""The page on which users create, list and revoke their API tokens."""

import re

import pytest
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from orthancproxy.access.api_tokens import create_api_token
from orthancproxy.project.tokens import MAX_TOKENS

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/tokens/"


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim")


def client_of(user: User, *, enforce_csrf_checks: bool = False) -> Client:
    client = Client(enforce_csrf_checks=enforce_csrf_checks)
    client.force_login(user, backend="orthancproxy.project.login.PasswordBackend")
    return client


def viewer(token: str) -> tuple[int, bytes]:
    """Return the answer of the API to a program with the token."""
    response = Client().post(
        "/graphql/",
        {"query": "{ viewer { username } }"},
        content_type="application/json",
        headers={"authorization": f"Bearer {token}"},
    )
    return response.status_code, response.content


def created(client: Client, days: str = "30") -> str:
    response = client.post(PAGE, {"days": days})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    [token] = re.findall(r'<output id="token">(\w+)</output>', response.content.decode())
    return str(token)


def test_token_is_shown_once_and_authenticates_until_it_is_revoked(kim: User) -> None:
    client = client_of(kim)
    token = created(client)
    assert viewer(token)[0] == 200
    assert b'"kim"' in viewer(token)[1]
    [row] = AuthToken.objects.all()
    assert (row.user, (row.expiry - timezone.now()).days in (29, 30)) == (kim, True)
    listed = client.get(PAGE).content.decode()
    assert token not in listed
    assert token[:8] in listed

    response = client.post(PAGE, {"revoke": row.digest})
    assert (response.status_code, response["Location"]) == (302, PAGE)
    assert token[:8] not in client.get(PAGE).content.decode()
    assert viewer(token)[0] == 401


def test_history_of_the_admin_site_has_what_was_created_and_revoked(kim: User) -> None:
    client = client_of(kim)
    created(client)
    row = AuthToken.objects.get()
    client.post(PAGE, {"revoke": row.digest})
    entries = LogEntry.objects.order_by("pk").values_list("user", "action_flag", "object_id", "content_type__model")
    assert list(entries) == [(kim.pk, ADDITION, row.pk, "authtoken"), (kim.pk, DELETION, row.pk, "authtoken")]


def test_tokens_of_other_users_are_neither_listed_nor_revoked(kim: User) -> None:
    row, token = create_api_token(User.objects.create_user("lee"), 30)
    client = client_of(kim)
    assert row.token_key[:8] not in client.get(PAGE).content.decode()
    for digest in (row.digest, "", "x" * 1000, "\0"):
        client.post(PAGE, {"revoke": digest})
    assert viewer(token)[0] == 200
    assert not LogEntry.objects.exists()


def test_anonymous_caller_and_token_are_sent_to_the_login_page(kim: User) -> None:
    _, token = create_api_token(kim, 30)
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        client = Client(headers=headers)
        for response in (client.get(PAGE), client.post(PAGE, {"days": "30"})):
            assert (response.status_code, response["Location"]) == (302, f"/login/?next={PAGE}")
    assert AuthToken.objects.count() == 1


def test_forged_request_changes_nothing(kim: User) -> None:
    row, _ = create_api_token(kim, 30)
    client = client_of(kim, enforce_csrf_checks=True)
    for form in ({"days": "30"}, {"revoke": row.digest}):
        assert client.post(PAGE, form).status_code == 403
    assert list(AuthToken.objects.all()) == [row]


@pytest.mark.parametrize("days", ["0", "-1", "3651", "99999999999999999999", "soon", "", "1.5", "\0"])
def test_invalid_lifetime_is_rejected(kim: User, days: str) -> None:
    response = client_of(kim).post(PAGE, {"days": days})
    assert response.status_code == 400
    assert b'role="alert"' in response.content
    assert not AuthToken.objects.exists()


def test_number_of_tokens_is_limited(kim: User) -> None:
    for _ in range(MAX_TOKENS):
        create_api_token(kim, 30)
    client = client_of(kim)
    response = client.post(PAGE, {"days": "30"})
    assert response.status_code == 400
    assert b"too many tokens" in response.content
    client.post(PAGE, {"revoke": AuthToken.objects.first().digest})
    created(client)
    assert AuthToken.objects.count() == MAX_TOKENS


def test_page_runs_no_scripts_and_sends_forms_to_the_gateway_only(kim: User) -> None:
    policy = client_of(kim).get(PAGE)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src" not in policy
