"""The log of a gateway as it is deployed: each line is JSON; that of a request has who did what, and what it cost."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc
from tests.project.monitoring.conftest import ask, query
from tests.uploads.upload_client import CONTENT_TYPE, REST, REST_PATH, File
from tests.waiting import wait_until, wait_until_read

pytestmark = [pytest.mark.live, pytest.mark.once]

CHECKOUT = Path(__file__).resolve().parents[2]


def lines_of(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gateway.log.read_text().splitlines()]


def requests_of(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [line for line in lines_of(gateway) if line["event"] == "request"]


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, [instance(number=number) for number in (1, 2, 3)])
    return orthanc


def test_every_line_is_json_from_the_start_to_the_end_of_two_workers(orthanc: LocalOrthanc, tmp_path: Path) -> None:
    with serving(orthanc.base_url, tmp_path, workers=2) as gateway:
        assert "errors" not in query(gateway.port, "{ studies { totalCount } }")
        wait_until(lambda: gateway.log.read_text().count("Started server process") == 2)
    events = [line["event"] for line in lines_of(gateway)]
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines_of(gateway))
    # of the first process, before the workers and after them
    assert (events[1], events[-1]) == ("gateway starts", "gateway ends")
    assert events.count("request") == 1


def test_console_format_counts_from_the_first_line_on(orthanc: LocalOrthanc, tmp_path: Path) -> None:
    with serving(orthanc.base_url, tmp_path, workers=2, settings={"ORTHANC_LOG_FORMAT": "console"}) as gateway:
        pass
    lines = gateway.log.read_text().splitlines()
    assert "gateway starts" in lines[1]
    assert not any(line.startswith("{") for line in lines)


@pytest.fixture(scope="module")
def gateway(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(orthanc.base_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


def test_a_line_names_the_operations_the_errors_and_the_sizes(gateway: LocalGateway) -> None:
    body = json.dumps(
        {"query": "query Kim { studies { totalCount } again: studies { totalCount } server { version } }"}
    )
    status, answer = ask(gateway.port, "/graphql/", body.encode(), Content_Type="application/json", X_Request_ID="one")
    assert status == 200
    ask(gateway.port, "/api/orthanc/studies?name=Kim", X_Request_ID="two")
    ask(
        gateway.port,
        "/graphql/",
        b"{}",
        Content_Type="application/json",
        Authorization="Bearer no",
        X_Request_ID="three",
    )
    query(gateway.port, "{ nothing }", X_Request_ID="four")
    one, two, three, four = (
        next(line for line in requests_of(gateway) if line["request_id"] == name)
        for name in ("one", "two", "three", "four")
    )
    assert one["operations"] == ["studies", "server"]
    assert one["errors"] == []
    assert (one["request_bytes"], one["response_bytes"]) == (len(body), len(answer))
    assert (one["user"], one["address"]) == ("", "127.0.0.1")
    assert (two["operations"], two["errors"], two["request_bytes"]) == ([], ["BAD_USER_INPUT"], 0)
    assert (three["operations"], three["errors"]) == ([], ["UNAUTHENTICATED"])
    assert (four["status"], four["errors"]) == (200, ["BAD_USER_INPUT"])
    assert "Kim" not in gateway.log.read_text()


def test_an_operation_that_fails_is_named_with_its_error(gateway: LocalGateway) -> None:
    missing = "11111111-11111111-11111111-11111111-11111111"
    ask(gateway.port, f"/api/orthanc/instances/{missing}/file", X_Request_ID="missing")
    [line] = [line for line in requests_of(gateway) if line["request_id"] == "missing"]
    assert line["operations"] == ["GET /api/orthanc/instances/{orthanc_id}/file"]
    assert line["errors"] == ["NOT_FOUND"]


def test_a_download_counts_its_bytes(gateway: LocalGateway) -> None:
    found = query(gateway.port, "{ studies { nodes { series { instances { orthancId fileSize } } } } }")
    one = found["data"]["studies"]["nodes"][0]["series"][0]["instances"][0]
    assert ask(gateway.port, f"/api/orthanc/instances/{one['orthancId']}/file", X_Request_ID="file")[0] == 200
    wait_until(lambda: [line for line in requests_of(gateway) if line["request_id"] == "file"])
    [line] = [line for line in requests_of(gateway) if line["request_id"] == "file"]
    assert line["response_bytes"] == one["fileSize"]


def test_the_duration_of_an_upload_begins_with_its_first_byte(gateway: LocalGateway) -> None:
    body = REST.body(REST(), [File(instance(patient=8))], patientId="P008", uploadKey="slow")
    head = (
        f"POST {REST_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"X-Request-ID: slow\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=30)) as connection:
        started = time.perf_counter()
        connection.sendall(head[:20])
        wait_until_read(connection)
        begun = time.perf_counter()
        for piece in (head[20:] + body[: len(body) // 2], body[len(body) // 2 :]):
            time.sleep(1)
            connection.sendall(piece)
        sent = time.perf_counter() - begun
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        took = time.perf_counter() - started
    assert answer.startswith(b"HTTP/1.1 200")
    [line] = [line for line in requests_of(gateway) if line["request_id"] == "slow"]
    # the gateway looks at its clock a moment after it has read
    assert sent * 1000 - 100 <= line["duration_ms"] <= took * 1000
    assert line["request_bytes"] == len(body)
    assert line["operations"] == [f"POST {REST_PATH}"]


def test_an_upload_whose_client_leaves_is_logged_without_its_content(gateway: LocalGateway) -> None:
    body = REST.body(REST(), [File(instance(patient=9))], patientId="P009", uploadKey="gone")
    head = (
        f"POST {REST_PATH}?name=Kim HTTP/1.1\r\nHost: localhost\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    before = len(requests_of(gateway))
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=30)) as connection:
        connection.sendall(head + body[:100])
        wait_until_read(connection)
        time.sleep(0.5)
    wait_until(lambda: len(requests_of(gateway)) > before)
    line = requests_of(gateway)[-1]
    assert (line["status"], line["path"], line["request_bytes"]) == (499, REST_PATH, 100)
    assert line["duration_ms"] > 400
    assert "Kim" not in json.dumps(line)


def test_a_line_names_the_user_and_the_address_of_a_trusted_proxy(orthanc: LocalOrthanc, tmp_path: Path) -> None:
    settings = {"ORTHANC_TRUST_FORWARDED": "true", "ORTHANC_ANONYMOUS_ACTIONS": "", "DJANGO_SECURE_COOKIES": "false"}
    with serving(orthanc.base_url, tmp_path, settings=settings) as gateway:
        environment = {**os.environ, "DJANGO_DATA_DIR": str(tmp_path / "data"), "PASSWORD": "kW9-plum-tram"}
        make = (
            "import os, django; django.setup(); from django.contrib.auth.models import User; "
            "User.objects.create_superuser('kim', password=os.environ['PASSWORD'])"
        )
        environment["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
        subprocess.run([sys.executable, "-c", make], env=environment, cwd=CHECKOUT, check=True)
        create = [sys.executable, "manage.py", "create_api_token", "kim"]
        made = subprocess.run(create, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        token = made.stdout.strip().splitlines()[-1].split()[-1]
        headers = {"Authorization": f"Bearer {token}", "X_Forwarded_For": "10.9.8.7, 192.0.2.7", "X_Request_ID": "kims"}
        assert "errors" not in query(gateway.port, "{ studies { totalCount } }", **headers)
        [line] = [line for line in requests_of(gateway) if line["request_id"] == "kims"]
        assert (line["user"], line["address"]) == ("kim", "192.0.2.7")
        assert token not in gateway.log.read_text()


def test_what_python_prints_itself_is_logged() -> None:
    script = """
import threading, warnings
import logging.config
from orthancproxy.logs import capture_prints, logging_config
logging.config.dictConfig(logging_config("json"))
capture_prints()
warnings.warn("old")
def end(): raise RuntimeError("in a thread")
thread = threading.Thread(target=end, name="a-thread"); thread.start(); thread.join()
def leave(): raise SystemExit
thread = threading.Thread(target=leave); thread.start(); thread.join()
raise RuntimeError("at the end")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    warning, thread, end = map(json.loads, done.stderr.splitlines())
    assert done.returncode == 1
    assert "UserWarning: old" in warning["event"]
    assert (thread["event"], thread["ended"]) == ("a thread ends", "a-thread")
    assert "RuntimeError: in a thread" in thread["exception"]
    assert "RuntimeError: at the end" in end["exception"]
