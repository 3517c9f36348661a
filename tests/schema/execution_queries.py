"""Queries that are hard to execute: those of hypothesis-graphql, with all that it does not make put into them."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    ConstValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    InputValueDefinitionNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    ast_from_value,
    build_ast_schema,
    get_named_type,
    parse,
    parse_type,
    print_ast,
    visit,
)
from graphql.pyutils import Undefined
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries

# what arguments of a name are given; those that are not here are left out
Values = Mapping[str, Sequence[Any]]
_MISSING = object()


@dataclass(frozen=True)
class Query:
    """A query with its variables."""

    text: str
    variables: dict[str, Any]


def varied_queries(sdl: str, roots: Sequence[str], arguments: Values, draws: int) -> st.SearchStrategy[Query]:
    """Queries of one root field, with aliases, fragments, directives and variables.

    Which fields are selected, hypothesis-graphql draws: `draws` times in all, which takes seconds. Queries are made of
    several of these at random. It knows nothing of the arguments, which `arguments` gives: what it makes up is refused
    before anything is executed, and takes most of its time.
    """
    document = parse(sdl)
    schema = build_ast_schema(document)
    bare = build_ast_schema(visit(document, _WithoutArguments()), assume_valid=True)
    drawn: dict[str, dict[str, FieldNode]] = {root: {} for root in roots}

    @settings(max_examples=draws, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(st.one_of([queries(bare, fields=[root], print_ast=_only_field) for root in roots]))
    def draw(field: FieldNode) -> None:
        drawn[field.name.value][print_ast(field)] = field

    draw()
    together = st.one_of(
        [
            st.lists(st.sampled_from(list(fields.values())), min_size=1, max_size=4).map(_together)
            for fields in drawn.values()
        ]
    )
    return st.builds(
        lambda field, seed: _Variation(schema, arguments, Random(seed)).of(field), together, st.integers(0, 2**32 - 1)
    )


def _only_field(document: DocumentNode) -> FieldNode:
    [operation] = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    [root] = operation.selection_set.selections
    assert isinstance(root, FieldNode)
    return root


def _together(roots: Sequence[FieldNode]) -> FieldNode:
    selections = [selection for root in roots if root.selection_set for selection in root.selection_set.selections]
    return _field(roots[0].name.value, None, (), (), selections)


class _WithoutArguments(Visitor):
    def enter_input_value_definition(self, _node: InputValueDefinitionNode, *_: Any) -> Any:
        return self.REMOVE


@dataclass
class _Variation:
    """One query on its way."""

    schema: GraphQLSchema
    arguments: Values
    random: Random
    fragments: list[FragmentDefinitionNode] = field(default_factory=list)
    definitions: dict[str, VariableDefinitionNode] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)

    def of(self, root: FieldNode) -> Query:
        """A query of the field, varied."""
        query_type = self.schema.query_type
        assert query_type is not None
        selections = self._selections([root], query_type)
        operation = OperationDefinitionNode(
            operation=OperationType.QUERY,
            name=NameNode(value="Varied"),
            variable_definitions=tuple(self.definitions.values()),
            directives=(),
            selection_set=SelectionSetNode(selections=tuple(selections)),
        )
        return Query(print_ast(DocumentNode(definitions=(operation, *self.fragments))), self.variables)

    def _chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def _selections(self, nodes: Sequence[SelectionNode], parent: GraphQLNamedType) -> list[SelectionNode]:
        selections: list[SelectionNode] = []
        for node in nodes:
            if isinstance(node, FieldNode):
                selections += self._field(node, parent)
            elif isinstance(node, InlineFragmentNode):
                assert node.type_condition is not None
                on = self.schema.type_map[node.type_condition.name.value]
                selections.append(self._inline(self._selections(node.selection_set.selections, on), on))
        if self._chance(20):
            alias = self.random.choice([None, "type", "kind"])
            selections.insert(
                self.random.randrange(len(selections) + 1), _field("__typename", alias, (), self._directives())
            )
        if self._chance(20):
            self.random.shuffle(selections)
        if self._chance(25):
            start = self.random.randrange(len(selections))
            end = self.random.randrange(start, len(selections)) + 1
            selections[start:end] = [self._fragment(selections[start:end], parent)]
        return selections

    def _field(self, node: FieldNode, parent: GraphQLNamedType) -> list[SelectionNode]:
        """A field under one name or several, in one piece or several."""
        assert isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        name = node.name.value
        definition = parent.fields[name]
        fields: list[SelectionNode] = []
        for _ in range(2 if self._chance(15) else 1):
            children = node.selection_set.selections if node.selection_set else ()
            arguments = self._arguments(definition)
            alias = self._alias(name, definition, arguments)
            pieces: list[Sequence[SelectionNode]] = [children]
            if self._chance(15):
                middle = self.random.randrange(len(children) + 1) if children else 0
                pieces = [children[:middle], children[middle:]] if 0 < middle < len(children) else [children, children]
            for piece in pieces:
                selected = self._selections(piece, get_named_type(definition.type)) if piece else []
                fields.append(_field(name, alias, arguments, self._directives(), selected))
        return fields

    def _alias(self, name: str, definition: GraphQLField, arguments: Sequence[ArgumentNode]) -> str | None:
        """Names differ where arguments or types do, so that fields of one name can be merged."""
        signature = f"{name}({', '.join(map(print_ast, arguments))}): {definition.type}"
        variant = self.random.randrange(3)
        if not arguments and variant and not _is_ambiguous(self.schema, name):
            return None
        return f"{name}{variant}_{zlib.crc32(signature.encode()):x}"

    def _arguments(self, definition: GraphQLField) -> tuple[ArgumentNode, ...]:
        given = []
        for name, argument in definition.args.items():
            required = isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined
            if name in self.arguments and (required or self._chance(70)):
                value = self.random.choice(self.arguments[name])
                node = (
                    self._variable(name, argument, value) if self._chance(30) else ast_from_value(value, argument.type)
                )
                if node is not None:
                    given.append(ArgumentNode(name=NameNode(value=name), value=node))
        return tuple(given)

    def _variable(self, name: str, argument: GraphQLArgument, value: Any) -> ValueNode:
        """A variable of the argument's type; where that has a default, it may be null nevertheless."""
        variable = f"{name}{len(self.definitions)}"
        type_text = str(argument.type)
        if isinstance(argument.type, GraphQLNonNull) and argument.default_value is not Undefined and self._chance(50):
            type_text = type_text.removesuffix("!")
            value = self.random.choice([value, None, _MISSING])
        if isinstance(get_named_type(argument.type), GraphQLEnumType):
            value = value and str(value)
        return self._define(variable, type_text, value)

    def _define(self, name: str, type_text: str, value: Any, default: ConstValueNode | None = None) -> VariableNode:
        variable = VariableNode(name=NameNode(value=name))
        self.definitions[name] = VariableDefinitionNode(
            variable=variable, type=parse_type(type_text), default_value=default, directives=()
        )
        if value is not _MISSING:
            self.variables[name] = value
        return variable

    def _directives(self) -> tuple[DirectiveNode, ...]:
        if not self._chance(12):
            return ()
        name = self.random.choice(["skip", "include"])
        if self._chance(10):
            return (self._directive("skip"), self._directive("include"))
        return (self._directive(name),)

    def _directive(self, name: str) -> DirectiveNode:
        # what is left out makes a query simpler: rather keep it
        condition = self._chance(30) if name == "skip" else self._chance(70)
        literal = BooleanValueNode(value=condition)
        value: ValueNode = literal
        if self._chance(60):
            variable = self.random.choice(["if", "by_default"]) + ("_true" if condition else "_false")
            missing = variable.startswith("by_default")
            value = self._define(variable, "Boolean!", _MISSING if missing else condition, literal if missing else None)
        return DirectiveNode(
            name=NameNode(value=name), arguments=(ArgumentNode(name=NameNode(value="if"), value=value),)
        )

    def _fragment(self, selections: list[SelectionNode], on: GraphQLNamedType) -> SelectionNode:
        return self._named(selections, on) if self._chance(50) else self._inline(selections, on)

    def _named(self, selections: list[SelectionNode], on: GraphQLNamedType) -> SelectionNode:
        name = NameNode(value=f"Fragment{len(self.fragments)}")
        self.fragments.append(
            FragmentDefinitionNode(
                name=name,
                variable_definitions=(),
                type_condition=_named_type(on),
                directives=(),
                selection_set=SelectionSetNode(selections=tuple(selections)),
            )
        )
        return FragmentSpreadNode(name=name, directives=self._directives())

    def _inline(self, selections: list[SelectionNode], on: GraphQLNamedType) -> SelectionNode:
        return InlineFragmentNode(
            type_condition=_named_type(on),
            directives=self._directives(),
            selection_set=SelectionSetNode(selections=tuple(selections)),
        )


def _named_type(of: GraphQLNamedType) -> NamedTypeNode:
    return NamedTypeNode(name=NameNode(value=of.name))


def _is_ambiguous(schema: GraphQLSchema, name: str) -> bool:
    """Whether fields of a name have different types or arguments, so that they may not be able to share it."""
    fields = [
        kind.fields[name]
        for kind in schema.type_map.values()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and name in kind.fields
    ]
    return len({str(one.type) for one in fields}) > 1


def _field(
    name: str,
    alias: str | None,
    arguments: Sequence[ArgumentNode],
    directives: Sequence[DirectiveNode],
    selections: Sequence[SelectionNode] = (),
) -> FieldNode:
    return FieldNode(
        name=NameNode(value=name),
        alias=NameNode(value=alias) if alias else None,
        arguments=tuple(arguments),
        directives=tuple(directives),
        selection_set=SelectionSetNode(selections=tuple(selections)) if selections else None,
    )
