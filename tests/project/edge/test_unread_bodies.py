"""What a client still sends after the response is discarded for a while, so that it can read the response."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from orthancproxy.project.edge.unread_bodies import MAX_SECONDS, discard_unread_bodies

LONG = ((b"content-length", b"100000000"),)
PIECE = {"type": "http.request", "body": b"x", "more_body": True}
LAST = {**PIECE, "more_body": False}
ANSWER = {"type": "http.response.body", "body": b"{}"}


class Client:
    """It sends messages of a body, and then is silent or sends on for ever."""

    def __init__(self, *messages: Mapping[str, Any], is_endless: bool = False) -> None:
        self.sent = 0
        self.got: list[Mapping[str, Any]] = []
        self._messages = messages
        self._is_endless = is_endless

    async def receive(self) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        self.sent += 1
        if self.sent <= len(self._messages):
            return self._messages[self.sent - 1]
        if not self._is_endless:
            await asyncio.Event().wait()
        return PIECE

    async def send(self, message: Mapping[str, Any]) -> None:
        self.got.append(message)

    def call(
        self, headers: tuple[tuple[bytes, bytes], ...] = LONG, read: int = 0, max_seconds: float = MAX_SECONDS
    ) -> None:
        """Call an application that answers after it has read some messages."""

        async def application(_scope: Any, receive: Any, send: Any) -> None:
            for _ in range(read):
                await receive()
            await send({"type": "http.response.start", "status": 413, "headers": []})
            await send(ANSWER)

        scope = {"type": "http", "headers": headers}

        async def run() -> None:
            await discard_unread_bodies(application, max_seconds, max_seconds)(scope, self.receive, self.send)

        asyncio.run(run())

    @property
    def has_answer(self) -> bool:
        """Whether it got a whole response."""
        bodies = [one for one in self.got if one["type"] == "http.response.body"]
        content = b"".join(one["body"] for one in bodies)
        return content == b"{}" and [one.get("more_body", False) for one in bodies][-1:] == [False]


@pytest.mark.parametrize("end", [LAST, {"type": "http.disconnect"}], ids=["end", "disconnect"])
@pytest.mark.parametrize("read", [0, 1])
def test_rest_is_received_up_to_its_end(end: Mapping[str, Any], read: int) -> None:
    client = Client(PIECE, PIECE, PIECE, end)
    client.call(read=read)
    assert (client.sent, client.has_answer) == (4, True)


def test_response_is_sent_before_the_rest_is_received() -> None:
    client = Client(LAST)
    receive = client.receive

    async def receive_later() -> Mapping[str, Any]:
        assert client.got[-1] == {**ANSWER, "more_body": True}
        return await receive()

    client.receive = receive_later  # type: ignore[method-assign]
    client.call()
    assert client.has_answer


@pytest.mark.parametrize("is_endless", [False, True], ids=["silent", "endless"])
def test_neither_silent_nor_endless_clients_are_waited_for(is_endless: bool) -> None:
    client = Client(PIECE, is_endless=is_endless)
    client.call(max_seconds=0.05)
    assert client.sent >= 2
    assert client.has_answer


@pytest.mark.parametrize(
    ("headers", "read"),
    [((), 0), (((b"content-length", b"1"),), 1), ((*LONG, (b"expect", b"100-continue")), 0)],
    ids=["no body", "whole body", "body that waits for 100 Continue"],
)
def test_nothing_is_received_that_will_not_come(headers: tuple[tuple[bytes, bytes], ...], read: int) -> None:
    client = Client(*[LAST] * read)
    client.call(headers, read)
    assert (client.sent, client.has_answer, len(client.got)) == (read, True, 2)
