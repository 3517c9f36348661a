"""Absolute addresses behind a proxy, for those who trust it."""

import pytest
from django.http import HttpRequest, JsonResponse
from django.templatetags.static import static
from django.test import Client
from django.urls import get_script_prefix, path, reverse
from pytest_django import Settings


async def address(request: HttpRequest) -> JsonResponse:
    return JsonResponse(
        {
            "own": request.build_absolute_uri(),
            "link": request.build_absolute_uri(reverse("address")),
            "static": static("page.js"),
            "client": request.META["REMOTE_ADDR"],
        }
    )


urlpatterns = [path("address/", address, name="address")]

PROXY = {
    "x-forwarded-host": "pacs.example.org",
    "x-forwarded-proto": "https",
    "x-forwarded-port": "8443",
    "x-forwarded-prefix": "/gateway",
    "x-forwarded-for": "192.0.2.7",
}


@pytest.fixture(autouse=True)
def _urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["testserver", "pacs.example.org", "[::1]"]


@pytest.fixture
def trusted(settings: Settings) -> None:
    settings.ORTHANC_TRUST_FORWARDED = True
    settings.USE_X_FORWARDED_HOST = True
    settings.USE_X_FORWARDED_PORT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def test_untrusted_headers_are_ignored(client: Client, settings: Settings) -> None:
    settings.ORTHANC_TRUST_FORWARDED = False
    assert client.get("/address/", headers=PROXY).json() == {
        "own": "http://testserver/address/",
        "link": "http://testserver/address/",
        "static": "/static/page.js",
        "client": "127.0.0.1",
    }


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        # what stands first, the client may have written itself
        ("10.9.9.9, 192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("192.0.2.7, unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_client_address_is_the_last_forwarded_one(client: Client, sent: str, expected: str) -> None:
    answer = client.get("/address/", headers={"x-forwarded-for": sent})
    assert answer.json()["client"] == expected


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("scheme", "port", "expected"),
    [
        ("https", "443", "https://pacs.example.org/"),
        ("https", "80", "https://pacs.example.org:80/"),
        ("http", "80", "http://pacs.example.org/"),
        ("http", "443", "http://pacs.example.org:443/"),
    ],
)
def test_the_default_port_is_no_part_of_urls(client: Client, scheme: str, port: str, expected: str) -> None:
    headers = {"x-forwarded-host": "pacs.example.org", "x-forwarded-proto": scheme, "x-forwarded-port": port}
    assert client.get("/address/", headers=headers).json()["own"] == f"{expected}address/"


@pytest.mark.usefixtures("trusted")
def test_trusted_headers_give_the_urls_of_the_client(client: Client) -> None:
    assert client.get("/address/", headers=PROXY).json() == {
        "own": "https://pacs.example.org:8443/gateway/address/",
        "link": "https://pacs.example.org:8443/gateway/address/",
        "static": "/gateway/static/page.js",
        "client": "192.0.2.7",
    }


@pytest.mark.usefixtures("trusted")
def test_prefix_lasts_for_one_request(client: Client) -> None:
    client.get("/address/", headers=PROXY)
    assert get_script_prefix() == "/"
    assert client.get("/address/").json()["static"] == "/static/page.js"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("headers", "link"),
    [
        ({"x-forwarded-port": "443", "x-forwarded-proto": "https"}, "https://testserver/address/"),
        ({"x-forwarded-port": "80"}, "http://testserver/address/"),
        ({"x-forwarded-port": "8080"}, "http://testserver:8080/address/"),
        ({"x-forwarded-port": "8080", "host": "testserver:81"}, "http://testserver:81/address/"),
        ({"x-forwarded-port": "8080", "host": "[::1]"}, "http://[::1]:8080/address/"),
        ({"x-forwarded-port": "8080, 80"}, "http://testserver:8080/address/"),
        ({"x-forwarded-host": "pacs.example.org, inner"}, "http://pacs.example.org/address/"),
        (
            {"x-forwarded-host": "pacs.example.org, inner", "x-forwarded-port": "81"},
            "http://pacs.example.org:81/address/",
        ),
        ({"x-forwarded-port": "@evil.example"}, "http://testserver/address/"),
        ({"x-forwarded-prefix": "/a/b/"}, "http://testserver/a/b/address/"),
        ({"x-forwarded-prefix": "/"}, "http://testserver/address/"),
        ({"x-forwarded-prefix": "//evil.example"}, "http://testserver/address/"),
        ({"x-forwarded-prefix": "/a/../b"}, "http://testserver/address/"),
        ({"x-forwarded-prefix": 'a"><script>'}, "http://testserver/address/"),
    ],
)
def test_malformed_values_are_ignored(client: Client, headers: dict[str, str], link: str) -> None:
    assert client.get("/address/", headers=headers).json()["link"] == link


@pytest.mark.usefixtures("trusted")
def test_forwarded_host_must_be_allowed(client: Client) -> None:
    assert client.get("/address/", headers={"x-forwarded-host": "evil.example"}).status_code == 400
