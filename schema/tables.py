"""Connections over the gateway's own tables: uploads and the audit log."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry_django
from django.db.models import Prefetch, QuerySet
from django.utils.timezone import is_naive, make_aware

from orthancproxy.errors import InvalidRequest
from orthancproxy.schema.connections import ListPage, offset_after, page_size
from orthancproxy.schema.context import Info
from orthancproxy.schema.inputs import Direction, OrderKey
from orthancproxy.schema.selection import Selection

# databases reject them in a query
INVALID_CHARACTERS = re.compile("[\x00\ud800-\udfff]")


def page_of(
    info: Info,
    rows: QuerySet[Any],
    given: object | None,
    order_by: Sequence[OrderKey[Any]] | None,
    first: int | None,
    after: str | None,
    related: Mapping[str, "Prefetch[Any]"] = {},
) -> ListPage:
    """Return a page of rows that match a filter, in the order of `rows` unless ordered otherwise.

    It takes one query for the rows, one for each field of `related` and one for the total, each only if selected.
    """
    offset, size = offset_after(after), page_size(first)
    if any(INVALID_CHARACTERS.search(text) for text in _texts(given)):
        raise InvalidRequest("The filter contains a NUL character or an unpaired surrogate.")
    rows = strawberry_django.filters.apply(given, rows, info)
    if order_by:
        keys = [f"{'-' if key.direction is Direction.DESC else ''}{key.field.value}" for key in order_by]
        # pages need a total order
        rows = rows.order_by(*keys, "-pk")
    selected, of_nodes = Selection(info).names()
    rows = rows.prefetch_related(*(related[name] for name in related if name in of_nodes))
    found = list(rows[offset : offset + size + 1]) if selected - {"total_count"} else []
    total = rows.count() if "total_count" in selected else None
    return ListPage(found[:size], len(found) > size, total, offset)


def aware(given: datetime) -> datetime:
    """Return a time with a time zone: the project's where it has none."""
    return make_aware(given) if is_naive(given) else given


def _texts(given: object) -> Iterator[str]:
    for value in vars(given).values() if given else ():
        if isinstance(value, str):
            yield value
        elif isinstance(value, type(given)):
            yield from _texts(value)
