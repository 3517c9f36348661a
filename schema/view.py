"""The GraphQL endpoint: queries by POST and GET, and GraphiQL for browsers."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError
from strawberry.django.views import AsyncGraphQLView
from strawberry.file_uploads.utils import replace_placeholders_with_files
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from orthancproxy.errors import GatewayError, InvalidRequest, LimitExceeded, PermissionDenied
from orthancproxy.multipart import Form, receive
from orthancproxy.resolvers.context import RequestContext, username_of
from schema import schema
from schema.context import GraphQLContext
from schema.errors import shown
from schema.links import Links
from schema.threads import UPLOADS, in_thread

BUNDLE = "orthancproxy/graphiql/graphiql.js"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

PLACE = re.compile(r"variables(\.([A-Za-z_]\w*|[0-9]+))+", re.ASCII)
# of errors that a request meets before it is one of GraphQL
STATUSES: Mapping[type[GatewayError], int] = {InvalidRequest: 400, PermissionDenied: 403, LimitExceeded: 413}


class GraphQLView(AsyncGraphQLView[GraphQLContext, None]):
    """Strawberry's async view with our context, our JSON and our GraphiQL."""

    async def get_context(self, request: HttpRequest, response: HttpResponse) -> GraphQLContext:
        """Make what resolvers find in `info.context`."""
        user = await request.auser() if hasattr(request, "auser") else None
        gateway = RequestContext(_request_id(request), username_of(user))
        return GraphQLContext(gateway, Links.of(request), request, response)

    async def dispatch(  # type: ignore[override]  # the stubs know no async views
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Answer, in JSON also where the request is not one of GraphQL over HTTP."""
        try:
            return await self.run(request=request)
        except HTTPException as error:
            return self._refusal(request, GraphQLError(error.reason), error.status_code)
        except GatewayError as error:
            return self._refusal(request, GraphQLError(error.message, original_error=error), STATUSES[type(error)])

    def _refusal(self, request: HttpRequest, error: GraphQLError, status: int) -> HttpResponse:
        answer = {"errors": [shown(error, _request_id(request))]}
        return HttpResponse(self.encode_json(answer), status=status, content_type="application/json")

    async def parse_multipart(self, request: AsyncHTTPRequestAdapter) -> dict[str, Any]:
        """Read a GraphQL multipart request (jaydenseric's specification 2.0) in a thread, and put its files in."""
        received = cast("HttpRequest", request.request)  # type: ignore[attr-defined]
        return await in_thread(_operations, UPLOADS)(received)

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        """Read a request; what is none, the caller is told."""
        try:
            return await super().parse_http_body(request)
        except json.JSONDecodeError:
            raise
        except (AttributeError, TypeError, ValueError, RecursionError) as error:
            # JSON that is no object, is nested too deeply, or is not in UTF-8
            raise HTTPException(400, "The request is not a GraphQL request in JSON.") from error

    async def process_result(self, request: HttpRequest, result: ExecutionResult) -> GraphQLHTTPResponse:
        """Put an answer together."""
        errors = [shown(error, _request_id(request)) for error in result.errors or ()]
        return cast("GraphQLHTTPResponse", {"data": result.data} | ({"errors": errors} if errors else {}))

    def encode_json(self, data: object) -> bytes:
        """Write the answer with orjson, ten times as fast as json."""
        try:
            return orjson.dumps(data)
        except orjson.JSONEncodeError:
            # a message that quotes half a surrogate pair of the request, which only json can write
            return json.dumps(data).encode()

    async def render_graphql_ide(self, request: HttpRequest) -> HttpResponse:
        """Serve the GraphiQL bundle, or say how to build it."""
        if finders.find(BUNDLE) is None:
            try:
                docs = reverse("orthanc:docs")
            except NoReverseMatch:
                docs = ""
            response = render(request, "graphql/graphiql_missing.html", {"rest_docs_url": docs})
        else:
            response = render(request, "graphql/graphiql.html", {"endpoint": request.path})
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


def _operations(request: HttpRequest) -> dict[str, Any]:
    """The operations of a multipart request, with the files in the places that its map names."""
    form = receive(request)
    _check_origin(request, form)
    try:
        operations = orjson.loads(form.fields.get("operations", ""))
        places = orjson.loads(form.fields.get("map", ""))
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, "The fields operations and map are to be JSON.") from error
    try:
        if all(PLACE.fullmatch(path) for paths in places.values() for path in paths):
            return replace_placeholders_with_files(operations, places, form.files)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        pass
    raise HTTPException(400, "The map leads to no file, or to no place in the variables.")


def _check_origin(request: HttpRequest, form: Form) -> None:
    """Raise PermissionDenied for a form that may come from a page of somebody else.

    A form needs no preflight, so that any page could send one with what the browser authenticates by, such as the
    cookie of a session. A token is nothing that a browser adds by itself.
    """
    if not getattr(request, "user", AnonymousUser()).is_authenticated:
        return
    if request.headers.get("Authorization", "").startswith(("Bearer ", "Token ")):
        return
    # where it looks for the token of a form
    request.POST = form.fields  # type: ignore[assignment]
    check = CsrfViewMiddleware(lambda _: HttpResponse())
    check.process_request(request)
    if check.process_view(request, lambda _: HttpResponse(), (), {}) is not None:
        raise PermissionDenied("The request lacks a valid CSRF token.")


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def graphql_view() -> Any:
    """The view for a URL pattern. JSON needs a preflight, and forms are checked: no request can be forged."""
    return csrf_exempt(GraphQLView.as_view(schema=schema, multipart_uploads_enabled=True))
