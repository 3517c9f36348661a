"""Rejects bodies that are too long: Django spools a whole body to disk before it looks at it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

from orthancproxy.conf import conf
from orthancproxy.project.edge.marks import is_marked
from orthancproxy.project.edge.rejections import rejected

MAX_FIELD_BYTES = 64 * 1024**2  # of a form, besides its files

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def limit_bodies(application: Application, max_field_bytes: int = MAX_FIELD_BYTES) -> Application:
    """Reject forms of more than ORTHANC_MAX_UPLOAD_BYTES, and other bodies of more than DATA_UPLOAD_MAX_MEMORY_SIZE.

    Only routes marked `is_upload` take forms of that size. The application gets a rejected request without its body,
    and answers it like any other error.
    """

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        is_form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        max_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if is_form and is_marked(scope, "is_upload"):
            max_bytes = conf.ORTHANC_MAX_UPLOAD_BYTES + max_field_bytes
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > max_bytes:
            await _reject(application, scope, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # so that Django gives up
            return message if received <= max_bytes else {"type": "http.disconnect"}

        try:
            await application(scope, counted, send)
        except OSError as error:
            # Django raises it if it cannot spool the body, before it answers anything
            if error.errno != errno.ENOSPC:
                raise
            await _reject(application, scope, send)
        else:
            if received > max_bytes:
                await _reject(application, scope, send)

    return limited


async def _reject(application: Application, scope: dict[str, Any], send: Send) -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            # the rest of the body is not read, so Django does not hear of a disconnect either
            await asyncio.Event().wait()
        return messages.pop()

    await application(rejected(scope, RequestDataTooBig()), receive, send)
