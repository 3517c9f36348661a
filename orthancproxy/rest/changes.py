"""The changes of the archive: a page of the log, or a stream of server-sent events."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from orthancproxy.access.callers import Caller
from orthancproxy.conf import conf
from orthancproxy.errors import GatewayError, InvalidRequest
from orthancproxy.feed.log import LoggedChange
from orthancproxy.http.change_streams import ChangeStream
from orthancproxy.http.event_streams import event, event_streams, last_event_id
from orthancproxy.http.negotiation import EVENT_STREAM, preferred
from orthancproxy.resolvers.changes import follow_changes, get_changes
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.rest import openapi
from orthancproxy.rest.serializers import ChangePageSerializer, ChangeSerializer
from orthancproxy.rest.views import GatewayView, JSONRenderer

DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """What a stream of the REST API shows of changes: each is an event with its JSON."""

    context: RequestContext

    @property
    def key(self) -> Hashable:
        return ChangeSource

    @property
    def calls_orthanc(self) -> bool:
        return False

    def render(self, changes: Sequence[LoggedChange], caller: Caller) -> bytes:
        show = ChangeSerializer().to_representation
        return b"".join(event(orjson.dumps(show(one)), cursor=one.cursor) for one in changes)

    def render_error(self, error: GatewayError) -> bytes:
        return event(orjson.dumps({"detail": error.message, "code": error.code}), name="error")


class ChangesView(GatewayView):
    """The changes of the archive that the caller may see, oldest first."""

    parameters = ("after", "limit")

    @openapi.changes
    def get(self, request: Request) -> HttpResponseBase:
        context, after = self.entered_context, request.query_params.get("after")
        limit = _limit(request.query_params.get("limit"))
        if preferred(request._request, (JSONRenderer.media_type, EVENT_STREAM)) != EVENT_STREAM:
            return Response(ChangePageSerializer(get_changes(context, after, limit)).data)
        check = partial(event_streams.check, request._request, context.author.key)
        cursor = follow_changes(context, last_event_id(request._request, after), check)
        if request.method == "HEAD":
            return HttpResponse(content_type=EVENT_STREAM)
        stream = ChangeStream(event_streams, ChangeSource(context), self.credentials, cursor)
        return event_streams.respond(stream)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    maximum = conf.ORTHANC_MAX_PAGE_SIZE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= maximum):
        raise InvalidRequest(f"`limit` must be a whole number from 0 to {maximum}.")
    return int(text)
