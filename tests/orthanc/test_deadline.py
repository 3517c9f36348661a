"""A request stops calling Orthanc at its deadline, and when its client has gone away."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from orthancproxy.audit.models import AuditEvent
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.orthancs import NOT_FOLLOWING
from tests.proxy import Fault, RecordingProxy
from tests.tcp_proxy import TCPFault, TCPProxy
from tests.waiting import wait_until

pytestmark = pytest.mark.live

WHOLE = "{ patients { nodes { studies { series { instances { id } } } } } }"
CALLS = 4  # one for each level


@pytest.fixture
def proxy(archive: LocalOrthanc) -> Iterator[RecordingProxy]:
    with RecordingProxy(archive.port) as proxy:
        yield proxy
    connect.cache_clear()


def code_and_seconds(graphql: GraphQL) -> tuple[str, float]:
    started = time.monotonic()
    error = graphql.error(WHOLE)
    return error["extensions"]["code"], time.monotonic() - started


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Limit requests within the block, of a client that knows Orthanc already: the first request takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        # without the signal that a setting has changed, after which there is another client
        patch.setattr(django_settings, "ORTHANC_MAX_SECONDS", seconds, raising=False)
        yield


def test_a_request_with_too_many_calls_is_stopped(proxy: RecordingProxy, graphql: GraphQL, settings: Settings) -> None:
    settings.ORTHANC_BASE_URL = proxy.base_url
    graphql(WHOLE)
    proxy.requests.clear()
    proxy.keep_failing(Fault(delay=0.6))
    with limit(1.0):
        code, seconds = code_and_seconds(graphql)
    # a call that is under way then was too slow, one that would follow is not made
    assert code in ("ARCHIVE_UNAVAILABLE", "LIMIT_EXCEEDED")
    assert 0.9 < seconds < 10
    assert len(proxy.requests) < CALLS
    proxy.recover()
    graphql(WHOLE)


def test_the_error_names_the_limit(proxy: RecordingProxy, graphql: GraphQL, settings: Settings) -> None:
    settings.ORTHANC_BASE_URL = proxy.base_url
    settings.ORTHANC_MAX_SECONDS = 1e-9
    error = graphql.error(WHOLE)
    assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "server.limits.maxSeconds" in error["message"]
    assert proxy.requests == []


def test_a_response_that_trickles_in_is_aborted(archive: LocalOrthanc, graphql: GraphQL, settings: Settings) -> None:
    with TCPProxy(archive.port) as trickling:
        settings.ORTHANC_BASE_URL = trickling.base_url
        graphql(WHOLE)
        # each byte comes well within ORTHANC_READ_TIMEOUT
        trickling.suffer(TCPFault(rate=400))
        with limit(2.0):
            code, seconds = code_and_seconds(graphql)
    connect.cache_clear()
    assert code in ("ARCHIVE_UNAVAILABLE", "LIMIT_EXCEEDED")
    assert seconds < 20


def test_nothing_more_is_fetched_for_a_client_that_has_gone_away(proxy: RecordingProxy, tmp_path: Path) -> None:
    body = json.dumps({"query": WHOLE}).encode()
    head = (
        f"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    request = head.encode() + b"\r\n\r\n" + body
    with serving(proxy.base_url, tmp_path, settings=NOT_FOLLOWING) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(request)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        proxy.requests.clear()
        proxy.keep_failing(Fault(delay=1.5))
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(request)
            wait_until(lambda: proxy.requests)
        # written when the request has ended
        wait_until(lambda: "CLIENT_DISCONNECTED" in audited_codes(tmp_path))
        assert len(proxy.requests) == 1


def audited_codes(folder: Path) -> list[str]:
    """The error codes in the audit log of the gateway in this folder."""
    with closing(sqlite3.connect(folder / "data/gateway.sqlite3")) as database:
        return [code for (code,) in database.execute(f"SELECT error_code FROM {AuditEvent._meta.db_table}")]  # noqa: S608
