"""Lets clients read a response that comes before the end of their request's body.

Closing a connection with unread data resets it. Many clients read nothing before they have sent all, and would see the
reset instead of the error.
"""

import asyncio
from contextlib import suppress
from typing import Any

from orthancproxy.http.asgi import Application, Message, Receive, Send

MAX_SECONDS = 10.0
MAX_SILENT_SECONDS = 2.0
"""After which a client that sends nothing is taken to wait for the end of the connection."""


def discard_unread_bodies(
    application: Application, max_seconds: float = MAX_SECONDS, max_silent_seconds: float = MAX_SILENT_SECONDS
) -> Application:
    """Discard what a client sends of a body after the response, for a while (RFC 9112 section 9.6).

    The client has the response already, and can end the connection. One that asked whether to send the body (`Expect:
    100-continue`) is not told to.
    """

    async def discarding(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        has_more = (b"content-length" in headers or b"transfer-encoding" in headers) and b"expect" not in headers

        async def received() -> Message:
            nonlocal has_more
            message = await receive()
            has_more = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def sending(message: Message) -> None:
            if not has_more or message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            # the server closes the connection after the last one
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(max_seconds):
                    while has_more:
                        async with asyncio.timeout(max_silent_seconds):
                            await received()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await application(scope, received, sending)

    return discarding
