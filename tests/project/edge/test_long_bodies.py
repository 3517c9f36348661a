"""Long bodies of a gateway as it is deployed: who may send one, and what they cost."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPResponse

import pytest

from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway, serving
from tests.hostile_requests import FORM, GRAPHQL, UPLOAD, request

pytestmark = pytest.mark.live

GIGABYTES = str(16 * 10**9)
CSRF = "a" * 32
# prints a user's API token and session
MAKE_USER = """
from django.contrib.auth.models import Group, User
from knox.models import get_token_model
from orthancproxy.project.sso.sessions import SessionStore
user = User.objects.create_user("uploader")
user.groups.set(Group.objects.filter(name__in=["Uploader"]))
session = SessionStore()
session.update({"_auth_user_id": user.pk, "_auth_user_backend": "orthancproxy.project.login.PasswordBackend",
                "_auth_user_hash": user.get_session_auth_hash()})
session.create()
print(get_token_model().objects.create(user)[1], session.session_key)
"""
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query": "{__typename}"}\r\n'
    b'--b\r\nContent-Disposition: form-data; name="map"\r\n\r\n{}\r\n--b--\r\n'
)


@dataclass(frozen=True, slots=True)
class Closed:
    """A gateway without permissions for anonymous callers, and the credentials of one who may upload."""

    gateway: LocalGateway
    credentials: Mapping[str, tuple[str, ...]]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    folder = tmp_path_factory.mktemp("gateway")
    with serving("http://127.0.0.1:1", folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway:
        made = subprocess.run(
            [sys.executable, str(CHECKOUT / "manage.py"), "shell", "--verbosity", "0", "--command", MAKE_USER],
            env={**os.environ, "DJANGO_DATA_DIR": str(folder / "data")},
            capture_output=True,
            text=True,
            check=True,
        )
        token, session = made.stdout.split()
        session_headers = (f"Cookie: sessionid={session}; csrftoken={CSRF}", f"X-CSRFToken: {CSRF}")
        yield Closed(gateway, {"token": (f"Authorization: Bearer {token}",), "session": session_headers})


def exchange(gateway: LocalGateway, data: bytes) -> tuple[int, Mapping[str, object]]:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(data)
        response = HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("url", [GRAPHQL, UPLOAD])
@pytest.mark.parametrize(
    "headers", [(), ("Authorization: Bearer x",), ("Cookie: sessionid=x",)], ids=["none", "token", "session"]
)
def test_upload_without_valid_credentials_is_rejected_unread(
    closed: Closed, url: str, headers: tuple[str, ...]
) -> None:
    data = request("POST", url, b"--b\r\n", f"Content-Type: {FORM}", *headers, length=GIGABYTES)
    status, content = exchange(closed.gateway, data)
    assert status == 401
    assert "UNAUTHENTICATED" in json.dumps(content)


@pytest.mark.parametrize(
    ("media_type", "status"), [(FORM, 401), ("application/json", 413)], ids=["not authenticated", "too large"]
)
def test_client_that_sends_all_before_it_reads_gets_the_error(closed: Closed, media_type: str, status: int) -> None:
    body = b"x" * 16_000_000
    with socket.create_connection(("127.0.0.1", closed.gateway.port), timeout=10) as connection:
        connection.sendall(request("POST", GRAPHQL, b"", f"Content-Type: {media_type}", length=str(len(body))))
        # the response is there, and is left there
        assert connection.recv(1, socket.MSG_PEEK)
        connection.sendall(body)
        response = HTTPResponse(connection)
        response.begin()
        assert (response.status, response.headers["Connection"]) == (status, "close")
        assert "errors" in json.loads(response.read())


@pytest.mark.parametrize("kind", ["token", "session"])
def test_upload_with_valid_credentials_is_read(closed: Closed, kind: str) -> None:
    data = request("POST", GRAPHQL, MULTIPART, f"Content-Type: {FORM}", *closed.credentials[kind])
    assert exchange(closed.gateway, data) == (200, {"data": {"__typename": "Query"}})


def test_unfinished_bodies_are_on_disk(closed: Closed) -> None:
    before = closed.gateway.peak_memory()
    body = b"x" * 2_400_000
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", closed.gateway.port), timeout=10))
            connection.sendall(request("POST", GRAPHQL, body, "Content-Type: application/json", length="2400001"))
        assert closed.gateway.peak_memory() - before < len(body) * 40 / 4
