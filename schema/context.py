"""What a resolver finds in `info.context`."""

from dataclasses import dataclass, replace
from functools import cached_property

import strawberry
from django.http import HttpRequest

from orthancproxy.access.authentication import authenticate, author
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.schema.urls import ResourceUrls


@dataclass(frozen=True)
class GraphQLContext:
    """One GraphQL request, as Django has it."""

    request: HttpRequest

    @cached_property
    def gateway(self) -> RequestContext:
        """On whose behalf it is carried out; the database is asked. Raises NotAuthenticated and PermissionDenied."""
        caller = authenticate(self.request)
        return RequestContext(caller, author(self.request, caller), operation_name="graphql")

    def give_up(self) -> None:
        """Read no more from Orthanc. What changes the archive is carried out to its end."""
        if gateway := vars(self).get("gateway"):
            gateway.deadline.bring_forward()

    @cached_property
    def urls(self) -> ResourceUrls:
        """Where its URLs point."""
        return ResourceUrls.of(self.request, self.gateway)


Info = strawberry.Info[GraphQLContext, None]


def gateway(info: Info) -> RequestContext:
    """On whose behalf a field is resolved, and by what name the audit knows it."""
    return replace(info.context.gateway, operation_name=info.field_name)
