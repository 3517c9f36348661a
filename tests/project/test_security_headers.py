"""What browsers are told about each kind of answer, by the gateway as it is deployed."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from pytest_django import Settings

from orthancproxy.http.streaming import stream
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import FIND
from orthancproxy.resolvers.downloads import Download
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc

ORIGIN = "https://viewer.example.org"
CHECKOUT = Path(__file__).parents[2]
NOTHING = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
PAGE = {"script-src": "'self'", "img-src": "'self' data:"}
GRAPHIQL = {
    **PAGE,
    "worker-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "font-src": "'self' data:",
    "connect-src": "'self'",
}
DOCUMENTATION = {**PAGE, "style-src": "'self' 'unsafe-inline'", "connect-src": "'self'"}
FOR_PEOPLE = {
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "media-src": "'self' blob:",
    "frame-src": "'self' blob:",
    "object-src": "'self' blob:",
}
ADMIN = {**PAGE, "style-src": "'self'", "form-action": "'self'"}


@pytest.fixture(scope="module")
def gateway(archive: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    settings = {"ORTHANC_CORS_ORIGINS": ORIGIN, "ORTHANC_TRUST_FORWARDED": "true", "DJANGO_SECURE_HSTS_SECONDS": "3600"}
    with serving(archive.base_url, tmp_path_factory.mktemp("gateway"), settings=settings) as gateway:
        yield gateway


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def asked(gateway: LocalGateway, path: str, **headers: str) -> Message:
    """The headers of an answer, whatever its status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    request = urllib.request.Request(gateway.address + path, headers=headers)  # noqa: S310  http
    try:
        with opener.open(request, timeout=30) as answer:
            found: Message = answer.headers
    except urllib.error.HTTPError as error:
        found = error.headers
    return found


def policy_of(headers: Message) -> dict[str, str]:
    [policy] = headers.get_all("Content-Security-Policy") or []
    return {name: value for name, _, value in (directive.partition(" ") for directive in policy.split("; "))}


@pytest.fixture(scope="module")
def instance(archive: LocalOrthanc) -> str:
    """Where an instance is, below /api/orthanc/."""
    found = OrthancClient(ConnectionOptions(archive.base_url)).call(
        FIND, body={"Level": "Instance", "Query": {}, "Limit": 1}
    )
    return f"instances/{found[0]}"


@pytest.mark.live
@pytest.mark.parametrize(
    ("path", "media_type", "policy"),
    [
        ("/api/orthanc/patients/", "application/json", {}),
        ("/graphql/?query=%7B__typename%7D", "application/json", {}),
        ("/graphql/?query=%7B", "application/json", {}),
        ("/graphql/", "text/html", GRAPHIQL),
        ("/login/", "text/html", {"style-src": "'nonce-*'", "img-src": "data:", "form-action": "'self'"}),
        ("/admin/login/", "text/html", ADMIN),
        ("/admin/", "text/html", ADMIN),  # a redirect
        ("/api/orthanc/docs/", "text/html", DOCUMENTATION),
        ("/api/orthanc/docs/?script=", "application/javascript", DOCUMENTATION),
        ("/dicom-web/docs/", "text/html", DOCUMENTATION),
        ("/static/admin/css/base.css", "text/css", {}),
        ("/", "text/html", FOR_PEOPLE),
        ("/nothing", "text/html", FOR_PEOPLE),
        ("/api/orthanc/nothing", "application/json", {}),
        ("/livez", "application/json", {}),
        ("/{instance}/file/", "application/dicom", {"sandbox": ""}),
        ("/{instance}/preview/", "image/png", {"sandbox": ""}),
        ("/{instance}/thumbnail/", "image/png", {"sandbox": ""}),
    ],
)
def test_every_response_has_a_content_security_policy(
    gateway: LocalGateway, instance: str, path: str, media_type: str, policy: dict[str, str]
) -> None:
    path = path.replace("/{instance}", f"/api/orthanc/{instance}")
    headers = asked(gateway, path, Accept="text/html", Origin=ORIGIN)
    assert headers.get_content_type() == media_type
    told = {name: re.sub("nonce-[^']+", "nonce-*", value) for name, value in policy_of(headers).items()}
    assert told == {**NOTHING, **policy}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    is_shown = "sandbox" in policy
    # its URL may be signed
    assert headers["Referrer-Policy"] == ("no-referrer" if is_shown else "same-origin")
    assert headers["Cross-Origin-Resource-Policy"] == ("cross-origin" if is_shown else "same-origin")
    is_public = path.startswith("/static/")
    assert is_public or re.search("no-store|private, no-cache", headers["Cache-Control"])
    assert headers["Access-Control-Allow-Origin"] == (
        ORIGIN if path.startswith(("/api", "/graphql", "/dicom-web")) else None
    )
    # it came over plain HTTP
    assert "Strict-Transport-Security" not in headers


@pytest.mark.live
def test_files_are_attachments(gateway: LocalGateway, instance: str) -> None:
    assert asked(gateway, f"/api/orthanc/{instance}/file/")["Content-Disposition"].startswith("attachment; ")
    assert asked(gateway, f"/api/orthanc/{instance}/preview/")["Content-Disposition"].startswith("inline; ")


@pytest.mark.live
def test_https_responses_have_strict_transport_security(gateway: LocalGateway) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    assert asked(gateway, "/livez", **headers)["Strict-Transport-Security"] == "max-age=3600"


def test_cookies_are_secure_and_the_session_is_http_only(transactional_db: None) -> None:
    User.objects.create_user("anna", password="correct horse battery")
    client = Client()
    answer = client.post("/login/", {"username": "anna", "password": "correct horse battery"})
    assert answer.status_code == 302
    session = answer.cookies["sessionid"]
    assert (session["secure"], session["httponly"], session["samesite"]) == (True, True, "Lax")
    assert session["max-age"] == 12 * 60 * 60
    token = answer.cookies["csrftoken"]
    assert (token["secure"], token["samesite"]) == (True, "Lax")


def test_uploaded_content_is_sandboxed_without_our_middleware(settings: Settings) -> None:
    settings.MIDDLEWARE = []
    headers = stream(HttpRequest(), Download(content=None, filename="a.png", etag='"a"')).headers
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_django_deployment_check_passes(tmp_path: Path) -> None:
    prefixes = ("DJANGO_", "ORTHANC_", "DATABASE_URL")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    production = {
        "DJANGO_DATA_DIR": str(tmp_path),
        "DJANGO_SECRET_KEY": "an-example-" + "0123456789abcdef" * 4,
        "DJANGO_ALLOWED_HOSTS": "images.example.org",
        "DJANGO_CSRF_TRUSTED_ORIGINS": "https://images.example.org",
        "DJANGO_SECURE_HSTS_SECONDS": "31536000",
        "ORTHANC_TRUST_FORWARDED": "true",
    }
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=CHECKOUT,
        env={**environment, **production},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout
