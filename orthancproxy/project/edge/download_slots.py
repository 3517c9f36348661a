"""Bounds the downloads that are under way, so that slow clients leave Orthanc's threads to others.

Orthanc sends as fast as the client takes, and each file or archive keeps one of its threads (HttpThreadsCount, 50)
busy meanwhile: with all of them taken by clients that don't read, nobody would be answered any more.
"""

import asyncio
from time import monotonic
from typing import Any

from orthancproxy.conf import conf
from orthancproxy.errors import GatewayUnavailable
from orthancproxy.project.edge.body_limit import Application, Message, Receive, Send
from orthancproxy.project.edge.rejections import refused

DOWNLOADS = ("/file", "/archive")
PATIENCE = 2.0  # seconds that a client may take for a piece of a download while others wait for their turn
LONGEST_WAIT = 30.0  # seconds
_INTERVAL = 0.25  # seconds


class _Download:
    """A download that is under way, as ASGI has it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._waits_since: float | None = None

    async def receive(self) -> Message:
        """What the client sends: that it has gone away, also where it is made to."""
        received = asyncio.ensure_future(self._receive())
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((received, gone), return_when=asyncio.FIRST_COMPLETED)
            return received.result() if received.done() else {"type": "http.disconnect"}
        finally:
            received.cancel()
            gone.cancel()

    async def send(self, message: Message) -> None:
        """Send a piece."""
        self._waits_since = monotonic()
        try:
            await self._send(message)
        finally:
            self._waits_since = None

    def waited(self) -> float:
        """For how many seconds the client has kept it waiting; 0 where it ends anyway."""
        return 0.0 if self._waits_since is None or self._gone.is_set() else monotonic() - self._waits_since

    def end(self) -> None:
        """Have it broken off."""
        self._gone.set()


class DownloadSlots:
    """Runs an ASGI application, with ORTHANC_MAX_DOWNLOADS downloads at once.

    Others wait for their turn. They get that of the client that reads least, where it keeps everybody waiting.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._slots = asyncio.Semaphore(conf.ORTHANC_MAX_DOWNLOADS)
        self._under_way: set[_Download] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        is_download = (
            scope["type"] == "http" and scope["method"] == "GET" and scope["path"].rstrip("/").endswith(DOWNLOADS)
        )
        if not is_download:
            await self._application(scope, receive, send)
            return
        if not await self._turn():
            busy = GatewayUnavailable("Too many downloads are under way.")
            await self._application(refused(scope, busy), receive, send)
            return
        download = _Download(receive, send)
        self._under_way.add(download)
        try:
            await self._application(scope, download.receive, download.send)
        finally:
            self._under_way.discard(download)
            self._slots.release()

    async def _turn(self) -> bool:
        """Wait for a slot; whether there is one."""
        turn = asyncio.ensure_future(self._slots.acquire())
        deadline = monotonic() + LONGEST_WAIT
        while not (await asyncio.wait((turn,), timeout=_INTERVAL))[0]:
            if monotonic() > deadline:
                turn.cancel()
                return False
            slowest = max(self._under_way, key=_Download.waited)
            if slowest.waited() >= PATIENCE:
                slowest.end()
        return True
