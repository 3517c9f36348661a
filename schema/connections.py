"""Relay connections: a page of a list of records, with cursors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, cast

import strawberry
from strawberry.relay import PageInfo, to_base64

from orthancproxy.archive import records
from orthancproxy.schema.context import Info

NodeType = TypeVar("NodeType")


@dataclass(frozen=True, slots=True)
class ListPage:
    """What a connection is made of: a page of records, where it starts, and what each place of the answer shows."""

    page: records.Page
    offset: int
    names: Mapping[str, Mapping[str, str]]

    def cursor(self, index: int) -> str:
        """The cursor of a record of this page: its position in the whole list."""
        return to_base64("offset", self.offset + index)


@dataclass(frozen=True, slots=True)
class ListItem:
    """One record of a page."""

    listed: ListPage
    index: int


@strawberry.type(description="A node of a list, and where it stands.")
class Edge(Generic[NodeType]):
    """A Relay edge over a `ListItem`."""

    @strawberry.field(description="What `after` takes to go on behind this node.")
    def cursor(root: strawberry.Parent[ListItem]) -> str:  # noqa: N805
        """Make the cursor."""
        return root.listed.cursor(root.index)

    @strawberry.field(description="The resource.")
    def node(root: strawberry.Parent[ListItem], info: Info) -> NodeType:  # noqa: N805
        """Show the record as this place of the answer wants it."""
        edges = info.path.prev.prev if info.path.prev else None
        names = root.listed.names[f"{edges.key if edges else ''}.{info.path.key}"]
        return cast("NodeType", shown(root.listed.page.resources[root.index], names))


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeType]):
    """A Relay connection over a `ListPage`."""

    @strawberry.field(description="The nodes of this page, without edges around them.")
    def nodes(root: strawberry.Parent[ListPage], info: Info) -> list[NodeType]:  # noqa: N805
        """Show the records as this place of the answer wants them."""
        names = root.names[str(info.path.key)]
        return cast("list[NodeType]", [shown(record, names) for record in root.page.resources])

    @strawberry.field(description="The nodes of this page, each with its cursor.")
    def edges(root: strawberry.Parent[ListPage]) -> list[Edge[NodeType]]:  # noqa: N805
        """Show the records as edges."""
        return cast("list[Edge[NodeType]]", [ListItem(root, index) for index in range(len(root.page.resources))])

    @strawberry.field(description="Where this page is in the list.")
    def page_info(root: strawberry.Parent[ListPage]) -> PageInfo:  # noqa: N805
        """Tell where this page is in the list."""
        last = len(root.page.resources) - 1
        return PageInfo(
            has_next_page=root.page.has_next,
            has_previous_page=root.offset > 0,
            start_cursor=root.cursor(0) if last >= 0 else None,
            end_cursor=root.cursor(last) if last >= 0 else None,
        )

    @strawberry.field(description="How many match in all; costs a call to Orthanc where selected.")
    def total_count(root: strawberry.Parent[ListPage]) -> int:  # noqa: N805
        """Read what the plan counted."""
        return cast("int", root.page.total)


def shown(record: records.Resource, names: Mapping[str, str]) -> records.Resource:
    """A record of a page as one place of the answer shows it: with its own related, under its own names."""
    if not names:
        return record
    return replace(record, related={name: record.related[planned] for name, planned in names.items()})
