"""The size of a query: tokens, values, depth, fields, aliases, directives and fragments, compared with the limits.

It takes linear time: each fragment is measured once, however often it is spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from django.conf import settings
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from orthancproxy.conf import conf
from orthancproxy.errors import LimitExceeded
from orthancproxy.uploads.files import SentFile


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that limit a query."""

    tokens: int
    depth: int
    fields: int
    aliases: int
    repeats: int
    introspection: bool

    @classmethod
    def from_settings(cls) -> "Limits":
        return cls(
            tokens=conf.ORTHANC_MAX_QUERY_TOKENS,
            depth=conf.ORTHANC_MAX_QUERY_DEPTH,
            fields=conf.ORTHANC_MAX_QUERY_FIELDS,
            aliases=conf.ORTHANC_MAX_QUERY_ALIASES,
            repeats=conf.ORTHANC_MAX_QUERY_REPEATS,
            introspection=has_introspection(),
        )


def has_introspection() -> bool:
    """Return whether clients may read the schema, and get suggestions for misspelled names."""
    return conf.ORTHANC_INTROSPECTION or settings.DEBUG


class IntrospectionDisabledError(Exception):
    """The query selects the schema, and introspection is off."""


def check(what: str, found: int, limit: int, name: str) -> None:
    """Raise LimitExceeded if `found` exceeds a limit."""
    if found > limit:
        # a few doubled fragments give numbers of hundreds of digits
        raise LimitExceeded(exceeds(what.format(found if found < 10**9 else "over 1000000000"), limit, name))


def exceeds(what: str, limit: int, name: str) -> str:
    """Return the message about an exceeded limit."""
    return f"The query {what}; at most {limit} are allowed (server.limits.{name})."


@dataclass(slots=True)
class Size:
    """The size of a definition, without the fragments that it spreads: `spreads` has their names and depths."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    spreads: list[tuple[str, int]] = field(default_factory=list)
    introspection: bool = False

    def with_fragments(self, fragments: Mapping[str, "Size"]) -> "Size":
        spread = [(fragments[name], depth) for name, depth in self.spreads if name in fragments]
        return Size(
            depth=max([self.depth, *(depth + one.depth for one, depth in spread)]),
            fields=self.fields + sum(one.fields for one, _ in spread),
            aliases=self.aliases + sum(one.aliases for one, _ in spread),
            directives=self.directives + sum(one.directives for one, _ in spread),
        )


class MeasuredDocument:
    """A document whose definitions are measured."""

    def __init__(self, document: DocumentNode) -> None:
        definitions = document.definitions
        self._operations = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
        self._fragments = [one for one in definitions if isinstance(one, FragmentDefinitionNode)]

    def is_within(self, limits: Limits) -> bool:
        """Return False if fragments cannot be expanded. Raises LimitExceeded, and IntrospectionDisabledError."""
        check("has {} operations", len(self._operations), limits.repeats, "maxQueryRepeats")
        check("has {} fragments", len(self._fragments), limits.repeats, "maxQueryRepeats")
        operations = [_measured(one) for one in self._operations]
        fragments = {one.name.value: _measured(one) for one in self._fragments}
        if not limits.introspection and any(size.introspection for size in (*operations, *fragments.values())):
            raise IntrospectionDisabledError("Introspection is off in this gateway: ORTHANC_INTROSPECTION turns it on.")
        if len(fragments) < len(self._fragments):
            return False
        try:
            self._check_sizes(operations, fragments, limits)
        except CycleError:
            return False
        self._check_places(limits)
        return True

    def _check_sizes(self, operations: Sequence[Size], fragments: Mapping[str, Size], limits: Limits) -> None:
        spread = {name: {one for one, _ in size.spreads if one in fragments} for name, size in fragments.items()}
        whole: dict[str, Size] = {}
        for name in TopologicalSorter(spread).static_order():
            whole[name] = fragments[name].with_fragments(whole)
        # validation enters unused fragments too
        unused = fragments.keys() - set[str]().union(*spread.values())
        unused -= {name for size in operations for name, _ in size.spreads}
        sizes = [*(size.with_fragments(whole) for size in operations), *(whole[name] for name in unused)]
        depth = max((size.depth for size in sizes), default=0)
        check("is {} levels deep", depth, limits.depth, "maxQueryDepth")
        check("selects {} fields", sum(size.fields for size in sizes), limits.fields, "maxQueryFields")
        check("has {} aliases", sum(size.aliases for size in sizes), limits.aliases, "maxQueryAliases")
        check("has {} directives", sum(size.directives for size in sizes), limits.repeats, "maxQueryRepeats")

    def _check_places(self, limits: Limits) -> None:
        """Check how many fields share one place in the response. Their total number is within the limits already."""
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
                check(f"has {{}} fields {name} in one place", len(nodes), limits.repeats, "maxQueryRepeats")
                if below := [node.selection_set for node in nodes if node.selection_set]:
                    levels.append(below)


def check_variables(variables: Mapping[str, Any] | None, limits: Limits) -> None:
    """Raise LimitExceeded if the variables have more values than a query may have tokens, besides two for each file.

    Coercing them takes 30 µs each: 80,000 keys of an order took 2.5 s.
    """
    values, files = 0, 0
    rest: list[Any] = [variables]
    while rest:
        value = rest.pop()
        values += 1
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
        files += isinstance(value, SentFile)
    # the variables are not one of their own values; a file has a place in a list and a folder
    check("has {} values in its variables", values - 1 - 2 * files, limits.tokens, "maxQueryTokens")


def _measured(definition: OperationDefinitionNode | FragmentDefinitionNode) -> Size:
    size = Size(directives=len(definition.directives or ()))
    values: list[tuple[Any, int]] = [(directive, 0) for directive in definition.directives or ()]
    for variable in definition.variable_definitions or ():
        size.directives += len(variable.directives or ())
        values += [(variable.default_value, 1), *((directive, 0) for directive in variable.directives or ())]
    levels: list[tuple[SelectionSetNode, int]] = [(definition.selection_set, 1)]
    while levels:
        selection_set, depth = levels.pop()
        size.depth = max(size.depth, depth)
        for selection in selection_set.selections:
            # spreads count too: a fragment without fields would be free otherwise, however often it is spread
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
    """Return whether a field reads the schema: all but `__type { name }`, which health checks use."""
    if field.name.value != "__type":
        return field.name.value == "__schema"
    selections = field.selection_set.selections if field.selection_set else ()
    return not all(isinstance(one, FieldNode) and one.name.value == "name" for one in selections)


def _depth(values: list[tuple[Any, int]]) -> int:
    """Return how deep lists and objects are nested in the values, or in the arguments of fields and directives."""
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
