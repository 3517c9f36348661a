"""The attributes of the GraphiQL page, here and in a project without login and logout URLs."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import include, path
from pytest_django import Settings

from orthancproxy.schema.view import graphql_view

urlpatterns = [path("api/graph", graphql_view()), path("api/", include("orthancproxy.urls"))]
OUR_VIEWS_ONLY = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "find", lambda path: f"/somewhere/{path}")


@pytest.fixture
def session(transactional_db: None) -> Client:
    """A client that is logged in, with a username that needs escaping in HTML."""
    client = Client()
    user = User.objects.create_user("<김&민수>")
    client.force_login(user, backend="orthancproxy.project.login.PasswordBackend")
    return client


def get(client: Client, address: str = "/graphql/") -> Any:
    response = client.get(address, headers={"accept": "text/html"})
    assert response.status_code == 200
    # it names the user
    assert "no-store" in response["Cache-Control"]
    return response


def told(response: Any) -> dict[str, str]:
    """Return the page's data attributes by name."""
    found = re.findall(r'data-([a-z-]+)="([^"]*)"', response.content.decode())
    return {name: unescape(value) for name, value in found}


def test_anonymous_caller_is_shown_the_login_url() -> None:
    response = get(Client())
    assert told(response) == {
        "endpoint": "/graphql/",
        "username": "",
        "login-url": "/login/?next=/graphql/",
        "logout-url": "/logout/",
        "tokens-url": "/tokens/",
    }
    # no cookie is set for those who need none
    assert not response.cookies


def test_page_has_the_username_and_the_csrf_token(session: Client) -> None:
    response = get(session)
    assert told(response)["username"] == "<김&민수>"
    assert response.cookies["csrftoken"].value
    assert "Cookie" in response["Vary"]


def test_page_keeps_an_existing_csrf_token(session: Client) -> None:
    token = get(session).cookies["csrftoken"].value
    assert get(session).cookies["csrftoken"].value == token


@pytest.mark.parametrize("login_url", ["/sign-in/?by=password", "https://sso.example/in"])
def test_login_url_is_that_of_the_project(settings: Settings, login_url: str) -> None:
    settings.LOGIN_URL = login_url
    separator = "&" if "?" in login_url else "?"
    assert told(get(Client()))["login-url"] == f"{login_url}{separator}next=/graphql/"


@OUR_VIEWS_ONLY
def test_page_works_without_login_and_logout_urls(session: Client) -> None:
    for client in (Client(), session):
        page = told(get(client, "/api/graph"))
        assert (page["endpoint"], page["login-url"], page["logout-url"]) == ("/api/graph", "", "")


@OUR_VIEWS_ONLY
def test_page_works_without_users(settings: Settings) -> None:
    settings.MIDDLEWARE = []
    settings.LOGIN_URL = "/accounts/login/"
    assert told(get(Client(), "/api/graph")) == {
        "endpoint": "/api/graph",
        "username": "",
        "login-url": "",
        "logout-url": "",
        "tokens-url": "",
    }
