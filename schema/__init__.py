"""The GraphQL transport: the Strawberry schema, and how a query becomes a plan."""

import strawberry
from graphql import GraphQLError
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.execution import CompiledExecutor
from schema.mutations import Mutation
from schema.queries import Query
from schema.types import Instance, Patient, Series, Study


class GatewaySchema(strawberry.Schema):
    """Strawberry's schema, which logs no query: there are patients' names in the filters."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave the log to the view, which knows what was unexpected."""


schema = GatewaySchema(
    query=Query,
    mutation=Mutation,
    types=[Patient, Study, Series, Instance],
    config=StrawberryConfig(),
    execution_context_class=CompiledExecutor,
    extensions=[
        lambda: ParserCache(maxsize=256),
        lambda: ValidationCache(maxsize=256),
    ],
)
