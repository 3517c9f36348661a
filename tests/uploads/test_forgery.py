"""Cross-site request forgery: requests from other origins are rejected, with and without a session."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from knox.models import get_token_model
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.hostile_ids import SOME_ID
from tests.uploads.upload_client import (
    CONTENT_TYPE,
    GRAPHQL_PATH,
    REST_PATH,
    Part,
    Transport,
    form,
    is_stored,
    slices,
)

pytestmark = [pytest.mark.live, pytest.mark.once]

TOKEN = "a" * 32
OTHER_TOKEN = "b" * 32
ELSEWHERE = "https://evil.example"


def user(name: str) -> User:
    """Somebody who may do everything."""
    created: User = User.objects.create_user(name)
    created.user_permissions.set(Permission.objects.filter(content_type__app_label="orthancproxy"))
    return created


@pytest.fixture
def browser(orthanc: LocalOrthanc) -> Client:
    """Somebody who is logged in, and whose browser has the cookie of the token."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user("김민수"), "orthancproxy.project.login.PasswordBackend")
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


@pytest.mark.parametrize("sent", ["no token", "another header", "a field", "another field", "an origin elsewhere"])
def test_a_form_that_may_be_forged_is_rejected(
    orthanc: LocalOrthanc, browser: Client, transport: Transport, patient_id: str, sent: str
) -> None:
    body = transport.body(slices(1), patientId=patient_id)
    headers = {}
    if sent == "another header":
        headers = {"X-CSRFToken": OTHER_TOKEN}
    elif sent == "a field":
        # the form is not read before it is known who sends it
        body = with_field(body, TOKEN)
    elif sent == "another field":
        body = with_field(body, OTHER_TOKEN)
    elif sent == "an origin elsewhere":
        headers = {"X-CSRFToken": TOKEN, "Origin": ELSEWHERE}
    assert send(browser, transport, body, **headers) == (403, "CSRF_FAILED")
    assert not UploadBatch.objects.exists()
    assert not is_stored(orthanc, patient_id)


def test_a_form_with_the_csrf_token_uploads_as_its_user(browser: Client, transport: Transport, patient_id: str) -> None:
    body = transport.body(slices(1), patientId=patient_id)
    assert send(browser, transport, body, **{"X-CSRFToken": TOKEN}) == (200, None)
    assert uploaders(browser) == ["김민수"]


def uploaders(client: Client) -> list[str]:
    """Who uploaded, as GraphQL tells."""
    answer = client.post(
        GRAPHQL_PATH,
        {"query": "{ uploads { nodes { uploadedBy } } }"},
        content_type="application/json",
        headers={"X-CSRFToken": TOKEN},
    )
    return [batch["uploadedBy"] for batch in answer.json()["data"]["uploads"]["nodes"]]


@pytest.mark.parametrize(
    "cookies", [{}, {"csrftoken": TOKEN}, {"sessionid": "of nobody"}], ids=["none", "token", "stale"]
)
def test_a_form_without_a_session_needs_no_csrf_token(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, cookies: dict[str, str]
) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    for name, value in cookies.items():
        client.cookies[name] = value
    assert send(client, transport, transport.body(slices(1), patientId=patient_id)) == (200, None)
    assert uploaders(client) == [""]


def test_a_malformed_form_that_may_be_forged_is_rejected_as_forged(browser: Client, transport: Transport) -> None:
    status, code = send(browser, transport, form([Part("operations", b"5"), Part("map", b"{}")]))
    assert (status, code) == (403, "CSRF_FAILED")


@pytest.mark.parametrize("origin", ["http://testserver", "https://viewer.example.org", "https://trusted.example.org"])
def test_an_anonymous_form_from_a_trusted_origin_is_accepted(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, origin: str, settings: Settings
) -> None:
    settings.ORTHANC_CORS_ORIGINS = ["https://viewer.example.org"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example.org"]
    body = transport.body(slices(1), patientId=patient_id)
    assert send(Client(enforce_csrf_checks=True), transport, body, Origin=origin) == (200, None)


@pytest.mark.parametrize(
    "origin", [ELSEWHERE, "null", "https://testserver", "http://testserver:8000", "testserver", ""]
)
def test_an_anonymous_form_from_another_origin_is_rejected(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str, origin: str
) -> None:
    """A browser in the gateway's own network reaches it from any page."""
    body = transport.body(slices(1), patientId=patient_id)
    assert send(Client(enforce_csrf_checks=True), transport, body, Origin=origin) == (403, "FORBIDDEN")
    assert not UploadBatch.objects.exists()
    assert not is_stored(orthanc, patient_id)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_form_with_an_api_token_needs_no_csrf_token(
    browser: Client, transport: Transport, patient_id: str, scheme: str
) -> None:
    """No page can make a browser send it; it wins over the session."""
    _, token = get_token_model().objects.create(user("이영희"))
    body = transport.body(slices(1), patientId=patient_id)
    headers = {"Authorization": f"{scheme} {token}", "Origin": ELSEWHERE}
    assert send(browser, transport, body, **headers) == (200, None)
    assert uploaders(browser) == ["이영희"]


@pytest.mark.parametrize(
    "header", ["Bearer x", "Bearer", "Bearer ", "Basic x", "Token x", "x", ""], ids=lambda header: header or "nothing"
)
def test_a_form_with_an_unknown_api_token_is_rejected_despite_a_session(
    orthanc: LocalOrthanc, browser: Client, transport: Transport, patient_id: str, header: str
) -> None:
    body = transport.body(slices(1), patientId=patient_id)
    for client in (browser, Client(raise_request_exception=False)):
        path = REST_PATH if transport.name == "REST" else GRAPHQL_PATH
        headers = {"Authorization": header, "X-CSRFToken": TOKEN}
        answer = client.post(path, body, content_type=CONTENT_TYPE, headers=headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="orthanc"'
        assert "UNAUTHENTICATED" in answer.content.decode()
    assert not UploadBatch.objects.exists()
    assert not is_stored(orthanc, patient_id)


QUERY = "{ viewer { username } }"
DELETION = f'mutation {{ deletePatient(orthancId: "{SOME_ID}") {{ dryRun }} }}'


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("query", [QUERY, DELETION])
@pytest.mark.parametrize("headers", [{}, {"X-CSRFToken": OTHER_TOKEN}, {"X-CSRFToken": TOKEN, "Origin": ELSEWHERE}])
def test_other_posts_that_may_be_forged_are_rejected(
    browser: Client, content_type: str, query: str, headers: dict[str, str]
) -> None:
    answer = browser.post(GRAPHQL_PATH, json.dumps({"query": query}), content_type=content_type, headers=headers)
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (403, "CSRF_FAILED")


def test_a_post_with_the_csrf_token_is_made_by_its_user(browser: Client) -> None:
    answers = [
        browser.post(GRAPHQL_PATH, {"query": query}, content_type="application/json", headers={"X-CSRFToken": TOKEN})
        for query in (QUERY, DELETION)
    ]
    assert answers[0].json()["data"] == {"viewer": {"username": "김민수"}}
    assert [error["extensions"]["code"] for error in answers[1].json()["errors"]] == ["NOT_FOUND"]


def test_a_get_without_the_csrf_token_reads_and_changes_nothing(browser: Client) -> None:
    assert browser.get(GRAPHQL_PATH, {"query": QUERY}).json()["data"] == {"viewer": {"username": "김민수"}}
    assert browser.get(GRAPHQL_PATH, {"query": DELETION}).status_code in (400, 405)


@pytest.mark.parametrize("level", ["patients", "studies", "series", "instances"])
def test_a_deletion_that_may_be_forged_is_rejected(browser: Client, level: str) -> None:
    address = f"/api/orthanc/{level}/{SOME_ID}/"
    for headers in ({}, {"X-CSRFToken": OTHER_TOKEN}, {"X-CSRFToken": TOKEN, "Origin": ELSEWHERE}):
        answer = browser.delete(address, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "CSRF_FAILED")
    answer = browser.delete(address, headers={"X-CSRFToken": TOKEN})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_the_upload_key_of_another_user_begins_an_upload_of_ones_own(
    browser: Client, transport: Transport, patient_id: str
) -> None:
    body = transport.body(slices(1), patientId=patient_id, uploadKey=patient_id)
    assert send(browser, transport, body, **{"X-CSRFToken": TOKEN}) == (200, None)
    other = Client(raise_request_exception=False)
    other.force_login(user("이영희"), "orthancproxy.project.login.PasswordBackend")
    assert send(other, transport, body) == (200, None)
    assert sorted(uploaders(browser)) == ["김민수", "이영희"]
