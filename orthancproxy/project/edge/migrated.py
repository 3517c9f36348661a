"""Rejects requests until the database is migrated: gateways start before it is, or while it is unavailable."""

import asyncio
from typing import Any

from orthancproxy.errors import GatewayUnavailable
from orthancproxy.http.asgi import Application, Receive, Send
from orthancproxy.http.request_log import PROBES
from orthancproxy.project.edge.rejections import answer_unread, rejected
from orthancproxy.project.environment import POOL
from orthancproxy.project.health import DATABASE, Checked, State

# as for a connection later: the first check of a process takes seconds on a busy machine, longer than a probe waits
MAX_WAIT_SECONDS = POOL["timeout"]


def until_migrated(application: Application) -> Application:
    """Pass on probes, and all other requests once the database was found migrated. Others get GatewayUnavailable."""
    is_migrated = False

    async def answered(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        nonlocal is_migrated
        if not is_migrated and scope["type"] == "http" and scope["path"] not in PROBES:
            check = DATABASE.begin()
            done, _ = await asyncio.wait([check], timeout=MAX_WAIT_SECONDS)
            parts = (check.result() if done else Checked(DATABASE.unanswered)).parts
            is_migrated = parts["migrations"] == State.OK
            if not is_migrated:
                reason = "is being migrated" if parts["migrations"] == State.PENDING else "is unavailable"
                error = GatewayUnavailable(f"The gateway's database {reason}: try again later.")
                await answer_unread(application, rejected(scope, error), send)
                return
        await application(scope, receive, send)

    return answered
