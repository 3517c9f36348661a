"""Which pages of other origins may call the gateway."""

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

VIEWER = "https://viewer.example.org"


async def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse("{}")


urlpatterns = [
    path(route, answer) for route in ("graphql", "graphql/", "api/orthanc/patients/", "dicom-web/studies", "graphqlx")
]


@pytest.fixture(autouse=True)
def _one_viewer_is_allowed(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.CORS_ALLOWED_ORIGINS = [VIEWER]


@pytest.mark.parametrize("route", ["/graphql", "/graphql/", "/api/orthanc/patients/", "/dicom-web/studies"])
def test_listed_origin_may_read_responses_and_send_credentials(client: Client, route: str) -> None:
    response = client.get(route, headers={"origin": VIEWER})
    assert response["Access-Control-Allow-Origin"] == VIEWER
    assert response["Access-Control-Allow-Credentials"] == "true"
    exposed = set(response["Access-Control-Expose-Headers"].split(", "))
    assert exposed == {
        *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Retry-After", "Warning"),
        *("X-Request-ID", "X-Total-Count"),
    }
    assert "origin" in response["Vary"].lower()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://viewer.example.org", f"{VIEWER}.evil.example", "null"]
)
def test_other_origin_may_not_read_responses(client: Client, origin: str) -> None:
    response = client.get("/graphql/", headers={"origin": origin})
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


def test_a_listed_origin_passes_the_preflight(client: Client) -> None:
    response = client.options(
        "/graphql/",
        headers={
            "origin": VIEWER,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-csrftoken,x-request-id",
        },
    )
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == VIEWER
    assert {"POST", "DELETE"} <= set(response["Access-Control-Allow-Methods"].split(", "))
    assert {"authorization", "content-type", "x-csrftoken", "x-request-id"} <= set(
        response["Access-Control-Allow-Headers"].split(", ")
    )


def test_another_origin_does_not_pass_the_preflight(client: Client) -> None:
    response = client.options(
        "/graphql/", headers={"origin": "https://evil.example", "access-control-request-method": "POST"}
    )
    assert "Access-Control-Allow-Origin" not in response


def test_other_routes_allow_no_origin(client: Client) -> None:
    response = client.get("/graphqlx", headers={"origin": VIEWER})
    assert "Access-Control-Allow-Origin" not in response


def test_no_origin_is_allowed_unless_the_setting_lists_it() -> None:
    from orthancproxy.conf import Configuration

    assert Configuration.ORTHANC_CORS_ORIGINS.default == ()
    assert not hasattr(django_settings, "CORS_ALLOW_ALL_ORIGINS")
