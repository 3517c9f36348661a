"""The gateway as deployed, with routes for the test.

`/callers` makes a caller for each scope. `/sweep` and `/rebuild` do at once what the index does within seconds, or by
`manage.py rebuild_index`. `/forget` empties the cache, as a restart does. `/hits` returns how often something was kept.
With WALKS_INDEX in its environment, the gateway takes Orthanc for a large one over SQLite without statistics.
"""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

from orthancproxy.archive.index_keeper import IndexKeeper
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.orthanc.clock import OrthancClock
from orthancproxy.project.asgi import application as gateway

# these need Django's apps, which the gateway has loaded
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect, revision_cache
from tests.archive.callers import make_tokens
from tests.archive.oracle_archive import SCOPES
from tests.orthancs import WalkingOrthanc

# Orthanc's clock stands still during a step, and leaps forward between two
connect().clock = OrthancClock(connect().clock._read, valid_seconds=0)


if os.environ.get("WALKS_INDEX"):
    connect().__class__ = WalkingOrthanc


class CountingCache(RevisionCache):
    """A cache that counts the lists and counts that it returned."""

    hits = 0

    def get(self, *key: Any) -> Any:
        """Return what is kept, and count it."""
        found = super().get(*key)
        self.hits += found is not None
        return found

    def counts(self, *key: Any) -> Any:
        """Return what is kept, and count it."""
        found = super().counts(*key)
        self.hits += bool(found)
        return found


kept = revision_cache(connect())
assert kept
kept.__class__ = CountingCache


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve the gateway and the routes."""
    route = _ROUTES.get(scope["path"]) if scope["type"] == "http" else None
    if route is None:
        await gateway(scope, receive, send)
        return
    body = json.dumps(await asyncio.to_thread(route)).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _keeper() -> IndexKeeper:
    keeper = background(connect()).keeper
    assert keeper
    return keeper


def _sweep() -> None:
    _keeper().sweep()


def _rebuild() -> None:
    _keeper().build()


def _forget() -> None:
    assert kept
    while kept.size:
        kept._remove(next(iter(kept._entries)))


def _callers() -> list[str]:
    return list(make_tokens(SCOPES).values())


def _hits() -> int:
    assert isinstance(kept, CountingCache)
    return kept.hits


_ROUTES: dict[str, Callable[[], Any]] = {
    "/sweep": _sweep,
    "/rebuild": _rebuild,
    "/forget": _forget,
    "/callers": _callers,
    "/hits": _hits,
}
