"""Answers of graphql-core and of the compiled path, and what they are compared by."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError
from hypothesis import HealthCheck, Phase, settings
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext, ExecutionResult

from orthancproxy.schema.execution import CompiledExecutor
from tests.schema.execution_queries import Query

# the same examples whenever the same modules are loaded, and none on disk
REPEATABLY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass
class Paths:
    """Executes queries both ways, and counts what it sees."""

    schema: strawberry.Schema
    monkeypatch: pytest.MonkeyPatch
    loop: asyncio.Runner
    compared: int = 0
    with_data: int = 0
    with_errors: int = 0
    # of which class the executor was that executed a field, and how often
    fields: dict[type, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        execute_field = StrawberryGraphQLCoreExecutionContext.execute_field

        def count(executor: Any, *args: Any) -> Any:
            self.fields[type(executor)] = self.fields.get(type(executor), 0) + 1
            return execute_field(executor, *args)

        self.monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "execute_field", count)
        # thousands of errors are not for the log
        self.monkeypatch.setattr(type(self.schema), "process_errors", _ignore)

    def compare(self, query: Query, make_context: Callable[[], object], make_root: Callable[[], object]) -> None:
        """Fail where the two differ. Data are made anew for each, because generators are read once."""
        expected = self._answer(StrawberryGraphQLCoreExecutionContext, query, make_context(), make_root())
        compiled = self._answer(CompiledExecutor, query, make_context(), make_root())
        assert exactly(compiled.data) == exactly(expected.data)
        assert shown(compiled.errors) == shown(expected.errors)
        self.compared += 1
        self.with_data += bool(expected.data)
        self.with_errors += bool(expected.errors)
        # an invalid query says nothing
        assert expected.data is not None or (expected.errors and expected.errors[0].path), expected.errors

    def _answer(self, executor: type, query: Query, context: object, root: object) -> ExecutionResult:
        self.monkeypatch.setattr(self.schema, "execution_context_class", executor)
        result = self.loop.run(self.schema.execute(query.text, query.variables, context, root))
        assert isinstance(result, ExecutionResult)
        return result

    def check(self, at_least: int) -> None:
        """Fail where that was no test: too few answers or errors, or hardly anything that took the fast path."""
        assert self.compared >= at_least
        assert self.with_data > at_least // 2
        assert self.with_errors > at_least // 20
        # 0.64 to 0.69: Hypothesis draws from the constants of all loaded modules, and so from what ran before
        assert self.fields[CompiledExecutor] < self.fields[StrawberryGraphQLCoreExecutionContext] * 4 / 5


def _ignore(_schema: strawberry.Schema, _errors: list[GraphQLError], _context: ExecutionContext | None = None) -> None:
    pass


def exactly(value: object) -> object:
    """A value as something that is equal only to the same value of the same types, with its keys in the same order."""
    if isinstance(value, dict):
        return type(value), [(key, exactly(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [exactly(inner) for inner in value]
    return type(value), repr(value)


def shown(errors: Sequence[GraphQLError] | None) -> list[object]:
    """Errors as a client sees them, with what they came from."""
    return [(error.formatted, type(error.original_error), str(error.original_error)) for error in errors or ()]
