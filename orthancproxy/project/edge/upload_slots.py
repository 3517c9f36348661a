"""Limits long bodies to callers with the permission to upload, and the number that is received at once.

A whole body, of up to ORTHANC_MAX_UPLOAD_BYTES, is spooled to disk before the view that authenticates the caller.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from django.http import HttpRequest

from orthancproxy.access.authentication import identify
from orthancproxy.access.callers import Caller
from orthancproxy.conf import conf
from orthancproxy.errors import GatewayUnavailable
from orthancproxy.http.asgi import Application, Message, Receive, Send, is_upload
from orthancproxy.http.early_forms import UPLOADER, uploader_of
from orthancproxy.http.transfers import long_uploads
from orthancproxy.project.edge.clients import address_of
from orthancproxy.project.edge.rejections import answer_unread, rejected

MAX_WAIT_SECONDS = 30.0
FREE_BYTES = 1024**2  # that a body takes without a slot: idle clients hold none


def limit_uploads(
    application: Application,
    identify_caller: Callable[[HttpRequest], Caller] = identify,
    max_wait_seconds: float = MAX_WAIT_SECONDS,
    free_bytes: int = FREE_BYTES,
) -> Application:
    """Receive the forms of callers with the upload permission, and at most ORTHANC_MAX_UPLOADS long ones at once.

    Without the permission, the application gets the request without its body, and rejects it. Of the slots, each
    caller has at most half. Those who wait for more than `max_wait_seconds` are rejected with GatewayUnavailable.
    """
    slots = _UploadSlots(conf.ORTHANC_MAX_UPLOADS)

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_upload(scope):
            await application(scope, receive, send)
            return
        caller = await uploader_of(scope, identify_caller)
        scope = {**scope, UPLOADER: caller}
        if caller is None:
            await answer_unread(application, scope, send)
            return
        received, is_busy = 0, False
        async with AsyncExitStack() as held:

            async def counted() -> Message:
                nonlocal received, is_busy
                message = await receive()
                before, received = received, received + len(message.get("body", b""))
                if before <= free_bytes < received:
                    try:
                        async with asyncio.timeout(max_wait_seconds):
                            await held.enter_async_context(slots.hold(caller.username or address_of(scope)))
                    except TimeoutError:
                        is_busy = True
                # so that Django gives up
                return {"type": "http.disconnect"} if is_busy else message

            await application(scope, counted, send)
        if is_busy:
            busy = GatewayUnavailable("Too many uploads are in progress. Try again later.")
            await answer_unread(application, rejected(scope, busy), send)

    return limited


class _UploadSlots:
    """Slots of which each caller has at most half. In the order in which they were asked for."""

    def __init__(self, total: int) -> None:
        self._of_caller = max(1, total // 2)
        self._slots = asyncio.Semaphore(total)
        self._callers: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, caller: str) -> AsyncIterator[None]:
        own = self._callers.setdefault(caller, asyncio.Semaphore(self._of_caller))
        long_uploads.waiting += 1
        try:
            async with own, self._slots:
                long_uploads.waiting -= 1
                long_uploads.held += 1
                try:
                    yield
                finally:
                    long_uploads.held -= 1
                    long_uploads.waiting += 1
        finally:
            long_uploads.waiting -= 1
