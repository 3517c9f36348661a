"""Where a session's cookie says who is asking, a form from somebody else's page is refused."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from rest_framework.authentication import SessionAuthentication

from orthancproxy.models import UploadBatch
from orthancproxy.rest.upload import UploadView
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.upload.sending import (
    CONTENT_TYPE,
    GRAPHQL_PATH,
    REST_PATH,
    GraphQL,
    Part,
    Transport,
    form,
    is_stored,
    slices,
)

pytestmark = pytest.mark.live

TOKEN = "a" * 32
OTHER_TOKEN = "b" * 32


@pytest.fixture(autouse=True)
def sessions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that knows its users by their sessions, and has no middleware against forgery."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    monkeypatch.setattr(UploadView, "authentication_classes", (SessionAuthentication,))


@pytest.fixture
def browser(orthanc: LocalOrthanc) -> Client:
    """Somebody who is logged in, and whose browser has the cookie of the token."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(User.objects.create_user("김민수"))
    client.cookies["csrftoken"] = TOKEN
    return client


def send(client: Client, transport: Transport, body: bytes, **headers: str) -> Any:
    """Send a form, and return status and code of an error."""
    path = REST_PATH if transport.name == "REST" else GRAPHQL_PATH
    answer = client.post(path, body, content_type=CONTENT_TYPE, headers=headers)
    content = json.loads(answer.content)
    assert answer["Content-Type"] == "application/json"
    if transport.name == "REST":
        return answer.status_code, content.get("code")
    return answer.status_code, content["errors"][0]["extensions"]["code"] if "errors" in content else None


def with_field(body: bytes, token: str) -> bytes:
    """The form with a token in a field of its own, in front."""
    return form([Part("csrfmiddlewaretoken", token.encode())]).rpartition(b"--a-boundary")[0] + body


@pytest.mark.parametrize("sent", ["no token", "another header", "another field", "an origin elsewhere"])
def test_a_form_that_may_be_forged_is_refused(
    orthanc: LocalOrthanc, browser: Client, transport: Transport, patient_id: str, sent: str
) -> None:
    body = transport.body(slices(1), patientId=patient_id)
    headers = {}
    if sent == "another header":
        headers = {"X-CSRFToken": OTHER_TOKEN}
    elif sent == "another field":
        body = with_field(body, OTHER_TOKEN)
    elif sent == "an origin elsewhere":
        headers = {"X-CSRFToken": TOKEN, "Origin": "https://evil.example"}
    assert send(browser, transport, body, **headers) == (403, "FORBIDDEN")
    assert not UploadBatch.objects.exists()
    assert not is_stored(orthanc, patient_id)


@pytest.mark.parametrize("sent", ["header", "field"])
def test_a_form_with_the_token_is_an_upload_of_its_user(
    browser: Client, transport: Transport, patient_id: str, sent: str
) -> None:
    body = transport.body(slices(1), patientId=patient_id)
    if sent == "header":
        assert send(browser, transport, body, **{"X-CSRFToken": TOKEN}) == (200, None)
    else:
        assert send(browser, transport, with_field(body, TOKEN)) == (200, None)
    assert uploaders(browser) == ["김민수"]


def uploaders(client: Client) -> list[str]:
    """Who uploaded, as GraphQL tells."""
    answer = client.post(
        GRAPHQL_PATH, {"query": "{ uploads { results { uploadedBy } } }"}, content_type="application/json"
    )
    return [batch["uploadedBy"] for batch in answer.json()["data"]["uploads"]["results"]]


@pytest.mark.parametrize(
    "cookies", [{}, {"csrftoken": TOKEN}, {"sessionid": "of nobody"}], ids=["none", "token", "stale"]
)
def test_without_a_session_no_token_is_asked_for(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, cookies: dict[str, str]
) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    for name, value in cookies.items():
        client.cookies[name] = value
    assert send(client, transport, transport.body(slices(1), patientId=patient_id)) == (200, None)
    assert uploaders(client) == [""]


def test_a_refused_form_is_told_so_although_it_is_malformed(browser: Client, transport: Transport) -> None:
    status, code = send(browser, transport, form([Part("operations", b"5"), Part("map", b"{}")]))
    assert (status, code) == (403, "FORBIDDEN")


def test_a_token_in_the_header_is_nothing_that_a_page_could_forge(browser: Client, patient_id: str) -> None:
    """Whoever it authenticates: a middleware of the project knows."""
    body = GraphQL().body(slices(1), patientId=patient_id)
    assert send(browser, GraphQL(), body, Authorization="Bearer x") == (200, None)
    assert send(browser, GraphQL(), body, Authorization="Basic x") == (403, "FORBIDDEN")


def test_nobody_adds_to_what_somebody_else_uploads(browser: Client, transport: Transport, patient_id: str) -> None:
    body = transport.body(slices(1), patientId=patient_id, uploadKey=patient_id)
    assert send(browser, transport, body, **{"X-CSRFToken": TOKEN}) == (200, None)
    other = Client(raise_request_exception=False)
    other.force_login(User.objects.create_user("이영희"))
    status, code = send(other, transport, body)
    assert (status in (200, 400), code) == (True, "BAD_USER_INPUT")
    assert uploaders(browser) == ["김민수"]
