"""`/orthanc-events`, where Orthanc tells at once what it deletes (`docker/orthanc-events.lua`).

For Orthanc alone: there is nothing without ORTHANC_EVENTS_SECRET, or for requests that come through a proxy.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from hmac import compare_digest
from itertools import groupby
from operator import attrgetter
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

from orthancproxy.archive.levels import Level
from orthancproxy.conf import conf
from orthancproxy.database import renewed_connections
from orthancproxy.errors import InvalidRequest, LimitExceeded, PermissionDenied
from orthancproxy.http.error_responses import bad_request
from orthancproxy.http.pages import not_found
from orthancproxy.orthanc.endpoints import ORTHANC_ID
from orthancproxy.resolvers.background import check_deleted
from orthancproxy.resolvers.context import connect
from orthancproxy.threads import DELETIONS

MAX_BODY_BYTES = 64 * 1024  # about 800 resources
MAX_IDS_PER_CHECK = 1000  # at least those of one request, and a short transaction
# what the proxies of docs/deployment.md add
ADDED_BY_PROXIES = ("X-Forwarded-For", "Forwarded")


class Deleted(Struct, frozen=True):
    """A resource that Orthanc has deleted, with everything below it."""

    level: Level
    id: Annotated[str, Meta(pattern=rf"\A{ORTHANC_ID.pattern}\Z")]


DECODER = Decoder(list[Deleted])


def _check(level: Level, ids: Sequence[str]) -> None:
    with renewed_connections():
        check_deleted(connect(), level, ids)


class DeletionChecks:
    """Has a thread ask Orthanc for resources, and note that those are gone that it does not have.

    A study of one instance is deleted, and stored again, when that is overwritten (1.10.1 to 1.13.0). What arrives
    meanwhile is asked for together: Orthanc sends each deletion by itself.
    """

    def __init__(self, check: Callable[[Level, Sequence[str]], object] = _check) -> None:
        self._check = check
        self._waiting: deque[tuple[Level, str]] = deque()

    def add(self, level: Level, ids: Sequence[str]) -> None:
        """Check soon, in another thread, whether Orthanc has deleted these resources."""
        self._waiting.extend((level, one) for one in ids)
        DELETIONS.submit(self._check_waiting)

    def _check_waiting(self) -> None:
        found = defaultdict(list)
        for _ in range(min(len(self._waiting), MAX_IDS_PER_CHECK)):
            level, one = self._waiting.popleft()
            found[level].append(one)
        for level, ids in found.items():
            self._check(level, ids)


def orthanc_events(
    note: Callable[[Level, Sequence[str]], object] = DeletionChecks().add,  # noqa: B008 - for the whole process
) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of a POST with a JSON list of `{"level", "id"}`, which calls `note` for each level.

    That must not call Orthanc, which answers nothing while its script waits for the response (1.10.1 to 1.13.0).
    """

    def view(request: HttpRequest) -> HttpResponse:
        secret = conf.ORTHANC_EVENTS_SECRET
        if not secret or request.method != "POST" or any(name in request.headers for name in ADDED_BY_PROXIES):
            return not_found(request)
        given = request.headers.get("Authorization", "")
        if not compare_digest(given.encode(), f"Bearer {secret}".encode()):
            return bad_request(request, PermissionDenied("The secret is not that of ORTHANC_EVENTS_SECRET."))
        if len(request.body) > MAX_BODY_BYTES:
            return bad_request(request, LimitExceeded(f"The list has more than {MAX_BODY_BYTES:,} bytes."))
        try:
            events = DECODER.decode(request.body)
        except (DecodeError, RecursionError):
            return bad_request(request, InvalidRequest('Send a JSON list of {"level": "Study", "id": "…"}.'))
        for level, some in groupby(events, attrgetter("level")):
            note(level, [one.id for one in some])
        return HttpResponse(status=204)

    return view
