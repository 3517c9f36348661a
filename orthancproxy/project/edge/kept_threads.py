"""Requests use the threads of those before them, and with them the threads' connections to the database.

Django gives each request under ASGI a thread of its own for whatever blocks, and the connections that a thread keeps
open (CONN_MAX_AGE) would stay behind with it, a file descriptor or three for each request.
"""

from collections import deque

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

from orthancproxy.project.edge.body_limit import Application, Receive, Send
from orthancproxy.threads import MAX_IDLE_REQUEST_THREADS, Pool, request_thread


class KeptThreads:
    """Runs an ASGI application, each request in a thread that no other request uses meanwhile."""

    def __init__(self, application: Application, max_idle: int = MAX_IDLE_REQUEST_THREADS) -> None:
        self._application = application
        self._max_idle = max_idle
        self._idle: deque[Pool] = deque()

    async def __call__(self, scope: dict[str, object], receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            # the one that was used last, so that those that are seldom needed can be ended
            thread = self._idle.pop()
        except IndexError:
            thread = request_thread()
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            # comes last in the thread: a view goes on when its client has gone away
            thread.submit(self._keep, thread)

    def _keep(self, thread: Pool) -> None:
        if len(self._idle) < self._max_idle:
            self._idle.append(thread)
        else:
            connections.close_all()
            thread.shutdown(wait=False)
