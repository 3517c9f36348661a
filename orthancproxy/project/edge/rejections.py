"""Requests that are rejected before Django reads their body, but answered and logged like all others."""

import asyncio
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from orthancproxy.http.asgi import Application, Message, Send

REJECTION = "orthancproxy.rejection"
UNREAD = "orthancproxy.unread"


def rejected(scope: Mapping[str, Any], reason: Exception) -> dict[str, Any]:
    """Return the ASGI scope for a request that `middleware.RejectedRequests` answers instead of the view."""
    return {**scope, REJECTION: reason}


async def answer_unread(application: Application, scope: Mapping[str, Any], send: Send) -> None:
    """Run the application without the body of the request. The connection is closed after the response."""
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            # the rest of the body is not read, so Django does not hear of a disconnect either
            await asyncio.Event().wait()
        return messages.pop()

    await application({**scope, UNREAD: True}, receive, send)


def is_unread(request: HttpRequest) -> bool:
    """Return whether the body of a request is not read."""
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return UNREAD in scope


def rejection_of(request: HttpRequest) -> Exception | None:
    """Return the reason for which a request is rejected, if it is."""
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return scope.get(REJECTION)
