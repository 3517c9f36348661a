"""Limits the requests that one client has in progress, so that it does not occupy all threads."""

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from orthancproxy.errors import GatewayUnavailable
from orthancproxy.http.asgi import Application, Message, Receive, Send, is_download_route, is_upload
from orthancproxy.http.request_log import PROBES
from orthancproxy.project.edge.clients import client_of
from orthancproxy.project.edge.rejections import answer_unread, rejected

MAX_WAIT_SECONDS = 30.0
# of the 128 threads for GraphQL, and of the 16 for GraphQL with files; its calls to Orthanc are fewer (ADR 0016)
MAX_REQUESTS_PER_CLIENT = 12


def share_threads(
    application: Application,
    max_requests: int = MAX_REQUESTS_PER_CLIENT,
    max_wait_seconds: float = MAX_WAIT_SECONDS,
) -> Application:
    """Pass on at most `max_requests` of each client at once, from the end of their bodies to the start of the response.

    Further requests wait, which takes no thread; those that wait for more than `max_wait_seconds` are rejected with
    GatewayUnavailable. Probes, uploads, downloads and other requests are counted separately: a query does not wait for
    the downloads of its client.
    """
    shares: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()

    async def shared(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        key = (client_of(scope), _kind(scope))
        share = _Share(shares.setdefault(key, asyncio.Semaphore(max_requests)))

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                await share.take(receive, max_wait_seconds)
                if not share.is_held:
                    # so that Django gives up
                    return {"type": "http.disconnect"}
            return message

        async def started(message: Message) -> None:
            # what follows is read by the threads for downloads
            share.give_back()
            await send(message)

        try:
            await application(scope, received, started)
        finally:
            share.give_back()
        if share.is_denied:
            busy = GatewayUnavailable("Too many of your requests are in progress. Try again later.")
            await answer_unread(application, rejected(scope, busy), send)

    return shared


def _kind(scope: Mapping[str, Any]) -> str:
    if scope["path"] in PROBES:
        # an orchestrator may have the address of a proxy
        return "probe"
    if is_upload(scope):
        return "upload"
    return "download" if is_download_route(scope) else ""


class _Share:
    """One request's part of what its client may have in progress."""

    def __init__(self, requests: asyncio.Semaphore) -> None:
        self.is_held = False
        self.is_denied = False
        self._requests = requests

    async def take(self, receive: Receive, max_wait_seconds: float) -> None:
        """Wait for it, once, unless the client disconnects."""
        if not self._requests.locked():
            self.is_held = await self._requests.acquire()
            return
        acquired = asyncio.ensure_future(self._requests.acquire())
        # nothing else can be received after the body
        disconnected = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({acquired, disconnected}, timeout=max_wait_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.is_held = acquired.done()
            self.is_denied = not acquired.done() and not disconnected.done()
            acquired.cancel()
            disconnected.cancel()

    def give_back(self) -> None:
        """Let the next request of the client proceed."""
        if self.is_held:
            self.is_held = False
            self._requests.release()
