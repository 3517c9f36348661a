"""A client has few requests in progress at once; the others wait, without a thread."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_django import Settings

from orthancproxy.project.edge.rejections import REJECTION
from orthancproxy.project.edge.request_shares import share_threads
from tests.hostile_ids import SOME_ID

Headers = Mapping[str, str]


class Gateway:
    """The application behind the shares: it reads each body, and responds when it is told to."""

    def __init__(self, max_wait_seconds: float = 5) -> None:
        self.in_progress: list[str] = []
        self.rejected: list[str] = []
        self.may_respond = asyncio.Event()
        self.may_end = asyncio.Event()
        self.disconnects = asyncio.Event()
        self.may_end.set()
        self._shared = share_threads(self._application, max_requests=2, max_wait_seconds=max_wait_seconds)

    async def _application(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        message = await receive()
        while message.get("more_body"):
            message = await receive()
        if message["type"] == "http.disconnect":
            return
        if reason := scope.get(REJECTION):
            self.rejected.append(reason.code)
            return
        self.in_progress.append(scope["path"])
        await self.may_respond.wait()
        await send({"type": "http.response.start"})
        self.in_progress.remove(scope["path"])
        await self.may_end.wait()
        await send({"type": "http.response.body"})

    async def request(
        self, address: str, path: str = "/", headers: Headers | None = None, *, is_complete: bool = True
    ) -> "asyncio.Task[None]":
        """Begin a request."""
        given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {"type": "http", "method": "GET", "path": path, "headers": given, "client": (address, 1)}
        pieces = [{"type": "http.request", "body": b"x", "more_body": not is_complete}]

        async def receive() -> Mapping[str, Any]:
            if pieces:
                return pieces.pop()
            await self.disconnects.wait()
            return {"type": "http.disconnect"}

        async def send(_: Mapping[str, Any]) -> None:
            pass

        task: asyncio.Task[None] = asyncio.ensure_future(self._shared(scope, receive, send))
        await asyncio.sleep(0.01)
        return task


def test_further_requests_of_a_client_wait_and_those_of_others_do_not() -> None:
    async def run() -> None:
        gateway = Gateway()
        requests = [await gateway.request("a", f"/a{number}") for number in range(3)]
        requests.append(await gateway.request("b", "/b"))
        assert gateway.in_progress == ["/a0", "/a1", "/b"]
        gateway.may_respond.set()
        await asyncio.wait_for(asyncio.gather(*requests), 5)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"authorization": "Bearer 1"}, {"authorization": "Bearer 2"}),
        ({"cookie": "x=1; sessionid=1"}, {"cookie": "x=1; sessionid=2"}),
        ({"cookie": "sessionid=1"}, {}),
        ({"x-forwarded-for": "10.0.0.1"}, {"x-forwarded-for": "10.0.0.1, 10.0.0.2"}),
    ],
)
def test_clients_of_one_address_are_told_apart(one: Headers, other: Headers, settings: Settings) -> None:
    settings.ORTHANC_TRUST_FORWARDED = True

    async def run() -> None:
        gateway = Gateway()
        requests = [await gateway.request("a", "/1", one) for _ in range(3)]
        requests += [await gateway.request("a", "/2", other) for _ in range(3)]
        assert gateway.in_progress == ["/1", "/1", "/2", "/2"]
        gateway.may_respond.set()
        await asyncio.gather(*requests)

    asyncio.run(run())


@pytest.mark.parametrize("headers", [{"cookie": "csrftoken={}"}, {"x-forwarded-for": "10.0.0.{}"}])
def test_other_headers_make_no_new_client(headers: Headers) -> None:
    async def run() -> None:
        gateway = Gateway()
        for number in range(3):
            own = {name: value.format(number) for name, value in headers.items()}
            await gateway.request("a", "/", own)
        assert gateway.in_progress == ["/", "/"]

    asyncio.run(run())


def test_unfinished_bodies_and_responses_that_are_sent_do_not_count() -> None:
    async def run() -> None:
        gateway = Gateway()
        gateway.may_end.clear()
        for _ in range(3):
            await gateway.request("a", is_complete=False)
        gateway.may_respond.set()
        for _ in range(3):
            await gateway.request("a", "/download")
        gateway.may_respond.clear()
        await gateway.request("a", "/query")
        assert gateway.in_progress == ["/query"]

    asyncio.run(run())


FORM = {"content-type": "multipart/form-data; boundary=b"}
FILE = f"/api/orthanc/instances/{SOME_ID}/file/"


def test_probes_uploads_and_downloads_count_separately() -> None:
    async def run() -> None:
        gateway = Gateway()
        for _ in range(3):
            await gateway.request("a", "/readyz")
            await gateway.request("a", "/graphql/", FORM)
            await gateway.request("a", FILE)
            await gateway.request("a", "/graphql/")
        assert Counter(gateway.in_progress) == {"/readyz": 2, "/graphql/": 4, FILE: 2}

    asyncio.run(run())


def test_who_waits_too_long_is_rejected() -> None:
    async def run() -> None:
        gateway = Gateway(max_wait_seconds=0.05)
        requests = [await gateway.request("a") for _ in range(3)]
        await asyncio.wait_for(requests[2], 5)
        assert gateway.rejected == ["GATEWAY_UNAVAILABLE"]
        gateway.may_respond.set()
        await asyncio.gather(*requests)
        await asyncio.wait_for(await gateway.request("a"), 5)
        assert gateway.rejected == ["GATEWAY_UNAVAILABLE"]

    asyncio.run(run())


def test_requests_that_are_cancelled_return_their_share() -> None:
    async def run() -> None:
        gateway = Gateway()
        for request in [await gateway.request("a") for _ in range(4)]:
            request.cancel()
        await asyncio.sleep(0.01)
        gateway.in_progress.clear()
        await gateway.request("a")
        await gateway.request("a")
        assert gateway.in_progress == ["/", "/"]

    asyncio.run(run())


def test_requests_that_wait_are_dropped_when_their_client_disconnects() -> None:
    async def run() -> None:
        gateway = Gateway()
        requests = [await gateway.request("a", f"/{number}") for number in range(4)]
        gateway.disconnects.set()
        await asyncio.wait_for(asyncio.gather(*requests[2:]), 5)
        gateway.may_respond.set()
        await asyncio.gather(*requests)
        assert gateway.in_progress == gateway.rejected == []
        gateway.may_respond.clear()
        for path in ("/5", "/6"):
            await gateway.request("a", path)
        assert gateway.in_progress == ["/5", "/6"]

    asyncio.run(run())
