"""The types of deletions."""

from typing import cast

import strawberry
from strawberry.relay import to_base64

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers import deletion
from orthancproxy.resolvers.hierarchy import get_after_change, get_by_orthanc_id
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.selection import Selection
from orthancproxy.schema.types import Node, Study


@strawberry.type(description="A deleted resource.")
class DeletedResource:
    level: Level = strawberry.field(description="The level of the resource.")
    orthanc_id: strawberry.ID = strawberry.field(description="The id in Orthanc.")


@strawberry.type(description="The deleted resources; with `dryRun`, those that would be deleted.")
class DeletePayload:
    dry_run: bool = strawberry.field(description="Whether this is only a prediction.")
    in_trash: bool = strawberry.field(
        description="Whether the studies are in the trash, from which `restoreStudy` takes them; otherwise they are "
        "deleted for good."
    )
    deleted: list[DeletedResource] = strawberry.field(
        description="The resource, then the parents that become empty, nearest first."
    )
    instances_count: int = strawberry.field(description="Number of deleted instances.")

    @strawberry.field(description="The global ids of the deleted resources, for evicting them from a cache.")
    def deleted_ids(root: strawberry.Parent[deletion.Deletion]) -> list[strawberry.ID]:
        return [strawberry.ID(to_base64(one.level.value, one.orthanc_id)) for one in root.deleted]

    @strawberry.field(description="The nearest remaining parent; null if the patient is deleted too.")
    def remaining_ancestor(root: strawberry.Parent[deletion.Deletion], info: Info) -> Node | None:
        remaining = root.remaining_ancestor
        if remaining is None:
            return None
        plan = Selection(info).resource(remaining.level)
        look_up = get_by_orthanc_id if root.dry_run else get_after_change
        found = look_up(gateway(info), plan, remaining.orthanc_id)
        return cast("Node | None", found)


@strawberry.type(description="A study that was changed.")
class StudyPayload:
    orthanc_id: strawberry.ID = strawberry.field(description="The id in Orthanc.")

    @strawberry.field(description="The study as it is now; null if it is gone.")
    def study(self, info: Info) -> Study | None:
        plan = Selection(info).resource(Level.STUDY)
        return cast("Study | None", get_after_change(gateway(info), plan, self.orthanc_id))
