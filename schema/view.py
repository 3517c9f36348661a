"""The GraphQL endpoint: queries by POST and GET, and GraphiQL for browsers."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError
from strawberry.django.views import AsyncGraphQLView, TemporalHttpResponse
from strawberry.file_uploads.utils import replace_placeholders_with_files
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from orthancproxy.access.authentication import authenticate, author
from orthancproxy.error_responses import CHALLENGE
from orthancproxy.errors import GatewayError, InvalidRequest, LimitExceeded, NotAuthenticated, PermissionDenied
from orthancproxy.multipart import receive
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.operations import conclude
from orthancproxy.resolvers.upload import admit
from schema import schema
from schema.context import GraphQLContext
from schema.errors import original, shown
from schema.graphiql import page
from schema.links import Links
from schema.threads import UPLOADS, in_thread

PLACE = re.compile(r"variables(\.([A-Za-z_]\w*|[0-9]+))+", re.ASCII)
# of errors that a request meets before it is one of GraphQL
STATUSES: Mapping[type[GatewayError], int] = {
    InvalidRequest: 400,
    NotAuthenticated: 401,
    PermissionDenied: 403,
    LimitExceeded: 413,
}


class GraphQLView(AsyncGraphQLView[GraphQLContext, None]):
    """Strawberry's async view with our context, our JSON and our GraphiQL. There is one for each request."""

    gateway: RequestContext

    async def get_context(self, request: HttpRequest, response: HttpResponse) -> GraphQLContext:
        """Find out who asks, and make what resolvers find in `info.context`."""
        caller = await in_thread(authenticate)(request)
        gateway = self.gateway = RequestContext(caller, author(request, caller), operation="graphql")
        return GraphQLContext(gateway, Links.of(request, gateway), request, response)

    async def execute_single(
        self,
        request: HttpRequest,
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: TemporalHttpResponse,
        context: GraphQLContext,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Carry an operation out, and write down what it read before it is told."""
        result = await super().execute_single(request, request_adapter, sub_response, context, root_value, request_data)
        failures = {
            str(error.path[0]): cause for error in result.errors or () if error.path and (cause := original(error))
        }
        if not failures and not context.gateway.trail.readings:
            # what changed the archive is written down already, and what is in the schema, anybody may know
            return result
        try:
            await in_thread(conclude)(context.gateway, failures)
        except Exception as error:  # noqa: BLE001 - whatever the database raises: it is masked, and logged
            return ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
        return result

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
        response = HttpResponse(self.encode_json(answer), status=status, content_type="application/json")
        if status == 401:
            response["WWW-Authenticate"] = CHALLENGE
        return response

    async def parse_multipart(self, request: AsyncHTTPRequestAdapter) -> dict[str, Any]:
        """Read a GraphQL multipart request (jaydenseric's specification 2.0) in a thread, and put its files in.

        It is for uploads only: others are turned away before it is read.
        """
        await in_thread(admit)(replace(self.gateway, operation="uploadPatient"))
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
        """Serve the page, which may ask the database who is logged in."""
        return await in_thread(page)(request)


def _operations(request: HttpRequest) -> dict[str, Any]:
    """The operations of a multipart request, with the files in the places that its map names."""
    form = receive(request)
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


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def graphql_view() -> Any:
    """The view for a URL pattern. The authenticator looks for forged requests, whatever their form."""
    view = csrf_exempt(GraphQLView.as_view(schema=schema, multipart_uploads_enabled=True))
    # a project may want its users to be logged in, which a token is not, or every request to be a transaction
    return login_not_required(transaction.non_atomic_requests(view))
