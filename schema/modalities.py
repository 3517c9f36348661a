"""The servers to which can be sent, and the input for sending."""

from typing import Annotated, cast

import strawberry

from orthancproxy.archive.destinations import Destination, DestinationKind
from orthancproxy.archive.levels import Level
from orthancproxy.jobs.models import Job as Row
from orthancproxy.resolvers import sending
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum

KINDS = {
    DestinationKind.DICOM: "A DICOM modality, by C-STORE.",
    DestinationKind.PEER: "Another Orthanc, by its REST API.",
    DestinationKind.DICOMWEB: "A DICOMweb server, by STOW-RS.",
}
describe_enum(
    strawberry.enum(DestinationKind, name="ModalityKind", description="How Orthanc sends to a server."), KINDS
)

ModalityName = Annotated[str, strawberry.argument(description="Its name in Orthanc's configuration.")]
Kind = Annotated[DestinationKind, strawberry.argument(description="Which of Orthanc's lists has it.")]


@strawberry.type(description="A server to which Orthanc can send.")
class Modality:
    @strawberry.field(description="Its name in Orthanc's configuration.")
    def name(root: strawberry.Parent[Destination]) -> str:
        return root.name

    @strawberry.field(description="How Orthanc sends to it. A name is unique within a kind.")
    def kind(root: strawberry.Parent[Destination]) -> DestinationKind:
        return root.kind

    @strawberry.field(description="The application entity title of a DICOM modality; null for others.")
    def aet(root: strawberry.Parent[Destination]) -> str | None:
        return root.aet


@strawberry.type(description="Whether a server answers.")
class EchoPayload:
    @strawberry.field(description="The server.")
    def modality(root: strawberry.Parent[tuple[Destination, bool]]) -> Modality:
        return cast("Modality", root[0])

    @strawberry.field(description="Whether it answered Orthanc.")
    def is_reachable(root: strawberry.Parent[tuple[Destination, bool]]) -> bool:
        return root[1]


@strawberry.input(description="What to send, and where.")
class SendInput:
    modality: str = strawberry.field(description="The name of one of the `modalities`.")
    kind: DestinationKind = strawberry.field(default=DestinationKind.DICOM, description="The kind of that modality.")
    level: Level = strawberry.field(description="The level of the resources.")
    orthanc_ids: list[strawberry.ID] = strawberry.field(
        description="Their Orthanc ids, at most 1,000. Of patients, the studies are sent that the caller may see."
    )
    client_mutation_id: str | None = strawberry.field(
        default=None,
        description="Anything of up to 128 characters. A request with that of an earlier one of the caller sends "
        "nothing, and gets the earlier job.",
    )


def send(info: Info, given: SendInput) -> Row:
    """Begin to send. Raises like `sending.send`."""
    request = sending.SendRequest(given.level, given.orthanc_ids, given.kind, given.modality, given.client_mutation_id)
    return sending.send(gateway(info), request)
