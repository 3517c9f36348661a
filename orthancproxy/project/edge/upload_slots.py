"""Limits long bodies to callers with the permission to upload, and the number that is received at once.

Django spools a whole body, of up to ORTHANC_MAX_UPLOAD_BYTES, to disk before it calls the view that authenticates the
caller.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO
from typing import Any
from weakref import WeakValueDictionary

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse

from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import identify
from orthancproxy.access.callers import Caller, anonymous
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.errors import GatewayError, GatewayUnavailable
from orthancproxy.project.edge.body_limit import is_upload
from orthancproxy.project.edge.clients import address_of
from orthancproxy.project.edge.rejections import Application, Message, Receive, Send, answer_unread, rejected

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
        caller = await _caller(scope, identify_caller)
        if caller is None or Action.UPLOAD not in caller.actions:
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
        async with own, self._slots:
            yield


async def _caller(scope: Mapping[str, Any], identify_caller: Callable[[HttpRequest], Caller]) -> Caller | None:
    """Return the caller, or None if the credentials are invalid. Without any, it takes no thread."""
    request = ASGIRequest({**scope}, BytesIO())
    if "Authorization" not in request.headers and settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return anonymous()

    def authenticated() -> Caller | None:
        SessionMiddleware(_no_response).process_request(request)
        AuthenticationMiddleware(_no_response).process_request(request)
        try:
            return identify_caller(request)
        except (GatewayError, *DATABASE_ERRORS):
            # the view answers, and audits it
            return None

    return await sync_to_async(authenticated)()


def _no_response(_: HttpRequest) -> HttpResponse:
    return HttpResponse()
