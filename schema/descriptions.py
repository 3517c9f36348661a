"""Descriptions of what is defined elsewhere: strawberry_django's types, and the enums of the layers below."""

from collections.abc import Mapping
from typing import Any

from strawberry_django.ordering import Ordering
from strawberry_django.pagination import OffsetPaginated, OffsetPaginationInfo, OffsetPaginationInput

_TYPES: Mapping[Any, str] = {
    OffsetPaginationInfo: "Where a page is in a list.",
    OffsetPaginationInput: "Which part of a list.",
    OffsetPaginated: "A part of a list.",
}
_FIELDS = {
    "offset": "How many to skip.",
    "limit": "How many at most.",
    "page_info": "Where this page is in the list.",
    "total_count": "How many there are in all.",
    "results": "The items of this page.",
}
_DIRECTIONS = {
    Ordering.ASC: "Up.",
    Ordering.ASC_NULLS_FIRST: "Up, those without a value first.",
    Ordering.ASC_NULLS_LAST: "Up, those without a value last.",
    Ordering.DESC: "Down.",
    Ordering.DESC_NULLS_FIRST: "Down, those without a value first.",
    Ordering.DESC_NULLS_LAST: "Down, those without a value last.",
}
_COMBINATIONS = {
    "AND": "And this matches too.",
    "OR": "Or this matches.",
    "NOT": "And this does not match.",
    "DISTINCT": "Leave out what is the same.",
}


def describe_enum(enum: Any, values: Mapping[Any, str]) -> None:
    """Say what each value of an enum means. Raises KeyError when one is missing."""
    described = {value.value: description for value, description in values.items()}
    for value in enum.__strawberry_definition__.values:
        value.description = described[value.value]


def describe_filter(kind: Any) -> None:
    """Say what the fields mean by which strawberry_django combines filters."""
    for field in kind.__strawberry_definition__.fields:
        field.description = _COMBINATIONS.get(field.python_name, field.description)


for _type, _description in _TYPES.items():
    _type.__strawberry_definition__.description = _description
    for _field in _type.__strawberry_definition__.fields:
        _field.description = _FIELDS[_field.python_name]

Ordering.__strawberry_definition__.description = "Up or down."  # type: ignore[attr-defined]
describe_enum(Ordering, _DIRECTIONS)
