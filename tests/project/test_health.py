"""Liveness and readiness."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import ConnectionHandler
from django.test import Client
from pytest_django import Settings

from orthancproxy.project import health
from orthancproxy.project.health import Check, Checked
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.log_capture import logged
from tests.proxy import Fault, RecordingProxy

PARTS = {"database": "ok", "migrations": "ok", "archive": "ok", "index": "off"}


@contextmanager
def answering(settings: Settings, status: int, body: bytes = b"[]") -> Iterator[None]:
    """A server that answers every request so, in place of Orthanc."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def archive_up(settings: Settings) -> Iterator[None]:
    with answering(settings, 200):
        yield


@pytest.fixture
def archive_down(settings: Settings) -> Iterator[None]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{closed.getsockname()[1]}"
        yield


def test_livez_is_ok_without_orthanc(client: Client, archive_down: None) -> None:
    answer = client.get("/livez")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_up")
def test_readyz_is_ok_with_orthanc_and_a_migrated_database(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "parts": {"database": "ok", "migrations": "ok", "archive": "ok", "index": "off"},
        # for those who read it before there were parts
        "checks": {"orthanc": "ok", "database": "ok"},
    }
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_down")
def test_readyz_fails_without_orthanc_and_hides_its_url(client: Client, settings: Settings) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["checks"] == {"orthanc": "Orthanc cannot be reached.", "database": "ok"}
    assert answer.json()["parts"] == PARTS | {"archive": "unavailable"}
    assert "127.0.0.1" not in answer.text


@pytest.mark.django_db
def test_readyz_fails_if_the_server_is_not_orthanc(client: Client, settings: Settings) -> None:
    with answering(settings, 404):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["orthanc"] == "Unexpected response from Orthanc."
    assert answer.json()["parts"] == PARTS | {"archive": "unavailable"}


@pytest.mark.live
@pytest.mark.django_db
@pytest.mark.parametrize("unanswered", ["/tools/find", ""], ids=["the index", "everything"])
def test_readyz_fails_soon_if_orthanc_does_not_answer(
    client: Client, settings: Settings, archive: LocalOrthanc, unanswered: str
) -> None:
    with RecordingProxy(archive.port) as proxy:
        settings.ORTHANC_BASE_URL = proxy.base_url
        assert client.get("/readyz").status_code == 200
        # the gateway waits 30 s for other calls
        proxy.keep_failing(Fault(delay=15), on=unanswered)
        check_timely_failure(client)


@pytest.mark.django_db
def test_readyz_fails_soon_at_an_address_that_drops_packets(client: Client, settings: Settings) -> None:
    with full_backlog() as server:
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{server.getsockname()[1]}"
        check_timely_failure(client)


@pytest.mark.django_db
def test_readyz_fails_soon_at_an_address_that_drops_packets_and_then_does_not_answer(
    client: Client, settings: Settings
) -> None:
    with full_backlog() as server:
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{server.getsockname()[1]}"
        # Linux repeats the dropped packet after a second
        accepting = threading.Timer(0.5, server.accept)
        accepting.start()
        check_timely_failure(client)
        accepting.join()


@contextmanager
def full_backlog() -> Iterator[socket.socket]:
    """Yield a listening socket that drops the packets of further connections until it accepts one."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        with suppress(TimeoutError):
            while True:
                client = stack.enter_context(socket.socket())
                client.settimeout(0.2)
                client.connect(server.getsockname())
        # it would be the next to connect
        client.close()
        yield server


def check_timely_failure(client: Client) -> None:
    started = time.monotonic()
    answer = client.get("/readyz")
    # 2 and what a busy machine adds
    assert time.monotonic() - started < 4
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"orthanc": "Orthanc did not answer in time.", "database": "ok"}
    assert answer.json()["parts"] == PARTS | {"archive": "timeout"}


@pytest.mark.django_db
@pytest.mark.usefixtures("archive_up")
def test_readyz_fails_with_an_unapplied_migration(client: Client) -> None:
    MigrationRecorder(connection).record_unapplied("contenttypes", "0002_remove_content_type_name")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"orthanc": "ok", "database": "unmigrated"}
    assert answer.json()["parts"] == PARTS | {"migrations": "pending"}


@pytest.fixture
def database_down(db: None) -> Iterator[None]:
    usual = connections["default"]
    nowhere = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/gateway.sqlite3"}
    connections["default"] = ConnectionHandler({"default": nowhere})["default"]
    yield
    connections["default"] = usual


@pytest.mark.usefixtures("archive_up", "database_down")
def test_readyz_fails_without_a_database(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "The database can't be reached."
    assert answer.json()["parts"] == PARTS | {"database": "unavailable", "migrations": "unknown"}
    assert "/nowhere" not in answer.text


def logged_by_probes(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines if line["logger"] == "orthancproxy.project.health"]


@pytest.mark.django_db
def test_an_outage_has_a_line_and_not_each_probe_of_it(
    client: Client, settings: Settings, archive_down: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "READINESS_LOG", health.ReadinessLog())
    with logged() as lines:
        assert [client.get("/readyz").status_code for _ in range(3)] == [503] * 3
        with answering(settings, 200):
            assert [client.get("/readyz").status_code for _ in range(2)] == [200] * 2
        assert client.get("/readyz").status_code == 503
    assert logged_by_probes(lines) == ["not ready", "ready again", "not ready"]


@pytest.mark.usefixtures("archive_up", "database_down")
def test_an_outage_of_the_database_has_its_cause_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READINESS_LOG", health.ReadinessLog())
    with logged() as lines:
        assert [client.get("/readyz").status_code for _ in range(3)] == [503] * 3
    assert logged_by_probes(lines) == ["database unavailable", "not ready"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_rejected_in_json(client: Client, path: str, method: str) -> None:
    answer = client.generic(method, path)
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"


def test_probes_share_a_check_until_it_takes_too_long() -> None:
    async def run() -> None:
        answered = asyncio.Event()

        async def hang() -> Checked:
            await answered.wait()
            return Checked({})

        check = Check(hang, {}, max_seconds=0.2)
        first = check.begin()
        assert check.begin() is first
        await asyncio.sleep(0.3)
        second = check.begin()
        assert second is not first
        assert check.begin() is second
        answered.set()
        await asyncio.wait([first, second])
        assert check.begin() not in (first, second)

    asyncio.run(run())


def test_head_has_no_body(client: Client) -> None:
    answer = client.head("/livez")
    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("host", ["10.244.0.7:8000", "a b", "evil.example"])
def test_probes_accept_any_host_and_do_not_repeat_it(client: Client, archive_down: None, path: str, host: str) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == (200 if path == "/livez" else 503)
    assert host not in f"{answer.headers} {answer.text}"


def test_other_routes_reject_unknown_hosts(client: Client) -> None:
    for path in ("/livez/", "/LIVEZ", "/api/orthanc/livez", "/graphql/"):
        assert client.get(path, headers={"host": "evil.example"}).status_code == 400
