"""The parent of the worker processes: it replaces those that end, and all of them on SIGHUP."""

import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from socket import socket
from types import FrameType

from uvicorn import Config

from orthancproxy.project.server.worker import STARTUP_FAILURE, Worker

logger = logging.getLogger(__name__)

# a process of its own kind, not a copy of this one: it has the code of the time when it starts
SPAWN = get_context("spawn")
MAX_START_SECONDS = 120.0
RESTART_SECONDS = 1.0
"""Between the starts of a worker that ends before it is ready."""
HUNG_SECONDS = 60.0
"""Without a report of a worker's event loop, which makes one every second."""


@dataclass(slots=True)
class _Process:
    process: SpawnProcess
    reports: Connection
    started: float = field(default_factory=time.monotonic)
    reported: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it has become ready."""
        return self.reported is not None

    @property
    def is_hung(self) -> bool:
        """Whether it has stopped to report."""
        return self.reported is not None and time.monotonic() - self.reported > HUNG_SECONDS

    @property
    def pid(self) -> int | None:
        return self.process.pid

    def notice(self) -> None:
        """Read what it has reported, which `is_hung` goes by."""
        # EOFError: it has ended
        with suppress(EOFError):
            while self.reports.poll():
                self.reports.recv()
                self.reported = time.monotonic()

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)


def _serve(config: Config, delay_seconds: float, sockets: list[socket], reports: Connection) -> None:
    def report() -> None:
        # the parent that has been killed reads none
        with suppress(OSError):
            reports.send(None)

    Worker(config, delay_seconds, report).run(sockets)


class Supervisor:
    """Keeps `config.workers` processes running until SIGTERM or SIGINT, each listening on the same sockets."""

    def __init__(self, config: Config, sockets: list[socket], delay_seconds: float) -> None:
        self._config = config
        self._sockets = sockets
        self._delay_seconds = delay_seconds
        self._workers: list[_Process] = []
        self._replaced: list[_Process] = []
        self._was_ready = self._is_ending = self._is_replacing = False
        # of a signal, so that the wait for processes ends
        self._woken, self._wakes = SPAWN.Pipe(duplex=False)

    def run(self) -> int:
        """Return the exit code: 0 after a signal, STARTUP_FAILURE if no worker could start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._replace)
        logger.info("gateway starts", extra={"workers": self._config.workers, "pid": os.getpid()})
        self._workers = [self._start() for _ in range(self._config.workers)]
        code = 0
        while not self._is_ending:
            self._wait(RESTART_SECONDS)
            if not self._keep_running():
                code = STARTUP_FAILURE
                break
            if self._is_replacing:
                self._is_replacing = False
                self._replace_all()
        # the workers have their own: connections must not wait for this process, which accepts none
        for sock in self._sockets:
            sock.close()
        for worker in self._all():
            worker.send(signal.SIGTERM)
        for worker in self._all():
            worker.process.join()
        logger.info("gateway ends")
        return code

    def _start(self) -> _Process:
        reports, reporting = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=_serve, args=(self._config, self._delay_seconds, self._sockets, reporting))
        process.start()
        # the worker has its own, so that its end can be noticed
        reporting.close()
        return _Process(process, reports)

    def _all(self) -> list[_Process]:
        return [*self._workers, *self._replaced]

    def _wait(self, seconds: float) -> None:
        """Wait until a worker is ready or has ended, for a signal, or for so long."""
        waiting = [worker.reports for worker in self._all() if not worker.is_ready and worker.process.is_alive()]
        sentinels = [worker.process.sentinel for worker in self._all()]
        connection.wait([self._woken, *waiting, *sentinels], seconds)
        while self._woken.poll():
            self._woken.recv()
        for worker in self._all():
            worker.notice()
        self._was_ready = self._was_ready or any(worker.is_ready for worker in self._workers)

    def _keep_running(self) -> bool:
        """Start a worker for each that has ended; return False if none can start."""
        self._replaced = [worker for worker in self._replaced if worker.process.is_alive()]
        for place, worker in enumerate(self._workers):
            if worker.is_hung:
                logger.error("worker hangs", extra={"pid": worker.pid})
                worker.process.kill()
                worker.process.join()
            if worker.process.is_alive():
                continue
            if worker.process.exitcode == STARTUP_FAILURE and not self._was_ready:
                return False
            if self._is_ending:
                break
            logger.error("worker died", extra={"pid": worker.pid, "exit_code": worker.process.exitcode})
            if not worker.is_ready:
                time.sleep(max(0.0, worker.started + RESTART_SECONDS - time.monotonic()))
            self._workers[place] = self._start()
        return True

    def _replace_all(self) -> None:
        """Replace one worker after the other; stop if a new one does not start."""
        logger.info("workers are replaced")
        for place, worker in enumerate(self._workers):
            new = self._start()
            self._replaced.append(new)
            while new.process.is_alive() and not new.is_ready and not self._is_ending:
                if time.monotonic() - new.started > MAX_START_SECONDS:
                    new.process.kill()
                self._wait(RESTART_SECONDS)
            if self._is_ending:
                return
            if not new.is_ready:
                logger.error("a new worker does not start: the others stay", extra={"pid": new.pid})
                return
            self._replaced.remove(new)
            self._workers[place] = new
            self._replaced.append(worker)
            worker.send(signal.SIGHUP)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._is_ending = True
        for worker in self._all():
            # at once, so that `/readyz` says so; a second signal ends them sooner
            worker.send(number)
        self._wakes.send(None)

    def _replace(self, number: int, frame: FrameType | None) -> None:
        self._is_replacing = True
        self._wakes.send(None)
