"""Refuses bodies that are too long before they are read: Django writes a body to disk whole, before it looks at it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

from orthancproxy.conf import conf
from orthancproxy.project.edge.rejections import refused

UPLOADS = ("/graphql", "/upload-patient")
FIELDS = 64 * 1024**2  # bytes of a form besides its files

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def limit_bodies(application: Application) -> Application:
    """Refuse an upload of more than ORTHANC_MAX_UPLOAD_BYTES, and another body of more than Django takes.

    The application gets such a request without its body, and answers it like any other error.
    """

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        is_form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        is_upload = is_form and scope["path"].rstrip("/").endswith(UPLOADS)
        most = conf.ORTHANC_MAX_UPLOAD_BYTES + FIELDS if is_upload else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > most:
            await _refuse(application, scope, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # so that Django gives up
            return message if received <= most else {"type": "http.disconnect"}

        try:
            await application(scope, counted, send)
        except OSError as error:
            # Django fails so where it can't write a body, before it answers anything
            if error.errno != errno.ENOSPC:
                raise
            await _refuse(application, scope, send)
        else:
            if received > most:
                await _refuse(application, scope, send)

    return limited


async def _refuse(application: Application, scope: dict[str, Any], send: Send) -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            # the rest of the body is not read, so that Django does not hear either that the client went away
            await asyncio.Event().wait()
        return messages.pop()

    await application(refused(scope, RequestDataTooBig()), receive, send)
