"""The log: which request a line belongs to, what a request cost, and no patient data."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from pytest_django import Settings
from structlog.contextvars import get_contextvars
from structlog.stdlib import ProcessorFormatter

from orthancproxy.logs import logging_config
from orthancproxy.orthanc.calls import Call, CallLog, current_calls, log_call, recording
from orthancproxy.project.urls import handler400, handler403, handler404, handler500  # noqa: F401  resolved by name
from orthancproxy.sandbox.orthanc import free_port
from tests.waiting import wait_until, wait_until_async

CALL = Call("GET", "/studies/{id}", 200, 0.25, 1000)
has_begun_to_wait = threading.Event()
CHECKOUT = Path(__file__).resolve().parents[2]


def work(request: HttpRequest) -> HttpResponse:
    logging.getLogger("orthancproxy.orthanc").info("orthanc call", extra={"orthanc_path": "/studies/{id}"})
    logging.getLogger("django.db.backends").info("query", extra={"sql": "SELECT 'Hong'", "params": ("Hong",)})
    logging.getLogger("uvicorn.error").info("server")
    log_call(CALL)
    log_call(CALL)
    return HttpResponse("done")


async def work_in_a_thread(request: HttpRequest) -> HttpResponse:
    await sync_to_async(work)(request)
    await asyncio.to_thread(log_call, CALL)
    return HttpResponse("done")


async def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken by a bug")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await sync_to_async(log_call)(CALL)
        if "fail" in request.GET:
            raise RuntimeError("broken in the middle")
        if "wait" in request.GET:
            await wait(request)
        yield b"two"

    return StreamingHttpResponse(chunks())


async def wait(request: HttpRequest) -> HttpResponse:
    has_begun_to_wait.set()
    await asyncio.sleep(60)
    return HttpResponse("late")


urlpatterns = [
    path("work", work),
    path("thread", work_in_a_thread),
    path("broken", broken),
    path("stream", stream),
    path("wait", wait),
    path("livez", lambda _: HttpResponse(status=200)),
    path("readyz", lambda _: HttpResponse(status=503)),
]


@pytest.fixture(autouse=True)
def _urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["testserver"]


class Lines:
    """What was logged meanwhile, parsed."""

    def __init__(self, output: io.StringIO) -> None:
        self._output = output

    @property
    def text(self) -> str:
        return self._output.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.all if line["event"] == "request"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    arguments = dict(logging_config("json")["formatters"]["structured"])
    arguments.pop("()")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(ProcessorFormatter(**arguments))
    logging.getLogger().addHandler(handler)
    yield Lines(handler.stream)
    logging.getLogger().removeHandler(handler)


@pytest.fixture(params=["sync", "async"])
def browse(request: pytest.FixtureRequest) -> Any:
    if request.param == "sync":
        return Client(raise_request_exception=False).get
    return async_to_sync(AsyncClient(raise_request_exception=False).get)


@pytest.mark.parametrize("sane", ["abc", "A.b_c-9", "x" * 64])
def test_the_callers_request_id_is_kept(browse: Any, sane: str, lines: Lines) -> None:
    assert browse("/work", headers={"x-request-id": sane})["X-Request-ID"] == sane
    assert {line["request_id"] for line in lines.all} == {sane}


@pytest.mark.parametrize("insane", ["", "x" * 65, "a b", 'a"b', "é", "a\tb", "a;b"])
def test_another_request_id_is_replaced(browse: Any, insane: str) -> None:
    given = browse("/work", headers={"x-request-id": insane})["X-Request-ID"]
    assert given != insane
    assert len(given) == 32


def test_each_request_has_its_own_id(browse: Any) -> None:
    assert browse("/work")["X-Request-ID"] != browse("/work")["X-Request-ID"]


@pytest.mark.parametrize("route", ["/work", "/thread"])
def test_every_line_of_a_request_has_its_id(browse: Any, route: str, lines: Lines) -> None:
    browse(route, headers={"x-request-id": "abc"})
    assert [line["logger"] for line in lines.all] == [
        "orthancproxy.orthanc",
        "django.db.backends",
        "uvicorn.error",
        "orthancproxy.http.request_log",
    ]
    assert {line["request_id"] for line in lines.all} == {"abc"}
    assert lines.all[0]["orthanc_path"] == "/studies/{id}"


def test_request_is_one_line_with_its_cost(browse: Any, lines: Lines) -> None:
    browse("/thread")
    [line] = lines.requests
    assert (line["method"], line["path"], line["status"]) == ("GET", "/thread", 200)
    assert (line["orthanc_calls"], line["orthanc_ms"]) == (3, 750.0)
    assert line["duration_ms"] >= 0
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("route", ["/work", "/broken", "/none"])
def test_no_line_has_a_query_parameter_or_a_query_of_the_database(browse: Any, route: str, lines: Lines) -> None:
    browse(f"{route}?name=Hong", headers={"cookie": "name=Hong"})
    assert len(lines.requests) == 1
    assert "Hong" not in lines.text


def test_client_error_has_only_the_request_log_line(browse: Any, lines: Lines) -> None:
    assert browse("/none").status_code == 404
    [line] = lines.all
    assert (line["event"], line["status"]) == ("request", 404)


def test_unexpected_error_is_logged_with_traceback_and_request_id(browse: Any, lines: Lines) -> None:
    answer = browse("/broken", headers={"x-request-id": "abc", "accept": "text/html"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "INTERNAL"
    assert answer.json()["requestId"] == "abc"
    assert "bug" not in answer.text
    failure, line = lines.all
    assert "RuntimeError: broken by a bug" in failure["exception"]
    assert failure["level"] == "error"
    assert (failure["request_id"], line["request_id"], line["status"]) == ("abc", "abc", 500)


def test_context_of_a_request_ends_with_it(browse: Any) -> None:
    browse("/work")
    assert "request_id" not in get_contextvars()
    assert current_calls.get() is None


def ask(route: str) -> Any:
    address, _, query = route.partition("?")
    return ApplicationCommunicator(  # type: ignore[no-untyped-call]
        ASGIHandler(),
        {
            "type": "http",
            "method": "GET",
            "path": address,
            "query_string": query.encode(),
            "headers": [(b"host", b"testserver"), (b"x-request-id", b"abc")],
        },
    )


def test_a_stream_ends_with_its_last_byte(lines: Lines) -> None:
    async def read() -> None:
        server = ask("/stream?name=Hong")
        await server.send_input({"type": "http.request"})
        await server.receive_output()
        assert (await server.receive_output())["body"] == b"one"
        assert lines.requests == []
        while (await server.receive_output()).get("more_body"):
            pass
        await server.wait()

    asyncio.run(read())
    [line] = lines.requests
    assert (line["status"], line["orthanc_calls"], line["request_id"]) == (200, 1, "abc")
    assert "Hong" not in lines.text


def test_a_stream_that_fails_and_is_closed_then_is_logged_once(lines: Lines) -> None:
    async def read() -> None:
        response: Any = await AsyncClient().get("/stream?fail")
        with pytest.raises(RuntimeError, match="in the middle"):
            async for _ in response:
                pass
        response.close()

    asyncio.run(read())
    assert [line["status"] for line in lines.requests] == [500]


def test_a_stream_that_fails_is_logged_with_traceback_and_request_id(lines: Lines) -> None:
    async def read() -> None:
        server = ask("/stream?fail")
        await server.send_input({"type": "http.request"})
        while True:
            await server.receive_output()

    with pytest.raises(RuntimeError, match="in the middle"):
        asyncio.run(read())
    failure, line = lines.all
    assert "broken in the middle" in failure["exception"]
    assert (failure["request_id"], line["event"], line["status"]) == ("abc", "request", 500)


@pytest.mark.parametrize(("route", "status"), [("/wait", 499), ("/stream?wait", 200)])
def test_disconnected_client_is_logged(route: str, status: int, lines: Lines) -> None:
    async def leave() -> None:
        server = ask(route)
        has_begun_to_wait.clear()
        await server.send_input({"type": "http.request"})
        await wait_until_async(has_begun_to_wait.is_set)
        await server.send_input({"type": "http.disconnect"})
        await server.wait()

    asyncio.run(leave())
    [line] = lines.requests
    assert (line["status"], line["request_id"]) == (status, "abc")


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("character", ["\n", "\x1b", "\x85", "\u200e", "\u202a", "\u202e", "\u2066", "\u2069"])
def test_a_value_cannot_forge_or_reverse_a_log_line(log_format: str, character: str) -> None:
    arguments = dict(logging_config(log_format)["formatters"]["structured"])
    arguments.pop("()")
    record = logging.LogRecord("test", logging.INFO, "", 0, "event", (), None)
    record.path = f"/a{character}b"
    line = ProcessorFormatter(**arguments).format(record)
    assert character not in line
    assert f"/a\\u{ord(character):04x}b" in line or "/a\\nb" in line


def test_a_probe_is_logged_only_if_it_fails(browse: Any, lines: Lines) -> None:
    browse("/livez")
    browse("/readyz")
    assert [(line["path"], line["status"]) for line in lines.requests] == [("/readyz", 503)]


def test_call_log_keeps_calls_only_for_recorders(browse: Any) -> None:
    with recording() as log:
        browse("/thread")
    assert (log.count, log.calls) == (3, [CALL, CALL, CALL])
    assert log.seconds == pytest.approx(0.75)


def test_call_outside_a_request_is_not_counted() -> None:
    log_call(CALL)
    assert current_calls.get() is None


def test_calls_of_many_threads_are_all_counted() -> None:
    async def work() -> CallLog:
        with recording() as log:
            await asyncio.gather(*(asyncio.to_thread(record_many) for _ in range(20)))
        return log

    def record_many() -> None:
        for _ in range(200):
            log_call(CALL)

    assert asyncio.run(work()).count == 4000


def test_console_format_is_not_json() -> None:
    arguments = dict(logging_config("console")["formatters"]["structured"])
    arguments.pop("()")
    formatted = ProcessorFormatter(**arguments).format(
        logging.makeLogRecord({"msg": "request", "name": "x", "levelname": "INFO", "levelno": 20, "path": "/a\nb"})
    )
    assert not formatted.startswith("{")
    assert "request" in formatted
    assert "\n" not in formatted


def test_console_format_shows_no_local_variables() -> None:
    def fail(name: str) -> None:
        raise RuntimeError("broken by a bug")

    arguments = dict(logging_config("console")["formatters"]["structured"])
    arguments.pop("()")
    try:
        fail("SECRET" + "NAME")
    except RuntimeError:
        failure = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, failure)
    formatted = ProcessorFormatter(**arguments).format(record)
    assert "RuntimeError: broken by a bug" in formatted
    assert "SECRETNAME" not in formatted


@pytest.mark.parametrize("workers", [1, 2])
def test_server_logs_only_json_and_one_line_for_a_request(tmp_path: Path, workers: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "orthancproxy.project.server", "--port", str(port), "--migrate"]
    environment = {"DJANGO_DATA_DIR": str(tmp_path), "ORTHANC_LOG_FORMAT": "json", "WEB_CONCURRENCY": str(workers)}
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/livez")
            answer = _wait_for(f"http://127.0.0.1:{port}/graphql/?query=%7B__typename%7D&name=Hong")
        finally:
            server.terminate()
            output, errors = server.communicate(timeout=30)
    found = [json.loads(line) for line in errors.splitlines()]
    assert output == ""
    # 503 until the database is migrated
    answered = [line for line in found if line["event"] == "request" and line["status"] != 503]
    assert [line["path"] for line in answered] == ["/graphql/"]
    assert answer.headers["X-Request-ID"] in {line.get("request_id") for line in found}
    assert "Hong" not in errors


def _wait_for(url: str) -> Any:
    answers: list[Any] = []

    def is_answered() -> bool:
        with suppress(OSError), urllib.request.urlopen(url) as answer:  # noqa: S310  an address of ours
            answers.append(answer)
        return bool(answers)

    wait_until(is_answered)
    return answers[0]
