"""Fast completion: a selection of plain fields is compiled once and runs over thousands of resources (ADR 0012).

graphql-core takes 5 µs for each field of each object. Here a selection becomes one Python expression, such as

    lambda record: {"id": k0(record), "rows": value if (value := record.rows).__class__ is int else unexpected()}

It returns a value only if everything is exactly as declared. At the first deviation (a wrong type, null for a required
value, an exception) its result is discarded and graphql-core completes the value, so that nulls, errors, their paths
and messages are graphql-core's own.
"""

from collections.abc import Callable, Coroutine, Generator
from functools import lru_cache, partial
from math import inf
from types import CodeType
from typing import Any, NoReturn

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLString,
    Undefined,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path
from strawberry.schema import Schema
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import get_arguments
from strawberry.types.field import StrawberryField

from orthancproxy.conf import conf

PLAIN = {"plain": True}
"""Metadata of a field whose resolver reads only its parent, its arguments, `info.context` and `info.path.key`."""

Complete = Callable[[Any], dict[str, Any]]

# the conditions under which graphql-core returns a value unchanged
_AS_IT_IS = {
    GraphQLString: "{0}.__class__ is str",
    GraphQLID: "{0}.__class__ is str",
    GraphQLInt: "{0}.__class__ is int and -0x80000000 <= {0} <= 0x7FFFFFFF",
    GraphQLFloat: "{0}.__class__ is float and -inf < {0} < inf",
    GraphQLBoolean: "{0}.__class__ is bool",
}
_DIRECTIVES = frozenset({"skip", "include"})


class _UnexpectedError(Exception):
    """A value that only graphql-core can complete."""


class _NotPlainError(Exception):
    """A selection that only graphql-core can execute."""


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, with compiled expressions for selections of plain fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # an extension with a `resolve` must see every field
        watched = self.middleware_manager is not None and self.middleware_manager.middlewares
        self._is_on = conf.ORTHANC_COMPILED_EXECUTION and not watched
        # by type and selection; keeping the details keeps their addresses from being reused
        self._compiled: dict[tuple[GraphQLObjectType, int], tuple[list[FieldDetails], Complete | None]] = {}
        self._ordinary: set[type] = set()

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if complete := self._completion(return_type, field_details_list, info):
            try:
                return complete(result)
            except Exception:  # noqa: BLE001, S110 - graphql-core raises it again, and reports it
                pass
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def complete_list_value(
        self,
        return_type: GraphQLList[Any],
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Complete a list of objects; graphql-core completes other lists."""
        item_type, is_required = _nullability(return_type.of_type)
        if (
            isinstance(item_type, GraphQLObjectType)
            and result.__class__ in (list, tuple)
            and (complete := self._completion(item_type, field_details_list, info))
        ):
            try:
                if is_required:
                    return [complete(item) for item in result]
                return [None if item is None else complete(item) for item in result]
            except Exception:  # noqa: BLE001, S110
                pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _completion(
        self, of_type: GraphQLObjectType, details: list[FieldDetails], info: GraphQLResolveInfo[Any]
    ) -> Complete | None:
        """Return the function that completes objects of a type; None if the selection has other than plain fields."""
        if not self._is_on:
            return None
        key = of_type, id(details)
        if key not in self._compiled:
            try:
                complete = _Selection(self, info).compiled(of_type, details)
            except Exception:  # noqa: BLE001 - graphql-core reports what is wrong with the query
                complete = None
            self._compiled[key] = details, complete
        return self._compiled[key][1]

    def is_ordinary(self, of_class: type) -> bool:
        """Return whether graphql-core accepts a value of this class as the type, and cache that."""
        if issubclass(of_class, _SPECIAL) or hasattr(of_class, "__await__"):
            return False
        self._ordinary.add(of_class)
        return True


_SPECIAL = (type(None), type(Undefined), Exception, Coroutine, Generator)


class _Selection:
    """Compiles one selection set, and through the executor those below it."""

    def __init__(self, executor: CompiledExecutor, info: GraphQLResolveInfo[Any]) -> None:
        self._executor = executor
        self._info = info
        self._strawberry: Schema = info.schema._strawberry_schema  # type: ignore[attr-defined]  # what Info.schema reads
        self._names: dict[str, Any] = {
            "__builtins__": {},
            "str": str,
            "int": int,
            "float": float,
            "bool": bool,
            "list": list,
            "tuple": tuple,
            "inf": inf,
            "ordinary": executor._ordinary,
            "is_ordinary": executor.is_ordinary,
            "unexpected": _unexpected,
        }

    def compiled(self, of_type: GraphQLObjectType, details: list[FieldDetails]) -> Complete:
        """Return the function that completes one object. Raises if a field is not plain."""
        fields = self._executor.collect_subfields(of_type, details).grouped_field_set
        items = ", ".join(f"{name!r}: {self._field(of_type, name, inner)}" for name, inner in fields.items())
        conditions = "(record.__class__ in ordinary or is_ordinary(record.__class__))"
        if of_type.is_type_of:
            conditions += f" and {self._constant(of_type.is_type_of)}(record, {self._constant(self._info)}) is True"
        source = f"lambda record: {{{items}}} if {conditions} else unexpected()"
        complete: Complete = eval(_code(source), self._names)  # noqa: S307 - names are GraphQL's, values are constants
        return complete

    def _constant(self, value: Any) -> str:
        name = f"k{len(self._names)}"
        self._names[name] = value
        return name

    def _field(self, parent: GraphQLObjectType, name: str, details: list[FieldDetails]) -> str:
        node = details[0].node
        if any(directive.name.value not in _DIRECTIVES for one in details for directive in one.node.directives or ()):
            raise _NotPlainError
        if node.name.value == "__typename":
            return repr(parent.name)
        field = parent.fields[node.name.value]
        definition = field.extensions["strawberry-definition"]
        # extensions of a field change how it is resolved
        if type(definition) is not StrawberryField or definition.extensions:
            raise _NotPlainError
        if definition.base_resolver is None:
            value = f"record.{definition.python_name}"
        elif definition.metadata.get("plain"):
            value = f"{self._resolver(parent, name, field, definition, details)}(record)"
        else:
            raise _NotPlainError
        return self._completed(field.type, value, "value", details)

    def _completed(self, of_type: Any, raw: str, value: str, details: list[FieldDetails]) -> str:
        """Return the expression that completes `raw`, a call or an item; `value` is an unused name."""
        of_type, is_required = _nullability(of_type)
        first = value if raw == value else f"({value} := {raw})"
        if as_it_is := _AS_IT_IS.get(of_type):
            condition = as_it_is.format(value).replace(value, first, 1)
            return f"({value} if {condition}{'' if is_required else f' or {value} is None'} else unexpected())"
        if is_leaf_type(of_type):
            completed = f"{self._constant(partial(self._leaf, of_type))}({value})"
        elif isinstance(of_type, GraphQLList):
            item = f"{value}_"
            items = self._completed(of_type.of_type, item, item, details)
            completed = f"([{items} for {item} in {value}] if {value}.__class__ in (list, tuple) else unexpected())"
        elif isinstance(of_type, GraphQLObjectType):
            complete = self._executor._completion(of_type, details, self._info)
            if complete is None:
                raise _NotPlainError
            completed = f"{self._constant(complete)}({value})"
        else:
            raise _NotPlainError
        otherwise = "unexpected()" if is_required else "None"
        return f"({otherwise} if {first} is None else {completed})"

    def _leaf(self, of_type: Any, value: Any) -> Any:
        """Serialize a value of an enum or of a custom scalar."""
        if not self._executor.is_ordinary(value.__class__):
            _unexpected()
        return self._executor.complete_leaf_value(of_type, value)

    def _resolver(
        self,
        parent: GraphQLObjectType,
        name: str,
        field: GraphQLField,
        definition: StrawberryField,
        details: list[FieldDetails],
    ) -> str:
        """Return a plain resolver bound to its arguments, which are the same for every resource."""
        executor, resolver = self._executor, definition.base_resolver
        assert resolver is not None  # noqa: S101 - tells mypy
        first = resolver.self_parameter or resolver.parent_parameter or resolver.root_parameter
        if definition.is_async or first is None or first.name != next(iter(resolver.signature.parameters)):
            raise _NotPlainError
        path = Path(self._info.path, name, parent.name)
        raw = executor.build_resolve_info(field, [one.node for one in details], parent, path)
        info = self._strawberry.config.info_class(_raw_info=raw, _field=definition)
        _, arguments = get_arguments(
            field=definition,
            source=None,
            info=info,
            kwargs=get_argument_values(
                field,
                details[0].node,
                executor.variable_values,
                details[0].fragment_variable_values,
                executor.hide_suggestions,
            ),
            config=self._strawberry.config,
            scalar_registry=self._strawberry.schema_converter.scalar_registry,
        )
        arguments.pop(first.name, None)
        resolve: Any = resolver.wrapped_func
        return self._constant(partial(resolve, **arguments) if arguments else resolve)


def _nullability(of_type: Any) -> tuple[Any, bool]:
    """Return the nullable type, and whether it was non-null."""
    return (of_type.of_type, True) if isinstance(of_type, GraphQLNonNull) else (of_type, False)


def _unexpected() -> NoReturn:
    raise _UnexpectedError


@lru_cache(maxsize=256)
def _code(source: str) -> CodeType:
    return compile(source, "<selection>", "eval")
