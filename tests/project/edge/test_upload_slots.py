"""Uploads are authorized before their body is read, and few long ones are received at once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from django.core.exceptions import RequestAborted
from django.http import HttpRequest
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.errors import NotAuthenticated
from orthancproxy.project.edge.rejections import REJECTION, UNREAD
from orthancproxy.project.edge.upload_slots import limit_uploads
from tests.waiting import wait_until_async

UPLOADER = frozenset({Action.UPLOAD})
FORM = (b"content-type", b"multipart/form-data; boundary=b")


def identify(request: HttpRequest) -> Caller:
    """Take the token for the user's name. A viewer has no upload permission."""
    name = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if name == "unknown":
        raise NotAuthenticated
    return Caller(name, frozenset() if name == "viewer" else UPLOADER)


class Gateway:
    """The application behind the limits: it reads each body whole, as Django does, and notes how it ended."""

    def __init__(self, max_wait_seconds: float = 5, free_bytes: int = 10) -> None:
        self.ends: list[str] = []
        self._limited = limit_uploads(self._application, identify, max_wait_seconds, free_bytes)

    async def _application(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
        reason = scope.get(REJECTION)
        self.ends.append(getattr(reason, "code", "") or ("unread" if UNREAD in scope else f"{size} bytes"))

    def send(self, token: str, *, headers: Sequence[tuple[bytes, bytes]] = (FORM,)) -> "Sending":
        """Begin an upload as this caller; without a name, without credentials."""
        own = [(b"authorization", f"Bearer {token}".encode())] if token else []
        scope = {"type": "http", "method": "POST", "path": "/graphql/", "headers": [*headers, *own]}
        return Sending(self._limited, scope)


class Sending:
    """A request whose body is sent piece by piece."""

    def __init__(self, application: Any, scope: Mapping[str, Any]) -> None:
        self.read = 0
        self._pieces: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.end = asyncio.ensure_future(application(scope, self._receive, None))

    def put(self, piece: bytes, *, is_last: bool = False) -> None:
        """Send a piece."""
        self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": not is_last})

    async def body(self, piece: bytes, *, is_last: bool = False) -> None:
        """Send a piece, and wait until it is read or the request has ended."""
        self.put(piece, is_last=is_last)
        await wait_until_async(lambda: self._pieces.empty() or self.end.done())

    async def _receive(self) -> Mapping[str, Any]:
        piece = await self._pieces.get()
        self.read += len(piece["body"])
        return piece


@pytest.fixture(autouse=True)
def _few_slots(settings: Settings) -> None:
    settings.ORTHANC_MAX_UPLOADS = 2
    settings.ORTHANC_ANONYMOUS_ACTIONS = ()


@pytest.mark.parametrize("token", ["", "viewer", "unknown"])
def test_upload_without_permission_is_not_read(token: str) -> None:
    async def run() -> None:
        gateway = Gateway()
        sending = gateway.send(token)
        await sending.body(b"x" * 100)
        await asyncio.wait_for(sending.end, 5)
        assert sending.read == 0
        assert gateway.ends == ["unread"]

    asyncio.run(run())


def test_anonymous_upload_is_read_if_it_is_allowed(settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ("upload",)

    async def run() -> None:
        gateway = Gateway()
        sending = gateway.send("")
        await sending.body(b"x" * 100, is_last=True)
        await asyncio.wait_for(sending.end, 5)
        assert gateway.ends == ["100 bytes"]

    asyncio.run(run())


def test_request_that_is_not_an_upload_is_read() -> None:
    async def run() -> None:
        gateway = Gateway()
        sending = gateway.send("", headers=[(b"content-type", b"application/json")])
        await sending.body(b"{}", is_last=True)
        await asyncio.wait_for(sending.end, 5)
        assert gateway.ends == ["2 bytes"]

    asyncio.run(run())


def test_one_caller_has_at_most_half_of_the_slots() -> None:
    async def run() -> None:
        gateway = Gateway()
        first, second, other = gateway.send("a"), gateway.send("a"), gateway.send("b")
        for sending in (first, second, other):
            await sending.body(b"x" * 100)
            await sending.body(b"x" * 100, is_last=True)
        await asyncio.wait_for(asyncio.gather(first.end, second.end, other.end), 5)
        assert gateway.ends == ["200 bytes"] * 3
        held, waiting, other = gateway.send("a"), gateway.send("a"), gateway.send("b")
        for sending in (held, waiting, other):
            await sending.body(b"x" * 100)
        for sending in (waiting, other):
            sending.put(b"x", is_last=True)
        await asyncio.wait_for(other.end, 5)
        assert not waiting.end.done()
        assert waiting.read == 100
        await held.body(b"", is_last=True)
        await asyncio.wait_for(waiting.end, 5)
        assert gateway.ends[3:] == ["101 bytes", "100 bytes", "101 bytes"]

    asyncio.run(run())


def test_an_upload_takes_a_slot_as_soon_as_it_is_longer_than_what_is_free() -> None:
    async def run() -> None:
        gateway = Gateway()
        held, waiting = gateway.send("a"), gateway.send("a")
        for sending in (held, waiting):
            await sending.body(b"x" * 10)
            await sending.body(b"x")
        waiting.put(b"x", is_last=True)
        await held.body(b"", is_last=True)
        await asyncio.wait_for(held.end, 5)
        await asyncio.wait_for(waiting.end, 5)
        assert gateway.ends == ["11 bytes", "12 bytes"]

    asyncio.run(run())


def test_idle_and_short_uploads_take_no_slot() -> None:
    async def run() -> None:
        gateway = Gateway(max_wait_seconds=0.05)
        idle = [gateway.send("a") for _ in range(20)]
        for sending in idle:
            await sending.body(b"x" * 10)
        long = gateway.send("a")
        await long.body(b"x" * 100, is_last=True)
        await asyncio.wait_for(long.end, 5)
        assert gateway.ends == ["100 bytes"]
        for sending in idle:
            await sending.body(b"", is_last=True)

    asyncio.run(run())


def test_upload_without_a_slot_in_time_is_rejected() -> None:
    async def run() -> None:
        gateway = Gateway(max_wait_seconds=0.02)
        held, late = gateway.send("a"), gateway.send("a")
        for sending in (held, late):
            await sending.body(b"x" * 100)
        await asyncio.wait_for(late.end, 5)
        assert gateway.ends == ["GATEWAY_UNAVAILABLE"]
        await held.body(b"", is_last=True)
        await asyncio.wait_for(held.end, 5)
        assert gateway.ends[1:] == ["100 bytes"]

    asyncio.run(run())


def test_failed_upload_returns_its_slot() -> None:
    async def run() -> None:
        limited = limit_uploads(_failing, identify, 0.05, 10)
        scope = {"type": "http", "method": "POST", "path": "/graphql/", "headers": [FORM, (b"authorization", b"a")]}
        for _ in range(3):
            sending = Sending(limited, scope)
            await sending.body(b"x" * 100)
            with pytest.raises(RequestAborted):
                await asyncio.wait_for(sending.end, 5)

    asyncio.run(run())


async def _failing(_: Mapping[str, Any], receive: Any, __: Any) -> None:
    assert (await receive())["type"] == "http.request"
    raise RequestAborted
