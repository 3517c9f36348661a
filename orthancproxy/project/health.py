"""The probes: `/livez` (the process responds) and `/readyz` (Orthanc and the database are available)."""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from orthancproxy.errors import GatewayError
from orthancproxy.http.error_responses import error_response
from orthancproxy.resolvers.context import connect

logger = logging.getLogger(__name__)

MAX_ORTHANC_SECONDS = 2.0
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
    """Answer 200 if Orthanc responds and the database is migrated, else 503 and what is missing."""
    checks = await sync_to_async(_run_checks)()
    ready = set(checks.values()) == {"ok"}
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def _run_checks() -> dict[str, str]:
    return {"orthanc": _orthanc(), "database": _database()}


def _orthanc() -> str:
    try:
        connect().ping(MAX_ORTHANC_SECONDS)
    except GatewayError as error:
        return error.message
    return "ok"


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
