"""From a query to a plan: what is selected below a root field, with fragments, directives and variables applied.

It uses graphql-core's own field collection, so that a plan never differs from what is executed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

from graphql import GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.schema import Schema
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from orthancproxy.archive import renderability
from orthancproxy.archive.keywords import ALL_COMPUTED, COMPUTED, is_text, owner_below, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import RESOURCE_TYPES, Attribute, Instance, Series
from orthancproxy.errors import InvalidRequest
from orthancproxy.resolvers import viewer_urls
from orthancproxy.schema.connections import MAX_OFFSET, page_size, position_after
from orthancproxy.schema.context import Info
from orthancproxy.schema.inputs import MAX_KEYWORDS, at_most, filter_of, order_of

_LEVELS = {level.value: level for level in Level}
_RELATED = {
    "studies": Level.STUDY,
    "instances": Level.INSTANCE,
    "patient": Level.PATIENT,
    "study": Level.STUDY,
}


class Selection:
    """What a root field selects, for one execution of it.

    Raises NotAuthenticated or PermissionDenied if URLs of files are selected without permission to download.
    """

    def __init__(self, info: Info) -> None:
        raw = info._raw_info
        schema = info.schema
        assert isinstance(schema, Schema)  # noqa: S101 - tells mypy, and nothing else is ever built
        self._strawberry = schema
        self._context = info.context
        self._raw = raw
        self._fragments = {name: FragmentDetails(fragment) for name, fragment in raw.fragments.items()}
        # coerced already; the source of a value matters only for defaults of fragment variables
        self._variables = VariableValues({}, info.variable_values)
        self._root = [FieldDetails(node, None) for node in raw.field_nodes]

    def resource(self, level: Level) -> LevelPlan:
        """Return the plan of a root field that gives one resource, or of `nodes` for the resources of this level."""
        return self._level_plan(level, self._root)

    def connection(self, level: Level) -> tuple[LevelPlan, Mapping[str, Mapping[str, str]]]:
        """Return the plan of a root field that gives a connection, and the related resources of each place in it.

        A query may show the page's resources in several places (`nodes`, `edges { node }`, aliases of them), each with
        selections of its own. The plan has the related resources of all, under names of their own; the second value
        maps, by the path of the place, names in the response to names in the plan.
        """
        selected, places = self._places()
        plans = {place: self._level_plan(level, details) for place, (_, details) in places.items()}
        names = {place: {name: f"{place}:{name}" for name in plan.related} for place, plan in plans.items()}
        related = {
            names[place][name]: related_plan
            for place, plan in plans.items()
            for name, related_plan in plan.related.items()
        }
        needs = reduce(or_, (plan.needs for plan in plans.values()), Needs())
        arguments = self._arguments(self._raw.parent_type, self._root)
        plan = LevelPlan(
            level=level,
            needs=needs,
            filter=filter_of(arguments.get("filter")),
            order=order_of(arguments.get("order_by")),
            first=page_size(arguments.get("first")),
            total="total_count" in selected,
            related=related,
        )
        offset, after = position_after(arguments.get("after"), plan.full_order)
        return replace(plan, offset=offset, after=after), names

    def names_of_object(self) -> frozenset[str]:
        """Return the Python names of the selected fields of a root field that gives an object."""
        named = get_named_type(self._raw.return_type)
        return frozenset(field.python_name for _, field, _ in self._fields(named, self._root))

    def names(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the Python names of the selected fields of a connection, and of those of its nodes."""
        selected, places = self._places()
        of_nodes = {
            field.python_name for node, details in places.values() for _, field, _ in self._fields(node, details)
        }
        return selected, frozenset(of_nodes)

    def _places(self) -> tuple[frozenset[str], Mapping[str, tuple[Any, list[FieldDetails]]]]:
        """The names of a connection's selected fields, and by their paths the types and selections of its nodes."""
        connection = get_named_type(self._raw.return_type)
        selected = set()
        places: dict[str, tuple[Any, list[FieldDetails]]] = {}
        for name, field, details in self._fields(connection, self._root):
            selected.add(field.python_name)
            named = get_named_type(self._raw_field(connection, details).type)
            if field.python_name == "nodes":
                places[name] = named, details
            elif field.python_name == "edges":
                places |= {
                    f"{name}.{inner}": (get_named_type(self._raw_field(named, inner_details).type), inner_details)
                    for inner, inner_field, inner_details in self._fields(named, details)
                    if inner_field.python_name == "node"
                }
        return frozenset(selected), places

    def _level_plan(
        self, level: Level, details: Sequence[FieldDetails], arguments: Mapping[str, Any] | None = None
    ) -> LevelPlan:
        arguments = arguments or {}
        needs = Needs()
        related = {}
        record = RESOURCE_TYPES[level]
        object_type = self._raw.schema.type_map[level.value]
        for name, field, inner in self._fields(object_type, details):
            if field.python_name.endswith("_url"):
                self._context.urls.check(f"{level.value}.{inner[0].node.name.value}")
                if level is Level.INSTANCE:
                    needs |= Instance.version.needs
                elif field.python_name == "thumbnail_url":
                    needs |= Series.version.needs
                elif field.python_name == "viewer_url":
                    needs |= viewer_urls.NEEDS
            attribute = getattr(record, field.python_name, None)
            if isinstance(attribute, Attribute):
                needs |= attribute.needs
            elif field.python_name in ("tag", "tags"):
                needs |= Needs(tags=_keywords(level, self._arguments(object_type, inner)))
            elif field.python_name == "is_renderable":
                needs |= renderability.NEEDS
            elif related_plan := _related_level(level, field.python_name):
                related[name] = self._level_plan(related_plan, inner, self._arguments(object_type, inner))
        return LevelPlan(
            level=level,
            needs=needs,
            filter=filter_of(arguments.get("filter")),
            order=order_of(arguments.get("order_by")),
            first=_not_negative("first", arguments.get("first")),
            offset=_not_negative("offset", arguments.get("offset")) or 0,
            related=related,
        )

    def _fields(
        self, parent: Any, details: Sequence[FieldDetails]
    ) -> Iterator[tuple[str, StrawberryField, list[FieldDetails]]]:
        """The selected fields, by their names in the response."""
        assert isinstance(parent, GraphQLObjectType)  # noqa: S101
        collected = collect_subfields(
            self._raw.schema,
            self._fragments,
            self._variables,
            self._raw.operation,
            parent,
            list(details),
        )
        for name, inner in collected.grouped_field_set.items():
            if inner[0].node.name.value != "__typename":
                yield name, self._raw_field(parent, inner).extensions["strawberry-definition"], inner

    def _raw_field(self, parent: Any, details: Sequence[FieldDetails]) -> Any:
        return parent.fields[details[0].node.name.value]

    def _arguments(self, parent: Any, details: Sequence[FieldDetails]) -> Mapping[str, Any]:
        """The arguments of a field as its resolver gets them."""
        raw_field = self._raw_field(parent, details)
        field: StrawberryField = raw_field.extensions["strawberry-definition"]
        return convert_arguments(
            get_argument_values(raw_field, details[0].node, self._variables),
            field.arguments,
            scalar_registry=self._strawberry.schema_converter.scalar_registry,
            config=self._strawberry.config,
        )


def _related_level(level: Level, name: str) -> Level | None:
    """The level of a field of related resources: children in the plural, a parent in the singular; `series` is both."""
    if name == "series":
        return Level.SERIES if level in (Level.STUDY, Level.INSTANCE) else None
    return _RELATED.get(name)


def _keywords(level: Level, arguments: Mapping[str, Any]) -> frozenset[str]:
    given = [arguments["keyword"]] if "keyword" in arguments else arguments.get("keywords")
    keywords = at_most(MAX_KEYWORDS, given, "keywords")
    for keyword in keywords:
        tag_of(keyword)
        if keyword in ALL_COMPUTED - COMPUTED[level]:
            raise InvalidRequest(f"{keyword} is not an attribute of the {level.value.lower()} level.")
        if owner := owner_below(keyword, level):
            raise InvalidRequest(f"{keyword} is an attribute of the {owner.value.lower()} level: select it there.")
    return frozenset(filter(is_text, keywords))


def _not_negative(name: str, value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_OFFSET:
        raise InvalidRequest(f"`{name}` cannot be negative.")
    return value
