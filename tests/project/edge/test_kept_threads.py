"""Requests use the threads of those before them, and leave no connections to the database behind."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from asgiref.sync import sync_to_async

from orthancproxy.project.edge.kept_threads import KeptThreads
from orthancproxy.sandbox.gateway import LocalGateway, serving
from tests.postgresql import run_postgresql
from tests.waiting import wait_until, wait_until_async

AT_ONCE = 5


class Application:
    """Answers nothing, and keeps in which threads it worked; where it must, it waits in them."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await sync_to_async(self._work)()

    def _work(self) -> None:
        self.threads.append(threading.current_thread())
        assert self.may_go_on.wait(10)


async def nothing(*_: Any) -> Any:
    return None


async def ask(application: KeptThreads) -> None:
    await application({"type": "http"}, nothing, nothing)


async def ask_at_once(application: KeptThreads, worker: Application) -> None:
    before = len(worker.threads)
    worker.may_go_on.clear()
    asking = [asyncio.ensure_future(ask(application)) for _ in range(AT_ONCE)]
    await wait_until_async(lambda: len(worker.threads) == before + AT_ONCE)
    worker.may_go_on.set()
    await asyncio.gather(*asking)


async def settle(application: KeptThreads, idle: int) -> None:
    """Wait until as many threads have been put back."""
    await wait_until_async(lambda: len(application._idle) == idle)


def test_sequential_requests_share_a_thread() -> None:
    async def run() -> None:
        for _ in range(AT_ONCE):
            await ask(application)
            await settle(application, 1)

    application = KeptThreads(worker := Application())
    asyncio.run(run())
    assert len(set(worker.threads)) == 1


def test_concurrent_requests_have_their_own_threads_which_are_reused() -> None:
    async def run() -> None:
        await ask_at_once(application, worker)
        await settle(application, AT_ONCE)
        await ask_at_once(application, worker)

    application = KeptThreads(worker := Application())
    asyncio.run(run())
    assert len(set(worker.threads[:AT_ONCE])) == AT_ONCE
    assert set(worker.threads[AT_ONCE:]) == set(worker.threads[:AT_ONCE])


def test_thread_of_a_disconnected_client_is_not_reused_while_it_works() -> None:
    class Abandoned(Application):
        """Ends, as Django does when the client goes away, before its thread does."""

        async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
            working = asyncio.ensure_future(super().__call__(scope, receive, send))
            await wait_until_async(lambda: self.threads)
            if len(self.threads) > 1 or self.may_go_on.is_set():
                await working

    async def run() -> None:
        worker.may_go_on.clear()
        await ask(application)
        [busy] = worker.threads
        worker.may_go_on = threading.Event()
        worker.may_go_on.set()
        await asyncio.wait_for(ask(application), 5)
        assert worker.threads[1] is not busy
        waiting.set()

    application = KeptThreads(worker := Abandoned())
    waiting = worker.may_go_on
    asyncio.run(run())


def test_an_event_stream_holds_no_thread_while_it_is_open() -> None:
    class Streaming(Application):
        """Works, begins a stream, and works again when it ends."""

        async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
            await sync_to_async(self._work)()
            headers = [(b"Content-Type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            begun.set()
            await end.wait()
            await sync_to_async(self._work)()

    async def run() -> None:
        streaming = asyncio.ensure_future(ask(application))
        await asyncio.wait_for(begun.wait(), 5)
        await settle(application, 1)
        end.set()
        await streaming

    application, begun, end = KeptThreads(worker := Streaming()), asyncio.Event(), asyncio.Event()
    asyncio.run(run())
    first, last = worker.threads
    assert last is not first
    assert last.name.startswith("stream")
    assert len(application._idle) == 1


def test_excess_threads_end_after_a_peak() -> None:
    application = KeptThreads(worker := Application(), max_idle=2)
    asyncio.run(ask_at_once(application, worker))
    wait_until(lambda: sum(thread.is_alive() for thread in worker.threads) <= 2)
    assert sum(thread.is_alive() for thread in worker.threads) == 2


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    """A gateway that refuses everybody, and writes that down."""
    with ExitStack() as stack:
        settings = {"ORTHANC_ANONYMOUS_ACTIONS": ""}
        if request.param == "PostgreSQL":
            settings["DATABASE_URL"] = stack.enter_context(run_postgresql())
        folder = tmp_path_factory.mktemp("gateway")
        yield stack.enter_context(serving("http://127.0.0.1:1", folder, settings=settings))


def descriptors(gateway: LocalGateway) -> int:
    return len(os.listdir(Path(f"/proc/{gateway.pid}/fd")))  # noqa: PTH208  of a folder that changes meanwhile


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/orthanc/patients/", None, 401),
        ("POST", "/graphql/", {"query": "{ server { version } }"}, 200),
    ],
    ids=["REST", "GraphQL"],
)
def test_many_requests_leave_no_descriptors_behind(
    gateway: LocalGateway, method: str, path: str, body: Any, status: int
) -> None:
    def many() -> None:
        def one(_: int) -> int:
            return requests.request(method, f"{gateway.address}{path}", json=body, timeout=30).status_code

        with ThreadPoolExecutor(AT_ONCE) as clients:
            assert set(clients.map(one, range(8 * AT_ONCE))) == {status}

    many()
    before = descriptors(gateway)
    many()
    many()
    # a thread more may have been needed, whose connection has three
    assert descriptors(gateway) <= before + 6
