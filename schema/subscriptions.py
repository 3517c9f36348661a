"""GraphQL over server-sent events: the protocol of `graphql-sse`, in its distinct connections mode."""

import json
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import orjson
from django.http import HttpRequest
from graphql import GraphQLError
from strawberry.http import GraphQLRequestData
from strawberry.types.graphql import OperationType

from orthancproxy.access.callers import Caller
from orthancproxy.access.credentials import credentials_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.errors import GatewayError, LimitExceeded, NotFound
from orthancproxy.feed.log import LoggedChange
from orthancproxy.http.event_streams import event
from orthancproxy.http.job_streams import RenderedJob
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.jobs import find_visible
from orthancproxy.schema import schema
from orthancproxy.schema.changes import shown_changes
from orthancproxy.schema.context import GraphQLContext
from orthancproxy.schema.errors import original, shown
from orthancproxy.schema.jobs import shown_jobs
from orthancproxy.schema.urls import ResourceUrls

Result = tuple[object, Sequence[GraphQLError]]
COMPLETE = event(b"", name="complete")


@dataclass(frozen=True)
class SubscriptionSource:
    """What a subscription shows of changes: each is an event `next` with the result of the operation."""

    context: RequestContext
    request: HttpRequest
    data: GraphQLRequestData
    levels: frozenset[Level]

    @cached_property
    def key(self) -> Hashable:
        urls = ResourceUrls.of(self.request, self.context)
        # signed URLs are those of one caller
        owner = credentials_of(self.request, self.context.caller) if "signed" in (self.data.query or "") else None
        return self.data.query, self.data.operation_name, orjson.dumps(self.data.variables), urls.prefix, owner

    @property
    def calls_orthanc(self) -> bool:
        return True

    def render(self, changes: Sequence[LoggedChange], caller: Caller) -> bytes:
        """Execute the operation for each change. What it selects of their studies is fetched once for all.

        If that exceeds a limit, it is fetched for each study, within the same deadline.
        """
        gateway = self.context.for_delivery(caller)
        changes = [one for one in changes if one.change.level in self.levels]
        results = self._execute(changes, gateway)
        if any(isinstance(original(error), LimitExceeded) for result in results.values() for error in result[1]):
            of_study = defaultdict(list)
            for one in changes:
                of_study[one.change.study_orthanc_id].append(one)
            for some in of_study.values():
                budget = ObjectBudget(gateway.budget.maximum)
                results |= self._execute(some, replace(gateway, budget=budget))
        return b"".join(self._event(cursor, *result) for cursor, result in results.items())

    def _execute(self, changes: Sequence[LoggedChange], gateway: RequestContext) -> dict[int, Result]:
        """Return the data and the errors of each change, by its cursor."""
        context = GraphQLContext.for_delivery(self.request, gateway)
        results: dict[int, Result] = {}
        for change in shown_changes(changes):
            result = schema.execute_sync(
                self.data.query,
                variable_values=self.data.variables,
                context_value=context,
                root_value=change,
                operation_name=self.data.operation_name,
                allowed_operation_types=(OperationType.SUBSCRIPTION,),
            )
            results[change.logged.cursor] = (result.data, result.errors or [])
        return results

    def _event(self, cursor: int, data: object, failures: Sequence[GraphQLError]) -> bytes:
        errors = [shown(error, self.context.author.request_id) for error in failures]
        return next_event({"data": data} | ({"errors": errors} if errors else {}), cursor)

    def render_error(self, error: GatewayError) -> bytes:
        return error_event(error, self.context.author.request_id)


@dataclass(frozen=True)
class JobSubscriptionSource:
    """What a subscription shows of a job."""

    context: RequestContext
    request: HttpRequest
    data: GraphQLRequestData
    job_id: int

    def render(self, caller: Caller) -> RenderedJob:
        """Execute the operation for the job as it is now. Raises NotFound if the caller no longer sees it."""
        gateway = self.context.for_delivery(caller)
        row = find_visible(gateway, str(self.job_id))
        if row is None:
            raise NotFound("There is no such job.")
        result = schema.execute_sync(
            self.data.query,
            variable_values=self.data.variables,
            context_value=GraphQLContext.for_delivery(self.request, gateway),
            root_value=shown_jobs([row])[0],
            operation_name=self.data.operation_name,
            allowed_operation_types=(OperationType.SUBSCRIPTION,),
        )
        errors = [shown(error, self.context.author.request_id) for error in result.errors or ()]
        chunk = next_event({"data": result.data} | ({"errors": errors} if errors else {}), row.version)
        has_ended = row.ended_at is not None
        return RenderedJob(row.version, chunk + COMPLETE if has_ended else chunk, has_ended)

    def render_error(self, error: GatewayError) -> bytes:
        return error_event(error, self.context.author.request_id)


def error_event(error: GatewayError, request_id: str) -> bytes:
    """Return the end of a stream that fails."""
    return next_event({"errors": [shown(GraphQLError(str(error), original_error=error), request_id)]}) + COMPLETE


def next_event(response_data: object, cursor: int | None = None) -> bytes:
    """Return the event with the result of an operation."""
    return event(encode(response_data), name="next", cursor=cursor)


def encode(data: object) -> bytes:
    """Encode a response with orjson, which is ten times as fast as json."""
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        # a message that quotes an unpaired surrogate of the request, which only json can encode
        return json.dumps(data).encode()
