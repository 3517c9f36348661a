"""The probes: `/livez` (the process responds) and `/readyz` (Orthanc and the database are available)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, lend_connections, renewed_connections
from orthancproxy.errors import ArchiveTimeout, GatewayError
from orthancproxy.http.error_responses import error_response
from orthancproxy.project.server.ending import ENDING
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.threads import PROBES

logger = logging.getLogger(__name__)

MAX_SECONDS = 1.8  # an orchestrator may wait for 2
MAX_CHECK_SECONDS = 30.0
UNANSWERED = {
    "orthanc": "Orthanc did not answer in time.",
    "database": "The database did not answer in time.",
}
View = Callable[[HttpRequest], Coroutine[Any, Any, JsonResponse]]


def probe(view: View) -> View:
    """Make a view answer GET and HEAD only, uncached."""

    @wraps(view)
    async def answer(request: HttpRequest) -> JsonResponse:
        if request.method in ("GET", "HEAD"):
            response = await view(request)
        else:
            response = error_response(405, "METHOD_NOT_ALLOWED", "Send GET or HEAD.")
            response["Allow"] = "GET, HEAD"
        response["Cache-Control"] = "no-store"
        return response

    return answer


@probe
async def livez(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process serves requests. No I/O."""
    return JsonResponse({"status": "ok"})


class State(StrEnum):
    """The state of a part, which anyone may know. An index can also be `building` or `ready`."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    PENDING = "pending"  # migrations are to be applied
    UNKNOWN = "unknown"  # whether they are, while the database is unavailable
    OFF = "off"  # there is no index


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about parts: their states, and the sentence that says what is missing."""

    parts: Mapping[str, str]
    message: str = "ok"


class Check:
    """A check of which one runs at a time: probes that come meanwhile wait for its result.

    So what hangs holds one thread, not one for each probe. After `max_seconds` the next probe begins
    another: a connection to a host that vanished hangs until the system gives it up, though the host is back.
    """

    def __init__(
        self,
        run: Callable[[], Coroutine[Any, Any, Checked]],
        unanswered: Mapping[str, str],
        max_seconds: float = MAX_CHECK_SECONDS,
    ) -> None:
        self._run = run
        self._max_seconds = max_seconds
        self._running: asyncio.Task[Checked] | None = None
        self._begun = 0.0
        self.unanswered = unanswered

    def begin(self) -> asyncio.Task[Checked]:
        """Return the check in progress, or a new one."""
        loop, running = asyncio.get_running_loop(), self._running
        is_old = loop.time() - self._begun > self._max_seconds
        if running is None or running.done() or running.get_loop() is not loop or is_old:
            running = self._running = loop.create_task(self._run())
            running.add_done_callback(_log_failure)
            self._begun = loop.time()
        return running


@dataclass
class ReadinessLog:
    """What the log already says about this process: probes ask every few seconds."""

    failing: frozenset[str] = frozenset()
    migrations: str = ""
    cause: str = ""

    def log(self, failing: frozenset[str], parts: Mapping[str, str]) -> None:
        """Log that other checks fail than before, the database for another reason, or that none does any more."""
        known, migrations = (self.failing, self.migrations), parts.get("migrations", "") if failing else ""
        if (failing, migrations) == known:
            return
        self.failing, self.migrations = failing, migrations
        if failing:
            logger.warning("not ready", extra={"parts": parts})
        else:
            logger.info("ready again")

    def log_cause(self, cause: str) -> None:
        """Log why the database is unavailable, unless it is for the same reason as before; empty: it is available."""
        if cause and cause != self.cause:
            logger.warning("database unavailable", extra={"cause": cause})
        self.cause = cause


READINESS_LOG = ReadinessLog()


@probe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if Orthanc responds and the database is migrated, else 503; with the state of each part.

    Within MAX_SECONDS, whatever hangs: resolving Orthanc's name, connecting, its index, or the database. The
    gateway's index of the archive, if there is one, does not count: without it, lists come from Orthanc. No part has an
    address, a version or a number: callers are not authenticated. While this process drains, it answers 503 at once.
    """
    if ENDING.is_draining:
        ending = {"gateway": "The gateway is shutting down."}
        return JsonResponse({"status": "unavailable", "parts": {}, "checks": ending}, status=503)
    checks = {"orthanc": ORTHANC, "database": DATABASE}
    if conf.ORTHANC_INDEX:
        checks["index"] = INDEX
    begun = {name: check.begin() for name, check in checks.items()}
    answered, _ = await asyncio.wait(begun.values(), timeout=MAX_SECONDS)
    parts: dict[str, str] = {}
    messages: dict[str, str] = {}
    for name, one in begun.items():
        # a check that hangs goes on until its own timeouts
        checked = one.result() if one in answered else Checked(checks[name].unanswered, UNANSWERED.get(name, ""))
        parts.update(checked.parts)
        messages[name] = checked.message
    messages.pop("index", None)
    index = parts.setdefault("index", State.OFF)
    failing = frozenset(name for name, message in messages.items() if message != "ok")
    ready = not failing
    READINESS_LOG.log(failing, parts)
    return JsonResponse(
        {
            "status": "ok" if ready else "unavailable",
            "parts": {name: parts[name] for name in ("database", "migrations", "archive", "index")},
            "checks": messages,
            **({"index": "unavailable" if index == State.TIMEOUT else index} if conf.ORTHANC_INDEX else {}),
        },
        status=200 if ready else 503,
    )


def _log_failure(check: asyncio.Task[Checked]) -> None:
    """Log an unexpected failure, also if no probe waits for the result any more."""
    if not check.cancelled() and (error := check.exception()):
        logger.error("readiness check failed", exc_info=error)


def _orthanc() -> Checked:
    try:
        connect().ping(MAX_SECONDS)
    except ArchiveTimeout as error:
        return Checked({"archive": State.TIMEOUT}, error.message)
    except GatewayError as error:
        return Checked({"archive": State.UNAVAILABLE}, error.message)
    return Checked({"archive": State.OK})


def _index() -> Checked:
    # asking for the state begins to follow Orthanc, which needs the tables
    if _database().parts["migrations"] != State.OK:
        return Checked({"index": State.UNAVAILABLE})
    try:
        with renewed_connections():
            return Checked({"index": background(connect()).index_status(EVERYTHING).state.name.lower()})
    except (GatewayError, *DATABASE_ERRORS):
        return Checked({"index": State.UNAVAILABLE})


def _database() -> Checked:
    try:
        # takes SQLite's write lock: requests that cannot be audited are not answered
        with transaction.atomic():
            executor = MigrationExecutor(connection)
            unapplied = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error as error:
        READINESS_LOG.log_cause(str(error).strip())
        unavailable = {"database": State.UNAVAILABLE, "migrations": State.UNKNOWN}
        return Checked(unavailable, "The database can't be reached.")
    finally:
        lend_connections()
    READINESS_LOG.log_cause("")
    if unapplied:
        return Checked({"database": State.OK, "migrations": State.PENDING}, "unmigrated")
    return Checked({"database": State.OK, "migrations": State.OK})


ORTHANC = Check(lambda: PROBES.run(_orthanc), {"archive": State.TIMEOUT})
DATABASE = Check(lambda: sync_to_async(_database)(), {"database": State.TIMEOUT, "migrations": State.UNKNOWN})
# in the same thread as the database, which it reads
INDEX = Check(lambda: sync_to_async(_index)(), {"index": State.TIMEOUT})
