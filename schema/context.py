"""What a resolver finds in `info.context`."""

from dataclasses import dataclass

import strawberry
from django.http import HttpRequest, HttpResponse

from orthancproxy.resolvers.context import RequestContext
from schema.links import Links


@dataclass(frozen=True, slots=True)
class GraphQLContext:
    """One GraphQL request: on whose behalf, where its URLs point, and Django's own request and response."""

    gateway: RequestContext
    links: Links
    request: HttpRequest
    response: HttpResponse


Info = strawberry.Info[GraphQLContext, None]
