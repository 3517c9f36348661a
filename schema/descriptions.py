"""Descriptions of types that are defined elsewhere: enums of lower layers, and filter fields of strawberry_django."""

from collections.abc import Mapping
from typing import Any

_COMBINATIONS = {
    "AND": "This filter must match as well.",
    "OR": "Alternatively, this filter must match.",
    "NOT": "This filter must not match.",
    "DISTINCT": "Omit duplicates.",
}


def describe_enum(enum: Any, values: Mapping[Any, str]) -> None:
    """Set the description of each value of an enum. Raises KeyError when one is missing."""
    described = {value.value: description for value, description in values.items()}
    for value in enum.__strawberry_definition__.values:
        value.description = described[value.value]


def describe_filter(kind: Any) -> None:
    """Set the descriptions of the fields by which strawberry_django combines filters."""
    for field in kind.__strawberry_definition__.fields:
        field.description = _COMBINATIONS.get(field.python_name, field.description)
