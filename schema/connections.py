"""Relay connections: a page of a list, with cursors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast
from zlib import crc32

import strawberry
from strawberry.relay import PageInfo, from_base64, to_base64

from orthancproxy.archive.ordering import is_position, position_of
from orthancproxy.archive.plan import Order, Position
from orthancproxy.conf import conf
from orthancproxy.errors import InvalidRequest, LimitExceeded
from orthancproxy.orthanc.endpoints import ORTHANC_ID
from orthancproxy.schema.context import Info

DEFAULT_PAGE_SIZE = 50
MAX_OFFSET = 2**31 - 1
INVALID_CURSOR = "`after` is not a valid cursor."

NodeType = TypeVar("NodeType")


@dataclass(frozen=True, slots=True)
class ListPage:
    """The data of a connection: the items of a page, their offset in the whole list, and its length if selected.

    `names` are the names of related resources, by place in the response (`Selection.connection`). `order` is the order
    of resources, in which cursors are positions; rows of tables have none.
    """

    items: Sequence[Any]
    has_next: bool
    total: int | None
    offset: int
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    order: Sequence[Order] = ()

    def cursor(self, index: int) -> str:
        """Return the cursor of an item of this page: its offset, and its position in the order of resources."""
        offset = self.offset + index
        if not self.order:
            return to_base64("offset", offset)
        position = position_of(self.items[index], self.order)
        return to_base64("position", json.dumps([offset, _digest(self.order), *position.values, position.orthanc_id]))

    def shown(self, index: int, place: str) -> Any:
        """Return an item for one place in the response, with the related resources by their names in that place."""
        item = self.items[index]
        if not (names := self.names.get(place)):
            return item
        return replace(item, related={name: item.related[planned] for name, planned in names.items()})


@dataclass(frozen=True, slots=True)
class ListItem:
    """One item of a page."""

    listed: ListPage
    index: int


@strawberry.type(description="A node of a list, with its cursor.")
class Edge(Generic[NodeType]):
    @strawberry.field(description="The value of `after` for the page that begins after this node.")
    def cursor(root: strawberry.Parent[ListItem]) -> str:
        return root.listed.cursor(root.index)

    @strawberry.field(description="The node.")
    def node(root: strawberry.Parent[ListItem], info: Info) -> NodeType:
        edges = info.path.prev.prev if info.path.prev else None
        place = f"{edges.key if edges else ''}.{info.path.key}"
        return cast("NodeType", root.listed.shown(root.index, place))


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeType]):
    @strawberry.field(description="The nodes of this page, without edges.")
    def nodes(root: strawberry.Parent[ListPage], info: Info) -> list[NodeType]:
        place = str(info.path.key)
        return cast("list[NodeType]", [root.shown(index, place) for index in range(len(root.items))])

    @strawberry.field(description="The nodes of this page, each with its cursor.")
    def edges(root: strawberry.Parent[ListPage]) -> list[Edge[NodeType]]:
        return cast("list[Edge[NodeType]]", [ListItem(root, index) for index in range(len(root.items))])

    @strawberry.field(description="The position of this page in the list.")
    def page_info(root: strawberry.Parent[ListPage]) -> PageInfo:
        last = len(root.items) - 1
        return PageInfo(
            has_next_page=root.has_next,
            has_previous_page=root.offset > 0,
            start_cursor=root.cursor(0) if last >= 0 else None,
            end_cursor=root.cursor(last) if last >= 0 else None,
        )

    @strawberry.field(description="Number of nodes on all pages. Selecting it requires an additional query.")
    def total_count(root: strawberry.Parent[ListPage]) -> int:
        return cast("int", root.total)


def page_size(first: int | None) -> int:
    """Return the number of nodes of a page. Raises InvalidRequest, and LimitExceeded above ORTHANC_MAX_PAGE_SIZE."""
    limit = conf.ORTHANC_MAX_PAGE_SIZE
    if first is None:
        return min(DEFAULT_PAGE_SIZE, limit)
    if first < 0:
        raise InvalidRequest("`first` cannot be negative.")
    if first > limit:
        raise LimitExceeded(f"A page can have at most {limit} items.")
    return first


def offset_after(cursor: str | None) -> int:
    """Return the number of rows before the page. Raises InvalidRequest for an invalid cursor."""
    if cursor is None:
        return 0
    kind, text = _parsed(cursor)
    offset = int(text) + 1 if text.isascii() and text.isdigit() else 0
    if kind != "offset" or not 0 < offset <= MAX_OFFSET:
        raise InvalidRequest(INVALID_CURSOR)
    return offset


def position_after(cursor: str | None, order: Sequence[Order]) -> tuple[int, Position | None]:
    """Return the offset of the page, and the position that it begins after; None if the cursor is of another order.

    Cursors of offsets are accepted, too. Raises InvalidRequest for an invalid cursor.
    """
    if cursor is None or _parsed(cursor)[0] != "position":
        return offset_after(cursor), None
    try:
        offset, digest, *values, orthanc_id = json.loads(_parsed(cursor)[1])
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(INVALID_CURSOR) from error
    is_offset = type(offset) is int and 0 <= offset < MAX_OFFSET
    if not (is_offset and isinstance(orthanc_id, str) and ORTHANC_ID.fullmatch(orthanc_id)):
        raise InvalidRequest(INVALID_CURSOR)
    if digest != _digest(order):
        return offset + 1, None
    position = Position(tuple(values), orthanc_id)
    if not is_position(position, order):
        raise InvalidRequest(INVALID_CURSOR)
    return offset + 1, position


def _parsed(cursor: str) -> tuple[str, str]:
    try:
        return from_base64(cursor)
    except ValueError as error:
        raise InvalidRequest(INVALID_CURSOR) from error


def _digest(order: Sequence[Order]) -> int:
    """Return a number that tells orders apart."""
    return crc32(repr([(key.by, key.descending) for key in order]).encode())
