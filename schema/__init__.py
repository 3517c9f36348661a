"""The GraphQL transport: the Strawberry schema, and how a query becomes a plan."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from orthancproxy.schema.execution import CompiledExecutor
from orthancproxy.schema.limits import QueryLimits, has_introspection
from orthancproxy.schema.mutations import Mutation
from orthancproxy.schema.queries import Query
from orthancproxy.schema.types import Instance, Patient, Series, Study


class GatewaySchema(strawberry.Schema):
    """Strawberry's schema, which logs no query: there are patients' names in the filters."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave the log to the view, which knows what was unexpected."""

    def _get_custom_context_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Suggest no names of the schema in what is wrong with variables, where the schema is not for all eyes."""
        return {**super()._get_custom_context_kwargs(*args, **kwargs), "hide_suggestions": not has_introspection()}


schema = GatewaySchema(
    query=Query,
    mutation=Mutation,
    types=[Patient, Study, Series, Instance],
    config=StrawberryConfig(),
    execution_context_class=CompiledExecutor,
    extensions=[QueryLimits],
)
