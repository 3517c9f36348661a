"""The document that the routes of the page serve, here and in a project."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import include, path
from pytest_django import Settings

BACKEND = "orthancproxy.project.login.PasswordBackend"
PATHS = [
    "/",
    "/studies/x",
    "/studies/x/view",
    "/patients/x",
    "/upload",
    "/audit",
    "/retrieve",
    "/jobs",
    "/shares",
    "/account",
    "/status",
]

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

# of a project that mounts nothing else, and this under a prefix
handler404 = "orthancproxy.explorer.views.not_found"
urlpatterns = [path("imaging/", include("orthancproxy.explorer.urls"))]


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has run `make web`."""
    monkeypatch.setattr(finders, "find", lambda path: f"/somewhere/{path}")


@pytest.fixture
def viewer(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


def config(response: Any) -> dict[str, str]:
    [text] = re.findall(r'<script id="config" type="application/json">(.*?)</script>', response.content.decode())
    found: dict[str, str] = json.loads(text)
    return found


@pytest.mark.parametrize("address", PATHS)
def test_every_route_serves_the_page_and_loads_nothing_from_other_hosts(viewer: Client, address: str) -> None:
    response = viewer.get(address)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', response.content.decode())
    assert addresses
    assert all(address.startswith(("/static/", "data:")) for address in addresses)
    assert response.cookies["csrftoken"].value
    assert "no-store" in response["Cache-Control"]


def test_policy_allows_no_inline_scripts_and_styles(viewer: Client) -> None:
    directives = dict(part.split(" ", 1) for part in viewer.get("/")["Content-Security-Policy"].split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert directives["worker-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"


@pytest.mark.django_db
@pytest.mark.parametrize("address", PATHS)
def test_anonymous_caller_without_permissions_logs_in_first(client: Client, settings: Settings, address: str) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ()
    response = client.get(f"{address}?search=x")
    assert (response.status_code, response["Location"]) == (302, f"/login/?next={address}%3Fsearch%3Dx")


@pytest.mark.django_db
def test_anonymous_caller_who_may_view_gets_the_page(client: Client, settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ("view",)
    response = client.get("/")
    assert config(response)["username"] == ""
    assert config(response)["adminUrl"] == ""
    assert "csrftoken" not in response.cookies


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_page_is_only_read(viewer: Client, method: str) -> None:
    assert getattr(viewer, method)("/").status_code == 405


@pytest.mark.parametrize("address", ["/nowhere", "/studies", "/upload/", "/graphql/x"])
def test_other_addresses_are_not_found(viewer: Client, address: str) -> None:
    response = viewer.get(address, headers=BROWSER)
    assert response.status_code == 404
    assert config(response)["username"] == "root"
    assert "script-src" in response["Content-Security-Policy"]
    assert "Accept" in response["Vary"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("address", ["/nowhere", "/api/orthanc/nowhere", "/dicom-web/nowhere"])
def test_programs_get_json_for_other_addresses(viewer: Client, address: str) -> None:
    response = viewer.get(address)
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
    assert viewer.post(address, headers=BROWSER).status_code in (404, 405)


@pytest.mark.django_db
def test_other_addresses_are_not_found_before_a_login(client: Client, settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ()
    response = client.get("/nowhere", headers={**BROWSER, "Accept-Language": "ko"})
    assert response.status_code == 404
    assert "페이지를 찾을 수 없습니다" in response.text
    assert "<script" not in response.text


@pytest.mark.urls(__name__)
def test_addresses_beside_the_page_are_none_of_the_page(viewer: Client) -> None:
    assert config(viewer.get("/imaging/nowhere", headers=BROWSER))["base"] == "/imaging"
    response = viewer.get("/nowhere", headers=BROWSER)
    assert response.status_code == 404
    assert 'href="/imaging/"' in response.text
    assert "<script" not in response.text


def test_page_knows_the_addresses_of_the_project(viewer: Client) -> None:
    found = config(viewer.get("/"))
    assert found == {
        "base": "",
        "username": "root",
        "graphqlUrl": "/graphql/",
        "dicomwebUrl": "/dicom-web/",
        "restUrl": "/api/orthanc/",
        "loginUrl": "/login/",
        "logoutUrl": "/logout/",
        "tokensUrl": "/tokens/",
        "adminUrl": "/admin/",
        "docsUrl": "/api/orthanc/docs/",
        "languageCookie": "django_language",
    }


@pytest.mark.urls(__name__)
def test_page_works_under_a_prefix_and_without_the_other_routes(viewer: Client) -> None:
    found = config(viewer.get("/imaging/studies/x"))
    assert found["base"] == "/imaging"
    assert found["restUrl"] == found["logoutUrl"] == found["adminUrl"] == ""


@pytest.mark.urls("orthancproxy.urls")
def test_project_can_leave_the_page_out(client: Client) -> None:
    assert client.get("/account").status_code == 404


def test_script_in_a_username_stays_text(db: None, client: Client) -> None:
    client.force_login(User.objects.create_superuser("</script><script>alert(1)</script>"), backend=BACKEND)
    response = client.get("/")
    assert b"<script>alert" not in response.content
    assert config(response)["username"] == "</script><script>alert(1)</script>"


def test_page_without_the_bundle_says_how_to_build_it(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "find", lambda path: None)
    text = viewer.get("/").content.decode()
    assert "make web" in text
    assert "<script" not in text
    response = viewer.get("/nowhere", headers=BROWSER)
    assert response.status_code == 404
    assert "<script" not in response.text
