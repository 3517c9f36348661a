"""The GraphQL endpoint: queries by POST and GET, and GraphiQL for browsers."""

import json
from typing import Any, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError
from strawberry.django.views import AsyncGraphQLView
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.types import ExecutionResult

from orthancproxy.resolvers.context import RequestContext
from schema import schema
from schema.context import GraphQLContext
from schema.errors import shown
from schema.links import Links

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


class GraphQLView(AsyncGraphQLView[GraphQLContext, None]):
    """Strawberry's async view with our context, our JSON and our GraphiQL."""

    async def get_context(self, request: HttpRequest, response: HttpResponse) -> GraphQLContext:
        """Make what resolvers find in `info.context`."""
        return GraphQLContext(RequestContext(_request_id(request)), Links.of(request), request, response)

    async def dispatch(  # type: ignore[override]  # the stubs know no async views
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Answer, in JSON also where the request is not one of GraphQL over HTTP."""
        try:
            return await self.run(request=request)
        except HTTPException as error:
            answer = {"errors": [shown(GraphQLError(error.reason), _request_id(request))]}
            return HttpResponse(self.encode_json(answer), status=error.status_code, content_type="application/json")

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


def _request_id(request: HttpRequest) -> str:
    return getattr(request, "request_id", "")


def graphql_view() -> Any:
    """The view for a URL pattern. Without cookies that authenticate, there is no request that could be forged."""
    return csrf_exempt(GraphQLView.as_view(schema=schema))
