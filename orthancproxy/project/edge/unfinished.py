"""Answers the requests that have not ended when the process does: the server would send a 500, in plain text."""

import asyncio
from typing import Any

from django.http import HttpResponse

from orthancproxy.errors import GatewayUnavailable
from orthancproxy.http.asgi import Application, Message, Receive, Send
from orthancproxy.http.error_responses import RETRY_AFTER, error_response
from orthancproxy.project.server.ending import ENDING


def answer_unfinished(application: Application) -> Application:
    """Answer 503 GATEWAY_UNAVAILABLE, if no response has begun, for a request that the end of the process cancels."""

    async def answered(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        has_begun = False

        async def note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await application(scope, receive, note)
        except asyncio.CancelledError:
            if has_begun or scope["type"] != "http" or not ENDING.closes_connections:
                raise
            response = _response(scope["method"])
            headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
            length = (b"content-length", str(len(response.content)).encode())
            await send({"type": "http.response.start", "status": response.status_code, "headers": [*headers, length]})
            await send({"type": "http.response.body", "body": response.content})

    return answered


def _response(method: str) -> HttpResponse:
    if method in ("GET", "HEAD"):
        response = error_response(503, GatewayUnavailable.code, "The gateway is restarting. Try again later.")
        response["Retry-After"] = str(RETRY_AFTER)
        return response
    # its thread may go on for a while
    text = "The gateway is restarting. What was asked for may have been done: look before you repeat it."
    return error_response(503, GatewayUnavailable.code, text)
