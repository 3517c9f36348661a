"""What a resolver finds in `info.context`."""

from dataclasses import dataclass, replace

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


def gateway(info: Info) -> RequestContext:
    """On whose behalf a field is resolved, and by what name the audit knows it."""
    return replace(info.context.gateway, operation=info.field_name)
