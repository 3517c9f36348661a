"""`/livez`: the process answers. `/readyz`: it can do its work."""

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

View = Callable[[HttpRequest], Coroutine[Any, Any, JsonResponse]]


def probe(view: View) -> View:
    """Answer GET and HEAD only, and never from a cache."""

    @wraps(view)
    async def answer(request: HttpRequest) -> JsonResponse:
        if request.method in ("GET", "HEAD"):
            response = await view(request)
        else:
            response = error_response(405, "METHOD_NOT_ALLOWED", "Only GET and HEAD are answered here.")
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
    """Answer 200 when Orthanc answers and the database is migrated, else 503 and what is missing."""
    checks = await sync_to_async(_run_checks)()
    ready = set(checks.values()) == {"ok"}
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def _run_checks() -> dict[str, str]:
    return {"orthanc": _orthanc(), "database": _database()}


def _orthanc() -> str:
    try:
        connect().ping()
    except GatewayError as error:
        return error.message
    return "ok"


def _database() -> str:
    try:
        # SQLite locks it: while nothing can be written, nothing is answered that is to be written down
        with transaction.atomic():
            executor = MigrationExecutor(connection)
            unapplied = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        logger.warning("the database can't be asked", exc_info=True)
        return "The database can't be reached."
    return "unmigrated" if unapplied else "ok"
