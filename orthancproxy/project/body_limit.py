"""Refuses bodies that are too long before they are read: Django writes a body to disk whole, before it looks at it."""

import errno
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from orthancproxy.conf import conf
from orthancproxy.error_responses import error_response

UPLOADS = ("/graphql", "/upload-patient")
FIELDS = 64 * 1024**2  # bytes of a form besides its files

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def limit_bodies(application: Application) -> Application:
    """Answer 413 where an upload has more than ORTHANC_MAX_UPLOAD_BYTES, or another body more than Django takes."""

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
            await _refuse(send)
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
            await _refuse(send)
        else:
            if received > most:
                await _refuse(send)

    return limited


async def _refuse(send: Send) -> None:
    response = error_response(413, "LIMIT_EXCEEDED", "The request is larger than the gateway accepts.")
    headers = [(name.encode(), value.encode()) for name, value in response.items()]
    # the client is not to send the rest
    headers += [(b"content-length", str(len(response.content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
