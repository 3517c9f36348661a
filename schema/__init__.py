"""The GraphQL transport: the Strawberry schema and the view."""

from typing import Any

import strawberry
from graphql import GraphQLError, Undefined
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from orthancproxy.schema.changes import Subscription
from orthancproxy.schema.execution import CompiledExecutor
from orthancproxy.schema.jobs import Job
from orthancproxy.schema.limits import QueryLimits
from orthancproxy.schema.mutations import Mutation
from orthancproxy.schema.queries import Query
from orthancproxy.schema.query_size import has_introspection
from orthancproxy.schema.scalars import SCALARS
from orthancproxy.schema.types import Instance, Patient, Series, Study


class GatewaySchema(strawberry.Schema):
    """Strawberry's schema without defaults of null. It logs no queries, since filters contain patients' names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # an optional argument is one whose resolver has the default None; to clients, that is no default
        for kind in self._schema.type_map.values():
            for place in (kind, *getattr(kind, "fields", {}).values()):
                for value in (*getattr(place, "args", {}).values(), place):
                    if getattr(value, "default_value", Undefined) is None:
                        value.default_value = Undefined

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave logging to the view, which knows which errors are unexpected."""

    def _get_custom_context_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Suggest no names of the schema in errors about variables if introspection is off."""
        return {**super()._get_custom_context_kwargs(*args, **kwargs), "hide_suggestions": not has_introspection()}


schema = GatewaySchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Patient, Study, Series, Instance, Job],
    config=StrawberryConfig(scalar_map=SCALARS),
    execution_context_class=CompiledExecutor,
    extensions=[QueryLimits],
)
