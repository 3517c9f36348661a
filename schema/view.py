"""The GraphQL endpoint: queries by POST and GET, and GraphiQL for browsers."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any, TypeVar, cast

import orjson
from cross_web import HTTPException, SyncHTTPRequestAdapter
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError
from strawberry.django import views
from strawberry.file_uploads.utils import replace_placeholders_with_files
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from orthancproxy.access.credentials import credentials_of
from orthancproxy.database import DATABASE_ERRORS, as_gateway_error, renewed_connections
from orthancproxy.errors import GatewayError, InvalidRequest, LimitExceeded, nearest
from orthancproxy.http.change_streams import ChangeStream
from orthancproxy.http.error_responses import CHALLENGE, RETRY_AFTER, STATUSES, bad_request
from orthancproxy.http.event_streams import event_streams
from orthancproxy.http.job_streams import JobStream
from orthancproxy.http.multipart import receive
from orthancproxy.http.negotiation import EVENT_STREAM, preferred
from orthancproxy.logs import log_archive_failure
from orthancproxy.request_record import note_errors
from orthancproxy.resolvers.upload import require_upload_permission
from orthancproxy.schema import schema
from orthancproxy.schema.changes import Opening, SubscriptionBegins
from orthancproxy.schema.context import GraphQLContext
from orthancproxy.schema.errors import original, shown
from orthancproxy.schema.graphiql import page
from orthancproxy.schema.jobs import JobOpening
from orthancproxy.schema.subscriptions import COMPLETE, JobSubscriptionSource, SubscriptionSource, encode, next_event
from orthancproxy.threads import GRAPHQL, UPLOADS

# a client that accepts both equally (`*/*`) gets the first, which older clients know
MEDIA_TYPES = ("application/json", "application/graphql-response+json")
RETRYABLE = frozenset(kind.code for kind, status in STATUSES.items() if status == 503)
FORM = "multipart/form-data"
Response = TypeVar("Response", bound=HttpResponseBase)
PLACE = re.compile(r"variables(\.([A-Za-z_]\w*|[0-9]+))+", re.ASCII)


class PersistedQueryNotSupported(HTTPException):
    """A query is named by its hash: Apollo Client sends the query after an error with this message (its protocol)."""

    def __init__(self) -> None:
        super().__init__(200, "PersistedQueryNotSupported")


class GraphQLView(views.GraphQLView[GraphQLContext, None]):
    """Strawberry's synchronous view with our context, errors, JSON and GraphiQL; one for each request.

    It supports both media types of GraphQL over HTTP. As application/json, every GraphQL request has the status
    200, whatever its result; as application/graphql-response+json, 400 if nothing was executed.
    """

    def __init__(self, context: GraphQLContext) -> None:
        super().__init__(schema=schema, multipart_uploads_enabled=True)
        self.context = context
        self.request = context.request
        self._begun: tuple[Opening | JobOpening, GraphQLRequestData] | None = None

    @renewed_connections()
    def respond(self) -> HttpResponseBase:
        """Return the response, which is JSON even if the request is not GraphQL over HTTP."""
        try:
            return self.run(self.request)
        except HTTPException as error:
            is_persisted = isinstance(error, PersistedQueryNotSupported)
            code = "PERSISTED_QUERY_NOT_SUPPORTED" if is_persisted else "BAD_USER_INPUT"
            response = render_error(self.request, error.status_code, code, error.reason)
            if error.status_code == 405:
                response["Allow"] = "GET, POST"
            return response
        except SuspiciousOperation as error:
            # a request beyond Django's own limits
            return bad_request(self.request, error)
        except (GatewayError, *DATABASE_ERRORS) as error:
            failure = cast("GatewayError", as_gateway_error(error))
            log_archive_failure(failure, failure.code)
            response = render_error(self.request, nearest(STATUSES, failure) or 500, failure.code, failure.message)
            if response.status_code == 503:
                response["Retry-After"] = str(RETRY_AFTER)
            return response

    def run(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the response, or raise HTTPException for a WebSocket."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            raise HTTPException(400, "WebSockets are not supported: send queries and mutations over HTTP.")
        return super().run(request, *args, **kwargs)

    def get_context(self, request: HttpRequest, response: HttpResponse) -> GraphQLContext:
        """Return the context that resolvers get as `info.context`."""
        return self.context

    def parse_multipart(self, request: SyncHTTPRequestAdapter) -> dict[str, Any]:
        """Parse a GraphQL multipart request (jaydenseric's specification 2.0), with the files in its variables.

        Raises PermissionDenied before the body is read if the caller may not upload.
        """
        require_upload_permission(replace(self.context.gateway, operation_name="uploadPatient"))
        form = receive(self.request)
        try:
            operations = orjson.loads(form.text("operations"))
            places = orjson.loads(form.text("map"))
        except orjson.JSONDecodeError as error:
            raise HTTPException(400, "The fields `operations` and `map` must be JSON.") from error
        sent = set(form.files) - {"operations", "map"}
        if isinstance(places, dict) and sent - places.keys():
            raise HTTPException(400, "The form has files that `map` does not name.")
        if any(len(form.files.getlist(name)) > 1 for name in sent):
            raise HTTPException(400, "The form has several files of one name: give each its own.")
        try:
            if all(PLACE.fullmatch(path) for paths in places.values() for path in paths):
                return replace_placeholders_with_files(operations, places, form.files)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            pass
        raise HTTPException(400, "`map` must map files of the form to paths in `variables`.")

    def parse_http_body(self, request: SyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        """Authenticate the caller and parse a request. Raises HTTPException for a malformed or unsupported one."""
        _ = self.context.gateway
        try:
            data = super().parse_http_body(request)
        except json.JSONDecodeError:
            raise
        except (AttributeError, TypeError, ValueError) as error:
            # JSON that is not an object, or a malformed content type
            raise HTTPException(400, "The request is not a GraphQL request in JSON.") from error
        if isinstance(data, GraphQLRequestData) and data.query is None and "persistedQuery" in (data.extensions or {}):
            raise PersistedQueryNotSupported
        if isinstance(data, GraphQLRequestData) and not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "The GraphQL operation's `operationName` must be a string or null, if provided.")
        return data

    def decode_json(self, data: str | bytes) -> object:
        """Parse JSON strictly (RFC 8259): UTF-8, without NaN or unpaired surrogates, at most 1,024 levels deep."""
        return orjson.loads(data)

    def execute_single(
        self,
        request: HttpRequest,
        request_adapter: SyncHTTPRequestAdapter,
        sub_response: views.TemporalHttpResponse,
        context: GraphQLContext,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Authenticate the caller, execute the operation, and audit what it read.

        If that cannot be audited, the response has an error instead of data.
        """
        gateway, result = context.gateway, None
        try:
            with gateway:
                result = super().execute_single(
                    request, request_adapter, sub_response, context, root_value, request_data
                )
                causes = {str(error.path[0]): original(error) for error in result.errors or () if error.path}
                for field, cause in causes.items():
                    if isinstance(cause, SubscriptionBegins):
                        self._begun = cause.opening, request_data
                    elif isinstance(cause, Exception):
                        gateway.fail(cause, field)
        except Exception as error:
            if result is None:
                raise
            # nor does a subscription begin
            self._begun = None
            return ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
        return result

    def process_result(self, request: HttpRequest, result: ExecutionResult) -> GraphQLHTTPResponse:
        """Return the response, with errors in the form of the API."""
        if self._begun:
            return {"data": None}
        errors = [shown(error, _request_id(request)) for error in result.errors or ()]
        answer = {"data": result.data} | ({"errors": errors} if errors else {})
        is_current = preferred(request, MEDIA_TYPES) != MEDIA_TYPES[0]
        if is_current and result.data is None and all(map(_of_the_request, result.errors or ())):
            del answer["data"]
        return cast("GraphQLHTTPResponse", answer)

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: HttpResponse
    ) -> HttpResponseBase:
        """Respond in the media type that the client prefers. A response without `data` was not executed.

        As text/event-stream, it is the only event of a stream, unless it is a subscription (GraphQL over SSE, distinct
        connections mode).
        """
        if self._begun:
            opening, data = self._begun
            gateway = self.context.gateway
            credentials = credentials_of(self.request, gateway.caller)
            if isinstance(opening, JobOpening):
                job_source = JobSubscriptionSource(gateway, self.request, data, opening.job_id)
                return event_streams.respond(JobStream(event_streams, job_source, credentials))
            source = SubscriptionSource(gateway, self.request, data, opening.levels)
            return event_streams.respond(ChangeStream(event_streams, source, credentials, opening.cursor))
        if preferred(self.request, (*MEDIA_TYPES, EVENT_STREAM)) == EVENT_STREAM:
            only = next_event(response_data) + COMPLETE
            return _described(self.request, HttpResponse(only), EVENT_STREAM)
        response = super().create_response(response_data, sub_response)
        if "data" not in response_data:
            response.status_code = 400
        errors = cast("dict[str, Any]", response_data).get("errors", ())
        if any(error["extensions"]["code"] in RETRYABLE for error in errors):
            response["Retry-After"] = str(RETRY_AFTER)
        return _described(self.request, response)

    def encode_json(self, data: object) -> bytes:
        return encode(data)

    def render_graphql_ide(self, request: HttpRequest) -> HttpResponse:
        return page(request)


def render_error(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    """Return the response to a request that is not GraphQL over HTTP."""
    note_errors([code])
    request_id = _request_id(request)
    # a project without our middleware has no request ids
    extensions = {"code": code} | ({"requestId": request_id} if request_id else {})
    response = JsonResponse({"errors": [{"message": message, "extensions": extensions}]}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    return _described(request, response)


def _described(request: HttpRequest, response: Response, media_type: str = "") -> Response:
    response["Content-Type"] = media_type or preferred(request, MEDIA_TYPES)
    patch_vary_headers(response, ["Accept"])
    # it may hold patient data
    response["Cache-Control"] = "private, no-store"
    return response


def _of_the_request(error: GraphQLError) -> bool:
    """Whether the caller caused the error and it prevented the execution of the operation."""
    return not error.path and isinstance(original(error), InvalidRequest | LimitExceeded | None)


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


async def _respond(request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponseBase:
    """Respond from one thread, from authentication to JSON: a large response delays no other request (ADR 0013)."""
    view = GraphQLView(GraphQLContext(request))
    pool = UPLOADS if request.content_type == FORM else GRAPHQL
    try:
        return await pool.run(view.respond)
    except asyncio.CancelledError:
        # the client has disconnected: fetch no more for it
        view.context.give_up()
        raise


def graphql_view() -> Any:
    """Return the view for a URL pattern. It is exempt from Django's CSRF check: `authenticate` has one of its own."""
    view: Any = csrf_exempt(_respond)
    view.render_error = render_error
    view.is_upload = True
    # despite LoginRequiredMiddleware, which knows no tokens, and ATOMIC_REQUESTS of the project
    return login_not_required(transaction.non_atomic_requests(view))
