"""The worker processes: they are replaced when they die and on SIGHUP, and end without losing a request."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import requests

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from orthancproxy.sandbox.process import ChildProcess
from tests.orthancs import NOT_FOLLOWING
from tests.postgresql import run_postgresql
from tests.processes import has_ended
from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
QUERY = b'{"query": "{ __typename }"}'


class Slow:
    """A GraphQL request whose body arrives in two parts."""

    def __init__(self, gateway: LocalGateway) -> None:
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
        head = f"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(QUERY)}\r\n"
        self.socket.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + QUERY[:5])

    def finish(self) -> str:
        """Send the rest, and return the response, to the end of the connection."""
        self.socket.sendall(QUERY[5:])
        with self.socket, self.socket.makefile("rb") as file:
            return file.read().decode()


def status(url: str) -> int:
    return requests.get(url, timeout=5).status_code


@pytest.fixture
def serve(archive: LocalOrthanc, tmp_path: Path) -> Iterator[Callable[..., LocalGateway]]:
    with ExitStack() as stack:

        def start(workers: int = 2, **settings: str) -> LocalGateway:
            gateway = stack.enter_context(serving(archive.base_url, tmp_path, workers=workers, settings=settings))
            wait_until(lambda: status(f"{gateway.address}/readyz") == 200)
            return gateway

        yield start


pytestmark = [pytest.mark.live, pytest.mark.once]


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_drains(serve: Callable[..., LocalGateway], workers: int) -> None:
    gateway = serve(workers, ORTHANC_SHUTDOWN_DELAY_SECONDS="3", ORTHANC_DRAIN_SECONDS="20")
    slow = Slow(gateway)
    with requests.Session() as session:
        assert session.get(f"{gateway.address}/livez", timeout=5).headers.get("Connection") != "close"
        began = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: status(f"{gateway.address}/readyz") == 503)
        answer = session.get(f"{gateway.address}/readyz", timeout=5)
        assert answer.json() == {
            "status": "unavailable",
            "parts": {},
            "checks": {"gateway": "The gateway is shutting down."},
        }

        # it goes on listening, and tells its clients to connect to another
        def is_told_to_leave() -> bool:
            answer = session.post(f"{gateway.address}/graphql/", json={"query": "{ __typename }"}, timeout=5)
            assert answer.status_code == 200
            return answer.headers.get("Connection") == "close"

        # another worker may know a moment later
        wait_until(is_told_to_leave)

    def is_closed() -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", gateway.port)) != 0

    wait_until(is_closed)
    assert time.monotonic() - began > 2.9
    assert not has_ended(gateway.pid)
    assert slow.finish().startswith("HTTP/1.1 200")
    wait_until(lambda: has_ended(gateway.pid))


@pytest.mark.parametrize(("workers", "method", "path"), [(1, "POST", "graphql"), (2, "GET", "api/orthanc/patients")])
def test_a_request_that_does_not_end_in_time_is_told_so_and_holds_nothing_up(
    workers: int, method: str, path: str, tmp_path: Path
) -> None:
    settings = {**NOT_FOLLOWING, "ORTHANC_DRAIN_SECONDS": "1", "ORTHANC_READ_TIMEOUT": "100"}
    with (
        # it accepts connections, and answers nothing
        socket.create_server(("127.0.0.1", 0)) as orthanc,
        serving(
            f"http://127.0.0.1:{orthanc.getsockname()[1]}", tmp_path, workers=workers, settings=settings
        ) as gateway,
        ThreadPoolExecutor(1) as client,
    ):
        query = {"query": "{ studies { totalCount } }"} if method == "POST" else None
        asked = client.submit(requests.request, method, f"{gateway.address}/{path}/", json=query, timeout=60)
        orthanc.settimeout(60)
        waiting, _ = orthanc.accept()
        began = time.monotonic()
        os.kill(gateway.pid, signal.SIGTERM)
        answer = asked.result()
        assert (answer.status_code, answer.json()["code"]) == (503, "GATEWAY_UNAVAILABLE")
        # a mutation may have been carried out
        assert ("Retry-After" in answer.headers) is (method == "GET")
        wait_until(lambda: has_ended(gateway.pid))
        assert time.monotonic() - began < 30
        waiting.close()
    assert '"threads did not end in time"' in gateway.log.read_text()


def test_sighup_replaces_workers_and_loses_nothing(serve: Callable[..., LocalGateway]) -> None:
    gateway = serve(2, ORTHANC_DRAIN_SECONDS="30")
    before = gateway.workers()
    assert len(before) == 2
    slow = [Slow(gateway) for _ in range(4)]
    ends, failures, answers = threading.Event(), list[object](), list[int]()

    def ask(keeps_connection: bool) -> None:
        with requests.Session() as session:
            session.headers["Connection"] = "keep-alive" if keeps_connection else "close"
            while not ends.is_set():
                try:
                    answer = session.post(f"{gateway.address}/graphql/", data=QUERY, headers=JSON, timeout=20)
                    answers.append(answer.status_code)
                    ready = session.get(f"{gateway.address}/readyz", timeout=20)
                    answers.append(ready.status_code)
                except requests.RequestException as error:
                    failures.append(error)

    clients = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(4)]
    for client in clients:
        client.start()
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: len(gateway.workers() - before) == 2, seconds=60)
    time.sleep(1)
    ends.set()
    for client in clients:
        client.join()
    assert (failures, set(answers)) == ([], {200})
    # those with a request in progress wait for it
    assert gateway.workers() & before
    assert [one.finish()[:12] for one in slow] == ["HTTP/1.1 200"] * 4
    wait_until(lambda: not gateway.workers() & before)
    assert len(gateway.workers()) == 2


JSON = {"Content-Type": "application/json"}


def test_a_worker_that_dies_is_replaced(serve: Callable[..., LocalGateway]) -> None:
    gateway = serve()
    killed, other = sorted(gateway.workers())
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(gateway.workers() - {killed, other}) == 1)
    assert other in gateway.workers()
    assert '"worker died"' in gateway.log.read_text()


def test_a_worker_that_hangs_is_replaced(archive: LocalOrthanc, tmp_path: Path) -> None:
    # a minute is long for a test
    impatient = "from orthancproxy.project.server import __main__ as command, supervisor; supervisor.HUNG_SECONDS = 5.0"
    port = free_port()
    log = tmp_path / "gateway.log"
    parent = ChildProcess(
        [sys.executable, "-c", f"{impatient}; command.main()", "--port", str(port), "--migrate"],
        log=log,
        environment={
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "DJANGO_DATA_DIR": str(tmp_path),
            "ORTHANC_BASE_URL": archive.base_url,
            "WEB_CONCURRENCY": "2",
        },
    )
    gateway = LocalGateway(port, parent.pid, log)
    try:
        wait_until(lambda: log.exists() and log.read_text().count("Started server process") == 2)
        stopped, other = sorted(gateway.workers())
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: len(gateway.workers() - {stopped, other}) == 1)
        assert other in gateway.workers()
        assert '"worker hangs"' in log.read_text()
    finally:
        parent.stop()


def test_workers_end_with_a_parent_that_was_killed(serve: Callable[..., LocalGateway]) -> None:
    gateway = serve()
    workers = gateway.workers()
    os.kill(gateway.pid, signal.SIGKILL)
    wait_until(lambda: all(has_ended(pid) for pid in workers))


def test_sighup_does_not_end_the_only_worker(serve: Callable[..., LocalGateway]) -> None:
    gateway = serve(1)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(lambda: "WEB_CONCURRENCY is 2 or more" in gateway.log.read_text())
    assert status(f"{gateway.address}/readyz") == 200


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_rejected_in_a_sentence(port: str) -> None:
    command = [sys.executable, "-m", "orthancproxy.project.server", f"--port={port}"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1].partition("error: ")[2]) == (
        2,
        "argument --port: it must be a number from 0 to 65,535",
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_an_invalid_configuration_ends_the_gateway_with_a_line_for_each_problem(workers: int, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "orthancproxy.project.server", "--port", str(free_port()), "--migrate"],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "DJANGO_DATA_DIR": str(tmp_path),
            "ORTHANC_BASE_URL": "nonsense",
            "ORTHANC_READ_TIMEOUT": "-1",
            "WEB_CONCURRENCY": str(workers),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 3
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    problems = [line["event"] for line in lines if line["level"] == "error"]
    for name in ("ORTHANC_BASE_URL", "ORTHANC_READ_TIMEOUT"):
        assert any(name in problem for problem in problems)


def test_a_gateway_starts_while_its_database_and_orthanc_are_down(tmp_path: Path) -> None:
    port, orthanc_port = free_port(), free_port()
    log = tmp_path / "gateway.log"
    database_port = free_port()
    gateway = ChildProcess(
        [sys.executable, "-m", "orthancproxy.project.server", "--port", str(port), "--migrate"],
        log=log,
        environment={
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "DJANGO_DATA_DIR": str(tmp_path),
            "DATABASE_URL": f"postgres://gateway@127.0.0.1:{database_port}/postgres",
            "ORTHANC_BASE_URL": f"http://127.0.0.1:{orthanc_port}",
            "ORTHANC_ANONYMOUS_ACTIONS": "view",
            "ORTHANC_OIDC_ISSUER": f"http://127.0.0.1:{free_port()}",
            "ORTHANC_OIDC_AUDIENCE": "gateway",
            "WEB_CONCURRENCY": "2",
        },
    )
    address = f"http://127.0.0.1:{port}"
    try:

        def is_alive() -> bool:
            try:
                return status(f"{address}/livez") == 200
            except requests.ConnectionError:
                return False

        wait_until(is_alive, seconds=60)
        parts = requests.get(f"{address}/readyz", timeout=5).json()["parts"]
        # the pool tries to connect for longer than a probe waits
        assert (parts["database"], parts["archive"]) == ("timeout", "unavailable")
        answer = requests.post(f"{address}/graphql/", json={"query": "{ __typename }"}, timeout=30)
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert '"GATEWAY_UNAVAILABLE"' in answer.text
        with run_postgresql(database_port):

            def is_migrated() -> bool:
                answer = requests.get(f"{address}/readyz", timeout=5)
                return bool(answer.json()["parts"].get("migrations") == "ok")

            def is_answered() -> bool:
                answer = requests.post(f"{address}/graphql/", json={"query": "{ __typename }"}, timeout=30)
                assert answer.status_code in {200, 503}
                return bool(answer.json() == {"data": {"__typename": "Query"}})

            wait_until(is_migrated, seconds=90)
            # another worker may answer, whose pool waits before it tries again
            wait_until(is_answered, seconds=90)
            gateway.stop()
    finally:
        gateway.kill()
    text = log.read_text()
    assert "Traceback" not in text
    events = [json.loads(line)["event"] for line in text.splitlines()]
    # with the reason, whatever was tried how often
    assert len([event for event in events if re.search("cannot be migrated", event)]) == 1
    assert len([event for event in events if "step in the background" in event]) <= 4


def test_requests_wait_for_no_migration(archive: LocalOrthanc, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "DJANGO_DATA_DIR": str(tmp_path),
        "ORTHANC_BASE_URL": archive.base_url,
        "ORTHANC_ANONYMOUS_ACTIONS": "view",
        "WEB_CONCURRENCY": "1",
    }
    command = [sys.executable, "-m", "orthancproxy.project.server", "--port", str(port)]
    gateway = ChildProcess(command, log=tmp_path / "gateway.log", environment=environment)
    gateway_address = f"http://127.0.0.1:{port}"

    def ask() -> tuple[int, str]:
        try:
            answer = requests.get(f"{gateway_address}/api/orthanc/patients/", timeout=5)
        except requests.ConnectionError:
            return 0, ""
        return answer.status_code, answer.json()["detail"] if answer.status_code == 503 else ""

    try:
        wait_until(lambda: ask()[0] != 0, seconds=60)
        assert ask() == (503, "The gateway's database is being migrated: try again later.")
        migration = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migration, cwd=CHECKOUT, env=environment, check=True)
        assert ask()[0] == 200
    finally:
        gateway.stop()
