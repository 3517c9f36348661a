"""Event streams of the gateway, read in the event loop of a test."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.http import SimpleCookie
from django.test import AsyncClient

GRAPHQL = "/graphql/"
CHANGES = "/api/orthanc/changes/"
FIELDS = "cursor kind level orthancId patientId"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """An event: its name, its id, and its data as JSON."""

    name: str = "message"
    id: str = ""
    data: Any = None


def parse_event(block: str) -> ServerSentEvent | None:
    """Return the event of a block of lines, None for a comment or `retry`."""
    lines = [line.partition(": ") for line in block.splitlines() if ": " in line]
    fields = {name: value for name, _, value in lines}
    if "data" not in fields:
        return None
    data = json.loads(fields["data"]) if fields["data"] else None
    return ServerSentEvent(fields.get("event", "message"), fields.get("id", ""), data)


class EventStreamClient:
    """One open stream."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self._chunks = aiter(response)
        self._events: list[ServerSentEvent] = []

    async def chunk(self, seconds: float = 10) -> bytes:
        """Return the next bytes; empty at the end."""
        async with asyncio.timeout(seconds):
            chunk: bytes = await anext(self._chunks, b"")
        return chunk

    async def event(self, seconds: float = 10) -> ServerSentEvent | None:
        """Return the next event, None at the end. Raises TimeoutError."""
        while not self._events:
            chunk = await self.chunk(seconds)
            if not chunk:
                return None
            self._events += [event for block in chunk.decode().split("\n\n") if (event := parse_event(block))]
        return self._events.pop(0)


@asynccontextmanager
async def event_stream(
    query: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    cookies: SimpleCookie | None = None,
    path: str = CHANGES,
    variables: Mapping[str, Any] | None = None,
) -> AsyncIterator[EventStreamClient]:
    """Open a stream of GraphQL, or of the REST API without a query, and wait until it has begun."""
    client = AsyncClient(raise_request_exception=False)
    client.cookies = cookies or SimpleCookie()
    sent = {"Accept": "text/event-stream", **(headers or {})}
    if query is None:
        response: Any = await client.get(path, headers=sent)
    else:
        body = {"query": query, "variables": variables or {}}
        response = await client.post(GRAPHQL, body, content_type="application/json", headers=sent)
    assert (response.status_code, response["Content-Type"]) == (200, "text/event-stream"), response.content
    stream = EventStreamClient(response)
    try:
        if response.streaming:
            assert await stream.chunk() == b"retry: 2000\n\n"
        yield stream
    finally:
        await sync_to_async(response.close)()
