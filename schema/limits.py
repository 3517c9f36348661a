"""What one query may ask for: its text and its shape are measured before anything costs much.

A query is read once, in linear time: fragments are measured once, wherever they are spread. One that is within the
limits passes the rest of the validation, whose rules compare fields with each other, in less than 0.2 s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from django.conf import settings
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    ListValueNode,
    NoFragmentCyclesRule,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    UniqueFragmentNamesRule,
    parse,
    specified_rules,
    validate,
)
from graphql.language.parser import MAX_NESTING_DEPTH
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from orthancproxy.conf import conf
from orthancproxy.errors import LimitExceeded

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
# each may quote a whole argument
MAX_ERRORS = 5
CHARACTERS_PER_TOKEN = 25
# a token takes 0.6 KB: together, these bound what strangers can make a worker remember
REMEMBERED = 64
REMEMBERED_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that bound a query."""

    tokens: int
    depth: int
    fields: int
    aliases: int
    repeats: int
    introspection: bool

    @classmethod
    def from_settings(cls) -> "Limits":
        """What the settings say now."""
        return cls(
            tokens=conf.ORTHANC_MAX_QUERY_TOKENS,
            depth=conf.ORTHANC_MAX_QUERY_DEPTH,
            fields=conf.ORTHANC_MAX_QUERY_FIELDS,
            aliases=conf.ORTHANC_MAX_QUERY_ALIASES,
            repeats=conf.ORTHANC_MAX_QUERY_REPEATS,
            introspection=has_introspection(),
        )


def has_introspection() -> bool:
    """Whether clients may read the schema, and are told names like those that they got wrong."""
    return conf.ORTHANC_INTROSPECTION or settings.DEBUG


class QueryLimits(SchemaExtension):
    """Parses and validates queries within the limits. It remembers what it found, as Strawberry's caches do."""

    def on_parse(self) -> Iterator[None]:
        """Parse; what validation finds is told when it is its turn."""
        context = self.execution_context
        query, limits = context.query or "", Limits.from_settings()
        checked = _remembered if len(query) <= REMEMBERED_LENGTH else _checked
        context.graphql_document, self._errors = checked(context.schema._schema, query, limits)
        yield

    def on_validate(self) -> Iterator[None]:
        """Tell what is wrong with the query."""
        context = self.execution_context
        context.pre_execution_errors = list(self._errors)
        # Strawberry would take the first (GraphQL section 6.1)
        if not self._errors and context._provided_operation_name is None and _has_several(context.graphql_document):
            error = GraphQLError("Must provide operation name if query contains multiple operations.")
            context.pre_execution_errors.append(error)
        yield


def _checked(schema: GraphQLSchema, text: str, limits: Limits) -> tuple[DocumentNode, Sequence[GraphQLError]]:
    """A query's document, and what is wrong with it. Raises GraphQLError where there is no document."""
    document = _parsed(text, limits)
    try:
        if not _Document(document).is_within(limits):
            # the standard's own words about fragments that can't be spread out
            return document, validate(schema, document, (UniqueFragmentNamesRule, NoFragmentCyclesRule), MAX_ERRORS)
    except (LimitExceeded, _NoIntrospectionError) as error:
        return document, [_refusal(error)]
    found = validate(schema, document, RULES, MAX_ERRORS, hide_suggestions=not limits.introspection)
    return document, [_in_our_words(error) for error in found]


def _has_several(document: DocumentNode | None) -> bool:
    definitions = document.definitions if document else ()
    return sum(isinstance(one, OperationDefinitionNode) for one in definitions) > 1


_remembered = lru_cache(REMEMBERED)(_checked)


class _NoIntrospectionError(Exception):
    """The query asks for the schema, which it may not."""


def _in_our_words(error: GraphQLError) -> GraphQLError:
    """What Python said of a value, such as a number of 5,000 digits, is an error of the caller's all the same."""
    if isinstance(error.original_error, ValueError):
        return GraphQLError("A value of the query can't be read as one of its type.", error.nodes)
    return error


def _refusal(error: Exception) -> GraphQLError:
    return GraphQLError(str(error), original_error=error if isinstance(error, LimitExceeded) else None)


def _parsed(text: str, limits: Limits) -> DocumentNode:
    length = limits.tokens * CHARACTERS_PER_TOKEN
    try:
        _check("has {} characters", len(text), length, "maxQueryTokens, each of 25 characters")
        return parse(text, max_tokens=limits.tokens)
    except LimitExceeded as error:
        raise _refusal(error) from None
    except GraphQLSyntaxError as error:
        if error.message == f"Syntax Error: Document contains more than {limits.tokens} tokens. Parsing aborted.":
            message = _sentence("has too many tokens", limits.tokens, "maxQueryTokens")
        elif error.message == "Syntax Error: Document is nested too deeply. Parsing aborted.":
            message = _sentence(f"is over {MAX_NESTING_DEPTH} levels deep", limits.depth, "maxQueryDepth")
        else:
            raise
        raise _refusal(LimitExceeded(message)) from None


def _check(what: str, found: int, limit: int, name: str) -> None:
    """Raise LimitExceeded where there is more of something than is allowed."""
    if found > limit:
        # a few doubled fragments make numbers of hundreds of digits
        raise LimitExceeded(_sentence(what.format(found if found < 10**9 else "over 1000000000"), limit, name))


def _sentence(what: str, limit: int, name: str) -> str:
    return f"The query {what}; at most {limit} are allowed (server.limits.{name})."


@dataclass(slots=True)
class _Size:
    """How much there is in a definition: with `spreads`, without the fragments that it spreads at these depths."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    spreads: list[tuple[str, int]] = field(default_factory=list)
    introspection: bool = False

    def with_fragments(self, fragments: Mapping[str, "_Size"]) -> "_Size":
        """The same with its fragments spread out."""
        spread = [(fragments[name], depth) for name, depth in self.spreads if name in fragments]
        return _Size(
            depth=max([self.depth, *(depth + one.depth for one, depth in spread)]),
            fields=self.fields + sum(one.fields for one, _ in spread),
            aliases=self.aliases + sum(one.aliases for one, _ in spread),
            directives=self.directives + sum(one.directives for one, _ in spread),
        )


class _Document:
    """A document, taken apart."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._operations = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
        self._fragments = [one for one in definitions if isinstance(one, FragmentDefinitionNode)]

    def is_within(self, limits: Limits) -> bool:
        """Whether the query is within the limits; False where its fragments can't be spread out.

        Raises LimitExceeded where it is not.
        """
        _check("has {} operations", len(self._operations), limits.repeats, "maxQueryRepeats")
        _check("has {} fragments", len(self._fragments), limits.repeats, "maxQueryRepeats")
        operations = [_measured(one) for one in self._operations]
        fragments = {one.name.value: _measured(one) for one in self._fragments}
        if not limits.introspection and any(size.introspection for size in (*operations, *fragments.values())):
            raise _NoIntrospectionError("Introspection is off in this gateway: ORTHANC_INTROSPECTION turns it on.")
        if len(fragments) < len(self._fragments):
            return False
        try:
            self._check_sizes(operations, fragments, limits)
        except CycleError:
            return False
        self._check_places(limits)
        return True

    def _check_sizes(self, operations: Sequence[_Size], fragments: Mapping[str, _Size], limits: Limits) -> None:
        spread = {name: {one for one, _ in size.spreads if one in fragments} for name, size in fragments.items()}
        whole: dict[str, _Size] = {}
        for name in TopologicalSorter(spread).static_order():
            whole[name] = fragments[name].with_fragments(whole)
        # validation goes into those as well that nothing spreads
        unused = fragments.keys() - set[str]().union(*spread.values())
        unused -= {name for size in operations for name, _ in size.spreads}
        sizes = [*(size.with_fragments(whole) for size in operations), *(whole[name] for name in unused)]
        depth = max((size.depth for size in sizes), default=0)
        _check("is {} levels deep", depth, limits.depth, "maxQueryDepth")
        _check("selects {} fields", sum(size.fields for size in sizes), limits.fields, "maxQueryFields")
        _check("has {} aliases", sum(size.aliases for size in sizes), limits.aliases, "maxQueryAliases")
        _check("has {} directives", sum(size.directives for size in sizes), limits.repeats, "maxQueryRepeats")

    def _check_places(self, limits: Limits) -> None:
        """Look how many fields meet in one place of the answer. There are few: they have been counted."""
        fragments = {one.name.value: one for one in self._fragments}
        levels = [[one.selection_set] for one in (*self._operations, *self._fragments)]
        while levels:
            places: dict[str, list[FieldNode]] = {}
            together = levels.pop()
            while together:
                for selection in together.pop().selections:
                    if isinstance(selection, FieldNode):
                        places.setdefault((selection.alias or selection.name).value, []).append(selection)
                    elif isinstance(selection, FragmentSpreadNode):
                        if fragment := fragments.get(selection.name.value):
                            together.append(fragment.selection_set)
                    else:
                        together.append(selection.selection_set)  # type: ignore[attr-defined]  # the third kind
            for name, nodes in places.items():
                _check(f"has {{}} fields {name} in one place", len(nodes), limits.repeats, "maxQueryRepeats")
                if below := [node.selection_set for node in nodes if node.selection_set]:
                    levels.append(below)


def _measured(definition: OperationDefinitionNode | FragmentDefinitionNode) -> _Size:
    size = _Size(directives=len(definition.directives or ()))
    values: list[tuple[Any, int]] = [(directive, 0) for directive in definition.directives or ()]
    for variable in definition.variable_definitions or ():
        size.directives += len(variable.directives or ())
        values += [(variable.default_value, 1), *((directive, 0) for directive in variable.directives or ())]
    levels: list[tuple[SelectionSetNode, int]] = [(definition.selection_set, 1)]
    while levels:
        selection_set, depth = levels.pop()
        size.depth = max(size.depth, depth)
        for selection in selection_set.selections:
            # fragments count too: one without fields would otherwise be free, however often it is spread
            size.fields += 1
            size.directives += len(selection.directives or ())
            values += [(directive, 0) for directive in selection.directives or ()]
            if isinstance(selection, FragmentSpreadNode):
                size.spreads.append((selection.name.value, depth - 1))
                continue
            if isinstance(selection, FieldNode):
                size.aliases += selection.alias is not None
                size.introspection |= _is_introspection(selection)
                values.append((selection, 0))
            below: SelectionSetNode | None = selection.selection_set  # type: ignore[attr-defined]
            if below:
                levels.append((below, depth + isinstance(selection, FieldNode)))
    size.depth = max(size.depth, _depth(values))
    return size


def _is_introspection(field: FieldNode) -> bool:
    """Whether a field asks for more of the schema than whether there is a type of this name, as health checks do."""
    if field.name.value != "__type":
        return field.name.value == "__schema"
    selections = field.selection_set.selections if field.selection_set else ()
    return not all(isinstance(one, FieldNode) and one.name.value == "name" for one in selections)


def _depth(values: list[tuple[Any, int]]) -> int:
    """How deep lists and objects are nested in the values; those of a field and of a directive are its arguments."""
    deepest = 0
    while values:
        value, depth = values.pop()
        deepest = max(deepest, depth)
        if isinstance(value, ListValueNode):
            values += [(one, depth + 1) for one in value.values]
        elif isinstance(value, ObjectValueNode):
            values += [(one.value, depth + 1) for one in value.fields]
        else:
            values += [(one.value, depth + 1) for one in getattr(value, "arguments", None) or ()]
    return deepest
