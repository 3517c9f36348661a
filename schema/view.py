"""The GraphQL endpoint: queries by POST and GET, and GraphiQL for browsers."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError
from strawberry.django.views import AsyncGraphQLView, TemporalHttpResponse
from strawberry.file_uploads.utils import replace_placeholders_with_files
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.http.sync_base_view import SyncBaseHTTPView
from strawberry.types import ExecutionResult

from orthancproxy.database import DATABASE_ERRORS, as_gateway_error, renewed_connections
from orthancproxy.errors import (
    GatewayError,
    InvalidRequest,
    LimitExceeded,
    NotAuthenticated,
    PermissionDenied,
    nearest,
)
from orthancproxy.http.error_responses import CHALLENGE, RETRY_AFTER, bad_request
from orthancproxy.http.multipart import receive
from orthancproxy.http.negotiation import preferred
from orthancproxy.logs import log_archive_failure
from orthancproxy.resolvers.operations import write_audit
from orthancproxy.resolvers.upload import require_upload_permission
from orthancproxy.schema import schema
from orthancproxy.schema.context import GraphQLContext
from orthancproxy.schema.errors import original, shown
from orthancproxy.schema.graphiql import page
from orthancproxy.threads import GRAPHQL, UPLOADS

# where both are as welcome, as to `*/*`, the first is what clients know that are older than the other
MEDIA_TYPES = ("application/json", "application/graphql-response+json")
Response = TypeVar("Response", bound=HttpResponseBase)
PLACE = re.compile(r"variables(\.([A-Za-z_]\w*|[0-9]+))+", re.ASCII)
# of errors that a request meets before it is one of GraphQL
STATUSES: Mapping[type[GatewayError], int] = {
    InvalidRequest: 400,
    NotAuthenticated: 401,
    PermissionDenied: 403,
    LimitExceeded: 413,
}


class GraphQLView(AsyncGraphQLView[GraphQLContext, None]):
    """Strawberry's async view with our context, our JSON and our GraphiQL. There is one for each request.

    It answers in either media type of GraphQL over HTTP. As application/json, a request that is one of GraphQL has
    the status 200 whatever comes of it; as application/graphql-response+json, 400 where nothing was executed.
    """

    context: GraphQLContext

    async def get_context(self, request: HttpRequest, response: HttpResponse) -> GraphQLContext:
        """Make what resolvers find in `info.context`."""
        self.context = GraphQLContext(request, response)
        return self.context

    async def execute_single(
        self,
        request: HttpRequest,
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: TemporalHttpResponse,
        context: GraphQLContext,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Carry an operation out in one thread, from who asks to what it read: a large one keeps nobody waiting."""
        threads = UPLOADS if request.content_type == "multipart/form-data" else GRAPHQL
        carry_out = partial(
            SyncBaseHTTPView.execute_single, cast("Any", self), request, cast("Any", request_adapter), sub_response
        )
        concluded = threads.run(_concluded, context, partial(carry_out, context, root_value, request_data))
        try:
            return await concluded
        except asyncio.CancelledError:
            # nobody waits for it: what it still reads is not fetched
            context.give_up()
            raise

    async def dispatch(  # type: ignore[override]  # the stubs know no async views
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Answer, in JSON also where the request is not one of GraphQL over HTTP."""
        try:
            return await self.run(request=request)
        except HTTPException as error:
            response = refusal(request, error.status_code, "BAD_USER_INPUT", error.reason)
            if error.status_code == 405:
                response["Allow"] = "GET, POST"
            return response
        except SuspiciousOperation as error:
            # a request beyond Django's own limits
            return bad_request(request, error)
        except GatewayError as error:
            return refusal(request, nearest(STATUSES, error) or 500, error.code, error.message)
        except DATABASE_ERRORS as error:
            unavailable = cast("GatewayError", as_gateway_error(error))
            log_archive_failure(unavailable, unavailable.code)
            response = refusal(request, 503, unavailable.code, unavailable.message)
            response["Retry-After"] = str(RETRY_AFTER)
            return response

    async def parse_multipart(self, request: AsyncHTTPRequestAdapter) -> dict[str, Any]:
        """Read a GraphQL multipart request (jaydenseric's specification 2.0) in a thread, and put its files in.

        It is for uploads only: others are turned away before it is read.
        """
        return await UPLOADS.run(_operations, self.context)

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        """Read a request; what is none, the caller is told."""
        try:
            data = await super().parse_http_body(request)
        except json.JSONDecodeError:
            raise
        except (AttributeError, TypeError, ValueError) as error:
            # JSON that is no object, or a content type that is none
            raise HTTPException(400, "The request is not a GraphQL request in JSON.") from error
        if isinstance(data, GraphQLRequestData) and not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "The GraphQL operation's `operationName` must be a string or null, if provided.")
        return data

    def decode_json(self, data: str | bytes) -> object:
        """Read JSON strictly (RFC 8259): in UTF-8, without NaN or halves of surrogate pairs, nested to 1,024."""
        return orjson.loads(data)

    async def process_result(self, request: HttpRequest, result: ExecutionResult) -> GraphQLHTTPResponse:
        """Put an answer together."""
        errors = [shown(error, _request_id(request)) for error in result.errors or ()]
        answer = {"data": result.data} | ({"errors": errors} if errors else {})
        is_current = preferred(request, MEDIA_TYPES) != MEDIA_TYPES[0]
        if is_current and result.data is None and all(map(_of_the_request, result.errors or ())):
            del answer["data"]
        return cast("GraphQLHTTPResponse", answer)

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: HttpResponse
    ) -> HttpResponseBase:
        """Answer in the media type that was asked for; what has no data was not executed."""
        response = super().create_response(response_data, sub_response)
        if "data" not in response_data:
            response.status_code = 400
        return _described(self.request, response)

    def encode_json(self, data: object) -> bytes:
        """Write the answer with orjson, ten times as fast as json."""
        try:
            return orjson.dumps(data)
        except orjson.JSONEncodeError:
            # a message that quotes half a surrogate pair of the request, which only json can write
            return json.dumps(data).encode()

    async def render_graphql_ide(self, request: HttpRequest) -> HttpResponse:
        """Serve the page, which may ask the database who is logged in."""
        return await GRAPHQL.run(page, request)


def refusal(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    """Answer a request that is not one of GraphQL over HTTP."""
    request_id = _request_id(request)
    # a project without our middleware has no request ids
    extensions = {"code": code} | ({"requestId": request_id} if request_id else {})
    response = JsonResponse({"errors": [{"message": message, "extensions": extensions}]}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    return _described(request, response)


def _described(request: HttpRequest, response: Response) -> Response:
    response["Content-Type"] = preferred(request, MEDIA_TYPES)
    patch_vary_headers(response, ["Accept"])
    # it may hold patient data
    response["Cache-Control"] = "private, no-store"
    return response


def _of_the_request(error: GraphQLError) -> bool:
    """Whether an error kept an operation from being executed: it is the caller's, and no field's."""
    return not error.path and isinstance(original(error), InvalidRequest | LimitExceeded | None)


@renewed_connections()
def _concluded(context: GraphQLContext, carry_out: Callable[[], ExecutionResult]) -> ExecutionResult:
    """Find out who asks, carry an operation out, and write down what it read before it is told."""
    gateway = context.gateway
    result = carry_out()
    failures = {str(error.path[0]): cause for error in result.errors or () if error.path and (cause := original(error))}
    has_read = bool(gateway.trail.readings)
    if not failures and not has_read:
        # what changed the archive is written down already, and what is in the schema, anybody may know
        return result
    try:
        write_audit(gateway, failures)
    except Exception as error:  # noqa: BLE001 - whatever the database raises: it is masked, and logged
        if not has_read:
            # that something failed can't be written down, and is told; what was done is written down already
            return result
        return ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
    return result


@renewed_connections()
def _operations(context: GraphQLContext) -> dict[str, Any]:
    """The operations of a multipart request, with the files in the places that its map names."""
    require_upload_permission(replace(context.gateway, operation="uploadPatient"))
    form = receive(context.request)
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
    view: Any = csrf_exempt(GraphQLView.as_view(schema=schema, multipart_uploads_enabled=True))
    view.refusal = refusal
    # a project may want its users to be logged in, which a token is not, or every request to be a transaction
    return login_not_required(transaction.non_atomic_requests(view))
