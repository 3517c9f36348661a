"""Liveness and readiness."""

import socket
from collections.abc import Iterator

import pytest
import responses
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import ConnectionHandler
from django.test import Client
from pytest_django import Settings

from orthancproxy.project import health

ARCHIVE = "http://archive.invalid:8042"


@pytest.fixture
def archive_up(settings: Settings) -> Iterator[None]:
    settings.ORTHANC_BASE_URL = ARCHIVE
    with responses.RequestsMock() as archive:
        archive.get(f"{ARCHIVE}/system", json={"Version": "1.12.10"})
        yield


@pytest.fixture
def archive_down(settings: Settings) -> Iterator[None]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{closed.getsockname()[1]}"
        yield


def test_the_process_is_alive_even_when_nothing_else_is(client: Client, archive_down: None) -> None:
    answer = client.get("/livez")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_up")
def test_ready_when_the_archive_answers_and_the_database_is_migrated(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"orthanc": "ok", "database": "ok"}}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_down")
def test_not_ready_when_the_archive_is_down_and_its_address_is_not_told(client: Client, settings: Settings) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["checks"] == {"orthanc": "Orthanc cannot be reached.", "database": "ok"}
    assert "127.0.0.1" not in answer.text


@pytest.mark.django_db
def test_not_ready_when_something_else_answers_in_the_archives_place(client: Client, settings: Settings) -> None:
    settings.ORTHANC_BASE_URL = ARCHIVE
    with responses.RequestsMock() as archive:
        archive.get(f"{ARCHIVE}/system", status=404)
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["orthanc"] == "Unexpected response from Orthanc."


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_up")
def test_not_ready_when_a_migration_is_missing(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("contenttypes", "0002_remove_content_type_name")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"orthanc": "ok", "database": "unmigrated"}


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_up")
def test_not_ready_when_the_database_can_not_be_reached(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/gateway.sqlite3"}
    monkeypatch.setattr(health, "connection", ConnectionHandler({"default": nowhere})["default"])
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "The database can't be reached."
    assert "/nowhere" not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused_in_json(client: Client, path: str, method: str) -> None:
    answer = client.generic(method, path)
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"


def test_head_answers_like_get_without_a_body(client: Client) -> None:
    answer = client.head("/livez")
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("host", ["10.244.0.7:8000", "a b", "evil.example"])
def test_probes_are_answered_by_whatever_name_they_ask_for_and_are_not_told_it(
    client: Client, archive_down: None, path: str, host: str
) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == (200 if path == "/livez" else 503)
    assert host not in f"{answer.headers} {answer.text}"


def test_other_addresses_are_not(client: Client) -> None:
    for path in ("/livez/", "/LIVEZ", "/api/orthanc/livez", "/graphql/"):
        assert client.get(path, headers={"host": "evil.example"}).status_code == 400
