"""The gateway as deployed, with routes for the test.

`/callers` makes a caller for each scope. `/sweep` and `/rebuild` do at once what the index does within seconds, or by
`manage.py rebuild_index`. `/hits` returns how many lists of instances the cache has returned.
"""

import asyncio
import json
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

# Orthanc's clock stands still during a step, and leaps forward between two
connect().clock = OrthancClock(connect().clock._read, valid_seconds=0)


class CountingCache(RevisionCache):
    """A cache that counts the lists of instances that it returned."""

    hits = 0

    def get(self, *key: Any) -> Any:
        """Return what is kept, and count it."""
        found = super().get(*key)
        self.hits += found is not None
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


def _callers() -> list[str]:
    return list(make_tokens(SCOPES).values())


def _hits() -> int:
    assert isinstance(kept, CountingCache)
    return kept.hits


_ROUTES: dict[str, Callable[[], Any]] = {"/sweep": _sweep, "/rebuild": _rebuild, "/callers": _callers, "/hits": _hits}
