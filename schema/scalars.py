"""Scalars of the schema besides GraphQL's and Strawberry's own."""

from collections.abc import Mapping
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

ByteCount = NewType("ByteCount", int)


def _whole(value: Any) -> int:
    """Raise TypeError if the value is not an integer; GraphQL then reports the field."""
    if value.__class__ is not int or value < 0:
        raise TypeError("A number of bytes is a non-negative integer.")
    return int(value)


SCALARS: Mapping[object, ScalarDefinition] = {
    ByteCount: strawberry.scalar(
        name="ByteCount",
        description="A number of bytes as a JSON number, exact up to 2^53. GraphQL's Int ends at 2 GiB.",
        serialize=_whole,
        parse_value=_whole,
    )
}
