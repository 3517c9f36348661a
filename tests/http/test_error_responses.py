"""Django's own errors are JSON too."""

import pytest
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.csrf import csrf_protect
from pytest_django import Settings

from orthancproxy.http.error_responses import error_response
from orthancproxy.project.urls import handler400, handler403, handler404, handler500  # noqa: F401  resolved by name

RAISED: dict[str, Exception] = {
    "bad": BadRequest("detail that stays inside"),
    "suspicious": SuspiciousOperation("detail that stays inside"),
    "large": RequestDataTooBig("detail that stays inside"),
    "forbidden": PermissionDenied("detail that stays inside"),
    "missing": Http404("detail that stays inside"),
    "broken": RuntimeError("detail that stays inside"),
    "locked": OperationalError("detail that stays inside"),
}


async def fail(request: HttpRequest, name: str) -> HttpResponse:
    raise RAISED[name]


@csrf_protect
def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("form", form), path("<name>", fail)]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("bad", 400, "BAD_USER_INPUT"),
        ("suspicious", 400, "BAD_USER_INPUT"),
        ("large", 413, "LIMIT_EXCEEDED"),
        ("forbidden", 403, "FORBIDDEN"),
        ("missing", 404, "NOT_FOUND"),
        ("no/such/route", 404, "NOT_FOUND"),
        ("broken", 500, "INTERNAL"),
        ("locked", 503, "GATEWAY_UNAVAILABLE"),
    ],
)
def test_errors_are_json_with_a_code(settings: Settings, name: str, status: int, code: str) -> None:
    settings.ROOT_URLCONF = __name__
    answer = Client(raise_request_exception=False).get(f"/{name}")
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["code"] == code
    assert answer.json()["detail"]
    assert "inside" not in answer.text
    assert answer.get("Retry-After") == ("5" if status == 503 else None)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(("status", "challenge"), [(401, 'Bearer realm="orthanc"'), (403, None)])
def test_a_caller_who_did_not_authenticate_gets_a_challenge(status: int, challenge: str | None) -> None:
    assert error_response(status, "CODE", "Detail.").get("WWW-Authenticate") == challenge


def test_internal_error_has_the_request_id(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    answer = Client(raise_request_exception=False).get("/broken", headers={"x-request-id": "abc"})
    assert answer.json()["requestId"] == "abc"


def test_form_without_csrf_token_is_rejected_in_json(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    answer = Client(enforce_csrf_checks=True).post("/form")
    assert answer.status_code == 403
    assert answer.json()["code"] == "CSRF_FAILED"


def test_host_that_is_not_allowed_is_rejected_in_json(client: Client) -> None:
    answer = client.get("/login/", headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (None, "application/json"),
    ],
)
def test_unknown_url_is_a_page_for_browsers(settings: Settings, accept: str | None, media_type: str) -> None:
    settings.ROOT_URLCONF = __name__
    answer = Client().get("/no/such/route", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer["Content-Type"]) == (404, media_type)
    assert (
        "There is nothing at this URL." if media_type == "application/json" else "There is no such page"
    ) in answer.text
    assert "Accept" in answer["Vary"]


def test_favicon_is_an_image(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
