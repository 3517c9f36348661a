"""From a query to a plan: what is selected below a root field, with fragments, directives and variables applied.

graphql-core's own field collection does the work, so that a plan never differs from what is executed later.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from graphql import GraphQLObjectType, get_named_type
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.schema import Schema
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from orthancproxy.archive.keywords import ALL_COMPUTED, COMPUTED, is_text, owner_below, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import RESOURCE_TYPES, Attribute
from orthancproxy.errors import InvalidRequest
from orthancproxy.schema.context import Info
from orthancproxy.schema.inputs import filter_of, order_of

MAX_OFFSET = 2**31 - 1

_LEVELS = {level.value: level for level in Level}
_LINKS = {
    "studies": Level.STUDY,
    "instances": Level.INSTANCE,
    "patient": Level.PATIENT,
    "study": Level.STUDY,
}


class Selection:
    """What a root field selects. For the execution of one field.

    Raises NotAuthenticated or PermissionDenied where that gives URLs of files to a caller who may not download.
    """

    def __init__(self, info: Info) -> None:
        raw = info._raw_info
        schema = info.schema
        assert isinstance(schema, Schema)  # noqa: S101 - tells mypy, and nothing else is ever built
        self._strawberry = schema
        self._urls = info.context.urls
        self._raw = raw
        self._fragments = {name: FragmentDetails(fragment) for name, fragment in raw.fragments.items()}
        # coerced already; where a value came from matters only for defaults of fragment variables
        self._variables = VariableValues({}, info.variable_values)
        self._root = [FieldDetails(node, None) for node in raw.field_nodes]

    def resource(self, level: Level) -> LevelPlan:
        """The plan for a root field that gives one resource, or for those of `nodes` that are of this level."""
        return self._level_plan(level, self._root)

    def connection(self, level: Level) -> tuple[LevelPlan, Mapping[str, Mapping[str, str]]]:
        """The plan for a root field that gives a connection; and for each place in it that shows records, its related.

        A query may show the page's records in several places (`nodes`, `edges { node }`, aliases of them), each with
        selections of its own. The plan has the related of all, under names of their own; the second value says, by the
        path of the place, which name of the answer is which name of the plan.
        """
        connection = get_named_type(self._raw.return_type)
        places: dict[str, list[FieldDetails]] = {}
        total = False
        for name, field, details in self._fields(connection, self._root):
            if field.python_name == "nodes":
                places[name] = details
            elif field.python_name == "edges":
                edge = get_named_type(self._raw_field(connection, details).type)
                places |= {
                    f"{name}.{inner}": inner_details
                    for inner, inner_field, inner_details in self._fields(edge, details)
                    if inner_field.python_name == "node"
                }
            elif field.python_name == "total_count":
                total = True
        plans = {place: self._level_plan(level, details) for place, details in places.items()}
        names = {place: {name: f"{place}:{name}" for name in plan.related} for place, plan in plans.items()}
        related = {
            names[place][name]: related_plan
            for place, plan in plans.items()
            for name, related_plan in plan.related.items()
        }
        needs = reduce(or_, (plan.needs for plan in plans.values()), Needs())
        return LevelPlan(level=level, needs=needs, total=total, related=related), names

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
                self._urls.check(f"{level.value}.{inner[0].node.name.value}")
            attribute = getattr(record, field.python_name, None)
            if isinstance(attribute, Attribute):
                needs |= attribute.needs
            elif field.python_name in ("tag", "tags"):
                needs |= Needs(tags=_keywords(level, self._arguments(object_type, inner)))
            elif related_plan := _linked_level(level, field.python_name):
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
        """The fields below, by their names in the answer."""
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
        """A field's arguments as its resolver will get them."""
        raw_field = self._raw_field(parent, details)
        field: StrawberryField = raw_field.extensions["strawberry-definition"]
        return convert_arguments(
            get_argument_values(raw_field, details[0].node, self._variables),
            field.arguments,
            scalar_registry=self._strawberry.schema_converter.scalar_registry,
            config=self._strawberry.config,
        )


def _linked_level(level: Level, name: str) -> Level | None:
    """The level that a field leads to: the child by its plural, the parent by its name; `series` is both."""
    if name == "series":
        return Level.SERIES if level in (Level.STUDY, Level.INSTANCE) else None
    return _LINKS.get(name)


def _keywords(level: Level, arguments: Mapping[str, Any]) -> frozenset[str]:
    keywords = [arguments["keyword"]] if "keyword" in arguments else arguments.get("keywords") or []
    for keyword in keywords:
        tag_of(keyword)
        if keyword in ALL_COMPUTED - COMPUTED[level]:
            raise InvalidRequest(f"{keyword} is not an attribute of the {level.value.lower()} level.")
        if owner := owner_below(keyword, level):
            raise InvalidRequest(f"{keyword} is an attribute of the {owner.value.lower()} level: ask for it there.")
    return frozenset(filter(is_text, keywords))


def _not_negative(name: str, value: int | None) -> int | None:
    if value is not None and not 0 <= value <= MAX_OFFSET:
        raise InvalidRequest(f"`{name}` can't be negative.")
    return value
