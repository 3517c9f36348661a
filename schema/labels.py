"""The types of labels."""

from typing import Annotated, cast

import strawberry

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers.hierarchy import get_after_change
from orthancproxy.resolvers.labels import LabelledResource
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.selection import Selection
from orthancproxy.schema.types import Node

LabelledLevel = Annotated[Level, strawberry.argument(description="The level of the resource.")]
LabelledId = Annotated[strawberry.ID, strawberry.argument(description="The id of the resource in Orthanc.")]
AddedLabels = Annotated[
    list[str],
    strawberry.argument(
        description="The labels to add: 1 to 64 letters (ASCII), digits, `_` and `-`. At most 100; a resource has at "
        "most 100."
    ),
]
RemovedLabels = Annotated[list[str], strawberry.argument(description="The labels to remove, at most 100.")]

LabelsDryRun = Annotated[
    bool | None, strawberry.argument(description="Predict the labels that it would have, without a change.")
]


@strawberry.type(description="A label, and how many resources have it.")
class LabelCount:
    label: str = strawberry.field(description="The label.")
    count: int = strawberry.field(
        description="Number of patients, studies, series and instances with the label, of those that the caller sees."
    )


@strawberry.type(description="The labels of a resource after a change, or as a dry run predicts them.")
class LabelsPayload:
    dry_run: bool = strawberry.field(description="Whether this is only a prediction.")
    level: Level = strawberry.field(description="The level of the resource.")
    orthanc_id: strawberry.ID = strawberry.field(description="The id of the resource in Orthanc.")
    labels: list[str] = strawberry.field(
        description="The labels that it has now; with `dryRun`, those that it would have."
    )

    @strawberry.field(description="The resource as it is now; null if the caller cannot see it any more.")
    def resource(root: strawberry.Parent[LabelledResource], info: Info) -> Node | None:
        plan = Selection(info).resource(root.level)
        return cast("Node | None", get_after_change(gateway(info), plan, root.orthanc_id))
