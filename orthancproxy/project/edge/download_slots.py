"""Limits concurrent downloads, so that slow clients leave threads of Orthanc to other requests.

Orthanc sends as fast as the client reads, and each file or ZIP keeps one of its threads (HttpThreadsCount, 50) busy
meanwhile: if clients that do not read had all of them, Orthanc would answer nobody else. Clients that read less than
500 bytes a second lose their slot after ORTHANC_CLIENT_TIMEOUT (`slow_clients`).
"""

import asyncio
from typing import Any

from orthancproxy.conf import conf
from orthancproxy.errors import GatewayUnavailable
from orthancproxy.project.edge.marks import is_marked
from orthancproxy.project.edge.rejections import Application, Receive, Send, rejected

MAX_WAIT_SECONDS = 30.0


def limit_downloads(application: Application, max_wait_seconds: float = MAX_WAIT_SECONDS) -> Application:
    """Run at most ORTHANC_MAX_DOWNLOADS requests of routes marked `is_download` at once.

    Others wait for a slot, in the order of their arrival, and are rejected with GatewayUnavailable after
    `max_wait_seconds`.
    """
    slots = asyncio.Semaphore(conf.ORTHANC_MAX_DOWNLOADS)

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        is_download = scope["type"] == "http" and scope["method"] == "GET" and is_marked(scope, "is_download")
        if not is_download:
            await application(scope, receive, send)
            return
        try:
            await asyncio.wait_for(slots.acquire(), max_wait_seconds)
        except TimeoutError:
            busy = GatewayUnavailable("Too many downloads are in progress. Try again later.")
            await application(rejected(scope, busy), receive, send)
            return
        try:
            await application(scope, receive, send)
        finally:
            slots.release()

    return limited
