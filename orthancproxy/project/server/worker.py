"""A worker process: uvicorn's server, which drains before it ends."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from socket import socket
from types import FrameType

from uvicorn import Config, Server

from orthancproxy.project.server.ending import ENDING
from orthancproxy.threads import daemon

logger = logging.getLogger(__name__)

TICKS_BETWEEN_REPORTS = 10  # uvicorn has ten in a second
END_SECONDS = 5.0
"""For what is to be done when all requests have ended, or were cancelled."""
STARTUP_FAILURE = 3
"""The exit code of a worker whose configuration is invalid: it would fail again."""


def configuration(application: str, host: str, port: int, workers: int, drain_seconds: float) -> Config:
    """Return the settings of uvicorn, which can be passed to another process."""
    return Config(
        application,
        host=host,
        port=port,
        workers=workers,
        http="orthancproxy.project.edge.protocol:Protocol",
        lifespan="off",
        # Django configures logging
        log_config=None,
        # Django itself reads X-Forwarded-* (ORTHANC_TRUST_FORWARDED)
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )


class Worker(Server):
    """Serves until SIGTERM, SIGINT or SIGHUP.

    After SIGTERM it drains: `/readyz` answers 503 at once, and it goes on listening for `delay_seconds`, until proxies
    have noticed. After SIGHUP it leaves the port to other workers at once. Either way, requests in progress end within
    the time of the configuration, and event streams end, so that their clients continue elsewhere.

    `report` is called about every second from when it is ready until it drains.
    """

    def __init__(self, config: Config, delay_seconds: float, report: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._delay_seconds = delay_seconds
        self._report = report
        self._is_replaced = False

    def run(self, sockets: list[socket] | None = None) -> None:
        """Serve until a signal. Raises SystemExit with STARTUP_FAILURE, after a line for each problem in the log."""
        if parent_process() is not None:
            daemon("parent", _end_with_parent).start()
            # in a terminal, it reaches the whole group: the parent decides
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, self._leave)
        problems = ""
        try:
            self.config.load()
        except SystemExit as error:
            problems = str(error.code)
        if problems:
            for line in problems.splitlines():
                logger.error("%s", line)
            raise SystemExit(STARTUP_FAILURE)
        # uvicorn repeats the signal at the end
        with suppress(KeyboardInterrupt):
            super().run(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Report that the event loop runs; return whether to end."""
        if counter % TICKS_BETWEEN_REPORTS == 0:
            self._report()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Drain, then end what is left."""
        ENDING.closes_connections = True
        if not self._is_replaced:
            ENDING.is_draining = True
            await self._wait(self._delay_seconds)
        else:
            self._stop_listening(sockets)
            # clients may be sending a request on a connection that is idle as seen from here
            await self._wait(self.config.timeout_keep_alive)
        await super().shutdown(sockets)
        # threads of requests that were cancelled may wait for Orthanc for minutes, and Python for them
        daemon("end", _end_soon).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second SIGINT ends at once."""
        super().handle_exit(sig, frame)
        # it would end this process with the signal's exit code
        self._captured_signals.clear()

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        if parent_process() is None:
            logger.warning("SIGHUP replaces workers only if WEB_CONCURRENCY is 2 or more")
            return
        self._is_replaced = True
        self.should_exit = True

    def _stop_listening(self, sockets: list[socket] | None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()

    async def _wait(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while not self.force_exit and asyncio.get_running_loop().time() < end:
            if self._is_replaced and not self.server_state.connections:
                return
            await asyncio.sleep(0.05)


def _end_soon() -> None:
    time.sleep(END_SECONDS)
    logger.warning("threads did not end in time", extra={"pid": os.getpid()})
    os._exit(0)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # noqa: S101 - for mypy
    parent.join()
    if threading.main_thread().is_alive():
        os.kill(os.getpid(), signal.SIGTERM)
