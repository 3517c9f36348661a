"""Connections to PostgreSQL: few are enough, idle ones are given back, and without one callers get an error soon."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import cast

import psycopg
import pytest
import requests
from django.db.utils import ConnectionHandler

from orthancproxy.project.environment import Environment
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.postgresql import run_postgresql
from tests.proxy import Fault, RecordingProxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

MAX_CONNECTIONS = 14
CHECKOUT = Path(__file__).parents[2]
CLIENTS = 12  # the most requests that a client may have in progress


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with run_postgresql(None, "-c", f"max_connections={MAX_CONNECTIONS}") as url:
        yield url


@contextmanager
def slow_orthanc(archive: LocalOrthanc, seconds: float) -> Iterator[RecordingProxy]:
    with RecordingProxy(archive.port) as proxy:
        proxy.keep_failing(Fault(delay=seconds), on="/tools/find")
        yield proxy


def others(connection: psycopg.Connection[tuple[int]]) -> list[int]:
    """Return the processes of the connections besides this one."""
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return [pid for (pid,) in rows]


def read(gateway: LocalGateway) -> requests.Response:
    return requests.get(f"{gateway.address}/api/orthanc/patients/", timeout=60)


def make_token(url: str) -> str:
    """Return the token of a user who can do everything."""
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SUPERUSER_PASSWORD": "correct horse"}
    names = ["--noinput", "--username", "mina", "--email", "mina@example.org"]
    for command in (["migrate", "--verbosity", "0"], ["createsuperuser", *names], ["create_api_token", "mina"]):
        output = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=CHECKOUT,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    return output.split()[-1]


def test_reads_that_wait_for_orthanc_need_no_connection_each(
    archive: LocalOrthanc, database: str, tmp_path: Path
) -> None:
    # the gateway knows its caller before it asks Orthanc
    token = make_token(database)
    with slow_orthanc(archive, 3) as orthanc:
        settings = {"DATABASE_URL": database, "DATABASE_POOL_SIZE": "1", "ORTHANC_INDEX": "false"}
        with serving(orthanc.base_url, tmp_path, settings=settings) as gateway:

            def query(_: object = None) -> object:
                return requests.post(
                    f"{gateway.address}/graphql/",
                    json={"query": "{ patients(first: 1) { nodes { patientId } } }"},
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=60,
                ).json()

            expected = query()
            assert "data" in cast("dict[str, object]", expected)
            began = time.monotonic()
            with ThreadPoolExecutor(CLIENTS) as clients:
                assert list(clients.map(query, range(CLIENTS))) == [expected] * CLIENTS
            # they waited at the same time
            assert time.monotonic() - began < CLIENTS * 3 / 2


def test_without_connections_callers_get_an_error_soon_and_idle_ones_are_given_back(
    archive: LocalOrthanc, database: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": database, "ORTHANC_INDEX": "false"}
    with serving(archive.base_url, tmp_path, settings=settings) as gateway:
        with ThreadPoolExecutor(CLIENTS) as clients:
            assert {answer.status_code for answer in clients.map(lambda _: read(gateway), range(CLIENTS))} == {200}
        with ExitStack() as stack:
            watching = stack.enter_context(psycopg.connect(database, autocommit=True))
            wait_until(lambda: len(others(watching)) == 1)
            # the gateway's user is a superuser, for whom PostgreSQL keeps no fewer
            taken = [stack.enter_context(psycopg.connect(database)) for _ in range(MAX_CONNECTIONS - 2)]
            with ThreadPoolExecutor(CLIENTS) as clients:
                # the one that the gateway has serves them all
                assert {answer.status_code for answer in clients.map(lambda _: read(gateway), range(CLIENTS))} == {200}

            def last_is_taken() -> bool:
                for pid in set(others(watching)) - {one.info.backend_pid for one in taken}:
                    # it returns when the process has ended
                    watching.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
                try:
                    taken.append(stack.enter_context(psycopg.connect(database)))
                except psycopg.OperationalError:
                    # the gateway has tried to open more since its requests waited, and was faster
                    return False
                return True

            wait_until(last_is_taken)
            began = time.monotonic()
            answer = read(gateway)
            assert (answer.status_code, answer.json()["code"]) == (503, "GATEWAY_UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) > 0
            assert time.monotonic() - began < 15
        # soon after there are some again
        wait_until(lambda: read(gateway).status_code == 200, seconds=10)


@pytest.mark.parametrize("given", ["", "?tcp_user_timeout=60000"])
def test_a_host_that_vanishes_is_noticed_within_seconds(database: str, tmp_path: Path, given: str) -> None:
    """Only root could let one vanish: the kernel tells what it does then."""
    settings = Environment({}).database(f"{database}{given}", tmp_path)
    settings["OPTIONS"].pop("pool")
    with closing(ConnectionHandler({"default": settings})["default"]) as connection:
        connection.ensure_connection()
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            values = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
    assert values == [10, 3, 3, 60_000 if given else 10_000]
    # of attempts to connect: the next one may meet the host again
    assert settings["OPTIONS"]["connect_timeout"] == 8
