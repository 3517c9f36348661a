"""Parses and validates queries, and rejects those that exceed the limits before they cost much.

A query within the limits passes the rest of the validation, whose rules compare fields with each other, in less than
0.2 s.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoFragmentCyclesRule,
    OperationDefinitionNode,
    UniqueFragmentNamesRule,
    parse,
    specified_rules,
    validate,
)
from graphql.language.parser import MAX_NESTING_DEPTH
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from orthancproxy.errors import LimitExceeded
from orthancproxy.http.event_streams import MAX_REQUEST_BYTES
from orthancproxy.schema.query_size import (
    IntrospectionDisabledError,
    Limits,
    MeasuredDocument,
    check,
    check_variables,
    exceeds,
)

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
# each can quote a whole argument
MAX_ERRORS = 5
CHARACTERS_PER_TOKEN = 25
# a token takes 0.6 KB: together, these limit the memory that untrusted queries take in a worker
MAX_CACHED_QUERIES = 64
MAX_CACHED_CHARACTERS = MAX_REQUEST_BYTES  # of subscriptions, which are executed for each event


class QueryLimits(SchemaExtension):
    """Parses and validates queries within the limits, and caches the results, as Strawberry's own caches do."""

    def on_parse(self) -> Iterator[None]:
        """Parse and validate; `on_validate` reports the errors."""
        context = self.execution_context
        query, limits = context.query or "", Limits.from_settings()
        checked = _cached_check if len(query) <= MAX_CACHED_CHARACTERS else _checked_query
        try:
            check_variables(context.variables, limits)
        except LimitExceeded as error:
            raise _limit_error(error) from None
        context.graphql_document, self._errors = checked(context.schema._schema, query, limits)
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        context.pre_execution_errors = list(self._errors)
        # Strawberry would execute the first operation (GraphQL section 6.1)
        if not self._errors and context._provided_operation_name is None and _has_several(context.graphql_document):
            error = GraphQLError("Must provide operation name if query contains multiple operations.")
            context.pre_execution_errors.append(error)
        yield


def _checked_query(schema: GraphQLSchema, text: str, limits: Limits) -> tuple[DocumentNode, Sequence[GraphQLError]]:
    """Return a query's document and its errors. Raises GraphQLError if it cannot be parsed."""
    document = _parsed(text, limits)
    try:
        if not MeasuredDocument(document).is_within(limits):
            # graphql-core's own messages about fragments that cannot be expanded
            return document, validate(schema, document, (UniqueFragmentNamesRule, NoFragmentCyclesRule), MAX_ERRORS)
    except (LimitExceeded, IntrospectionDisabledError) as error:
        return document, [_limit_error(error)]
    found = validate(schema, document, RULES, MAX_ERRORS, hide_suggestions=not limits.introspection)
    return document, [_as_caller_error(error) for error in found]


def _has_several(document: DocumentNode | None) -> bool:
    definitions = document.definitions if document else ()
    return sum(isinstance(one, OperationDefinitionNode) for one in definitions) > 1


_cached_check = lru_cache(MAX_CACHED_QUERIES)(_checked_query)


def _as_caller_error(error: GraphQLError) -> GraphQLError:
    """Return an error of the caller for a value that Python cannot convert, such as a number of 5,000 digits."""
    if isinstance(error.original_error, ValueError):
        return GraphQLError("A value of the query cannot be converted to its type.", error.nodes)
    return error


def _limit_error(error: Exception) -> GraphQLError:
    return GraphQLError(str(error), original_error=error if isinstance(error, LimitExceeded) else None)


def _parsed(text: str, limits: Limits) -> DocumentNode:
    length = limits.tokens * CHARACTERS_PER_TOKEN
    try:
        check("has {} characters", len(text), length, "maxQueryTokens, each of 25 characters")
        return parse(text, max_tokens=limits.tokens)
    except LimitExceeded as error:
        raise _limit_error(error) from None
    except GraphQLSyntaxError as error:
        if error.message == f"Syntax Error: Document contains more than {limits.tokens} tokens. Parsing aborted.":
            message = exceeds("has too many tokens", limits.tokens, "maxQueryTokens")
        elif error.message == "Syntax Error: Document is nested too deeply. Parsing aborted.":
            message = exceeds(f"is over {MAX_NESTING_DEPTH} levels deep", limits.depth, "maxQueryDepth")
        else:
            raise
        raise _limit_error(LimitExceeded(message)) from None
