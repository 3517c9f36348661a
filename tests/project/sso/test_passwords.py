"""Passwords beside logins at the provider: allowed, off, or for named users."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from orthancproxy.audit.models import AuditEvent
from tests.access.callers import PASSWORD, bearer, csrf_client, log_in
from tests.access.test_logins import create_token
from tests.project.sso.conftest import MakePerson

PAGES = ["/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def _users(_groups: None) -> None:
    for name in ("root", "other"):
        User.objects.create_superuser(name, password=PASSWORD)


@pytest.fixture
def required(settings: Settings) -> None:
    """Passwords are for root only."""
    settings.ORTHANC_OIDC_REQUIRED = True
    settings.ORTHANC_OIDC_PASSWORD_USERS = ["root"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Log in with Hospital &amp; Co"),
        ("ko", "Hospital &amp; Co(으)로 로그인"),
        ("ja", "Hospital &amp; Coでログイン"),
    ],
)
def test_the_login_pages_lead_to_the_provider_and_have_a_form(
    settings: Settings, path: str, language: str, text: str
) -> None:
    settings.ORTHANC_OIDC_LABEL = "Hospital & Co"
    client = csrf_client()
    page = client.get(f"{path}?next=/tokens/", headers={"Accept-Language": language}).content.decode()
    assert text in page
    assert "/sso/?next=/tokens/" in page
    assert 'type="password"' in page
    assert log_in(client, "other", path=path).status_code == 302


@pytest.mark.parametrize("path", PAGES)
def test_the_login_pages_have_no_link_without_a_client(settings: Settings, path: str) -> None:
    settings.ORTHANC_OIDC_CLIENT_ID = ""
    assert "/sso/" not in csrf_client().get(path).content.decode()


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("path", PAGES)
def test_passwords_are_for_named_users_only(path: str) -> None:
    client = csrf_client()
    form = f"{path}?password=yes" if path == "/login/" else path
    client.get("/login/?password=yes")
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    answer: Any = client.post(form, {"username": "other", "password": PASSWORD, **token})
    assert answer.status_code == 200
    assert "sessionid" not in client.cookies
    event = AuditEvent.objects.filter(event="LOGIN").latest("pk")
    assert (event.username, event.outcome) == ("other", "FAILED")
    assert client.post(form, {"username": "root", "password": PASSWORD, **token}).status_code == 302
    assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("required")
def test_the_login_pages_lead_straight_to_the_provider(settings: Settings) -> None:
    client = csrf_client()
    # from the page for people, through the login page
    assert client.get("/upload")["Location"] == "/login/?next=/upload"
    assert client.get("/login/?next=/upload")["Location"] == "/sso/?next=/upload"
    assert client.get("/login/?next=https://evil.example/")["Location"] == "/sso/"
    assert client.get("/admin/login/?next=/admin/auth/")["Location"] == "/login/?next=%2Fadmin%2Fauth%2F"
    assert 'type="password"' in client.get("/login/?password=yes").content.decode()
    settings.ORTHANC_OIDC_PASSWORD_USERS = []
    assert client.get("/login/?password=yes&next=/upload")["Location"] == "/sso/?next=/upload"


def test_sessions_that_began_with_a_password_end_when_passwords_are_off(settings: Settings) -> None:
    clients = {name: csrf_client() for name in ("root", "other")}
    for name, client in clients.items():
        log_in(client, name)
    settings.ORTHANC_OIDC_REQUIRED = True
    settings.ORTHANC_OIDC_PASSWORD_USERS = ["root"]
    assert clients["root"].get("/admin/").status_code == 200
    assert clients["other"].get("/admin/").status_code == 302


@pytest.mark.usefixtures("required")
def test_api_tokens_work_without_passwords() -> None:
    token = create_token("other")
    query = {"query": "{ viewer { username } }"}
    answer: Any = csrf_client().post("/graphql/", query, content_type="application/json", headers=bearer(token))
    assert answer.json()["data"]["viewer"]["username"] == "other"


@pytest.mark.usefixtures("required")
def test_a_person_without_access_to_the_admin_site_is_told_so_instead_of_going_around_in_circles(
    person: MakePerson,
) -> None:
    anna = person("anna")
    assert anna.log_in("/sso/?next=/admin/")["Location"] == "/admin/"
    to_login: Any = anna.client.get("/admin/")
    page: Any = anna.client.get(to_login["Location"])
    assert page.status_code == 403
    assert "anna" in page.content.decode()


def test_logins_at_the_provider_are_not_locked_out_by_wrong_passwords(person: MakePerson) -> None:
    client = csrf_client()
    for number in range(12):
        log_in(client, "anna", f"guess {number}")
    assert log_in(client, "anna").status_code == 429
    anna = person("anna")
    assert anna.log_in().status_code == 302
    # nor by failed logins at the provider
    for _ in range(12):
        assert anna.client.get("/sso/callback/?code=a&state=b").status_code == 400
    assert anna.log_in().status_code == 302
