"""The context of a GraphQL request, `info.context`."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import strawberry
from django.http import HttpRequest

from orthancproxy.access.authentication import authenticate, author
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.schema.urls import ResourceUrls


@dataclass(frozen=True)
class GraphQLContext:
    """What resolvers share while a GraphQL request is executed."""

    request: HttpRequest

    @cached_property
    def gateway(self) -> RequestContext:
        """The authenticated caller's request. Reads the database. Raises NotAuthenticated and PermissionDenied."""
        caller = authenticate(self.request)
        return RequestContext(caller, author(self.request, caller), operation_name="graphql")

    @classmethod
    def for_delivery(cls, request: HttpRequest, gateway: RequestContext) -> Self:
        """Return the context for a part of a stream, in which the caller has been authenticated again."""
        context = cls(request)
        vars(context)["gateway"] = gateway
        return context

    @cached_property
    def capabilities(self) -> Capabilities:
        """The capabilities of Orthanc, the same for the whole response. Raises ArchiveError."""
        return self.gateway.client.capabilities()

    def give_up(self) -> None:
        """Stop reading from Orthanc. A change of the archive continues to its end."""
        if gateway := vars(self).get("gateway"):
            gateway.deadline.abandon()

    @cached_property
    def urls(self) -> ResourceUrls:
        """The URLs of this request's host and mount point."""
        return ResourceUrls.of(self.request, self.gateway)


Info = strawberry.Info[GraphQLContext, None]


def gateway(info: Info) -> RequestContext:
    """Return the request for one root field, whose name is the operation in the audit log."""
    return replace(info.context.gateway, operation_name=info.field_name)
