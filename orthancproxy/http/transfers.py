"""What is transferred of a request, from its first byte to the last one of its response, for the request log line."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orthancproxy.http.asgi import Application, Message, Receive, Send

BEGUN = "orthancproxy.begun"
"""In the ASGI scope: the time of the first byte, if the server sets it (`project/edge/protocol.py`)."""
_TRANSFER = "orthancproxy.transfer"


@dataclass(slots=True)
class Transfer:
    """When a request began, by time.perf_counter(), and the bytes of the two bodies so far."""

    begun: float
    received: int = 0
    sent: int = 0
    is_logged: bool = False


@dataclass(slots=True)
class RequestsInProgress:
    """The number of requests that this process answers. For use on the event loop."""

    count: int = 0


@dataclass(slots=True)
class LongUploads:
    """The long bodies of uploads that this process receives, and those that wait. For use on the event loop."""

    held: int = 0
    waiting: int = 0


in_progress = RequestsInProgress()
long_uploads = LongUploads()


def count_transfers(
    application: Application, log_unanswered: Callable[[Mapping[str, Any], Transfer], None]
) -> Application:
    """Measure all that the application receives and sends.

    Without this, the log has the time from the call of Django's middleware, which is when it has received the whole
    body. A request whose client leaves before that has no line of the middleware's: `log_unanswered` is called.
    """

    async def counted(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        transfer = Transfer(scope.get(BEGUN) or time.perf_counter())

        async def received() -> Message:
            message = await receive()
            if body := message.get("body"):
                transfer.received += len(body)
            return message

        async def sending(message: Message) -> None:
            if body := message.get("body"):
                transfer.sent += len(body)
            await send(message)

        in_progress.count += 1
        try:
            await application({**scope, _TRANSFER: transfer}, received, sending)
        finally:
            in_progress.count -= 1
            if not transfer.is_logged:
                log_unanswered(scope, transfer)

    return counted


def transfer_of(scope: Mapping[str, Any]) -> Transfer | None:
    """Return what is transferred of the request with this scope, None if nothing counts it."""
    transfer: Transfer | None = scope.get(_TRANSFER)
    return transfer
