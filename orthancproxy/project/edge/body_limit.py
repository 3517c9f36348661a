"""Rejects bodies that are too long: Django spools a whole body to disk before it looks at it."""

import errno
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

from orthancproxy.conf import conf
from orthancproxy.errors import InsufficientStorage, InvalidRequest
from orthancproxy.http.asgi import Application, Message, Receive, Send, is_upload
from orthancproxy.project.edge.rejections import answer_unread, rejected

MAX_FIELD_BYTES = 64 * 1024**2  # of a form, besides its files


def limit_bodies(application: Application, max_field_bytes: int = MAX_FIELD_BYTES) -> Application:
    """Reject files of more than ORTHANC_MAX_UPLOAD_BYTES, and other bodies of more than DATA_UPLOAD_MAX_MEMORY_SIZE.

    Only routes marked `is_upload` take bodies of that size, and a GET or HEAD takes no body (RFC 9110 section 9.3.1).
    The application gets a rejected request without its body, and answers it like any other error.
    """

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        max_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if is_upload(scope):
            max_bytes = conf.ORTHANC_MAX_UPLOAD_BYTES + max_field_bytes
        if reason := _reason_to_reject(scope, max_bytes):
            await answer_unread(application, rejected(scope, reason), send)
            return
        too_large = rejected(scope, RequestDataTooBig())
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
            await answer_unread(application, rejected(scope, InsufficientStorage()), send)
        else:
            if received > max_bytes:
                await answer_unread(application, too_large, send)

    return limited


def _reason_to_reject(scope: Mapping[str, Any], max_bytes: int) -> Exception | None:
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    if scope["method"] in ("GET", "HEAD") and (declared.strip(b"0") or b"transfer-encoding" in headers):
        return InvalidRequest("Send a GET or HEAD request without a body.")
    return RequestDataTooBig() if declared.isdigit() and int(declared) > max_bytes else None
