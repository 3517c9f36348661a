"""The probes: `/livez` (the process responds) and `/readyz` (Orthanc and the database are available)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.conf import conf
from orthancproxy.database import renewed_connections
from orthancproxy.errors import GatewayError
from orthancproxy.http.error_responses import error_response
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.threads import PROBES

logger = logging.getLogger(__name__)

MAX_SECONDS = 1.8  # an orchestrator may wait for 2
UNANSWERED = {
    "orthanc": "Orthanc did not answer in time.",
    "database": "The database did not answer in time.",
    "index": "unavailable",
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


@probe
async def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if Orthanc responds and the database is migrated, else 503 and what is missing.

    Within MAX_SECONDS, whatever hangs: resolving Orthanc's name, connecting, its index, or the database. The
    state of the gateway's index of the archive, if there is one, is shown beside these.
    """
    asked = {
        "orthanc": asyncio.ensure_future(PROBES.run(_orthanc)),
        "database": asyncio.ensure_future(sync_to_async(_database)()),
    }
    if conf.ORTHANC_INDEX:
        asked["index"] = asyncio.ensure_future(PROBES.run(_index))
    _, hanging = await asyncio.wait(asked.values(), timeout=MAX_SECONDS)
    for one in hanging:
        # its thread goes on until its own timeouts
        one.cancel()
    checks = {name: UNANSWERED[name] if one in hanging else one.result() for name, one in asked.items()}
    index = {"index": checks.pop("index")} if "index" in checks else {}
    ready = set(checks.values()) == {"ok"}
    status = "ok" if ready else "unavailable"
    return JsonResponse({"status": status, "checks": checks, **index}, status=200 if ready else 503)


def _orthanc() -> str:
    try:
        connect().ping(MAX_SECONDS)
    except GatewayError as error:
        return error.message
    return "ok"


def _index() -> str:
    try:
        with renewed_connections():
            return background(connect()).index_status(EVERYTHING).state.name.lower()
    except GatewayError:
        return "unavailable"


def _database() -> str:
    try:
        # takes SQLite's write lock: requests that cannot be audited are not answered
        with transaction.atomic():
            executor = MigrationExecutor(connection)
            unapplied = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        logger.warning("database unavailable", exc_info=True)
        return "The database can't be reached."
    return "unmigrated" if unapplied else "ok"
