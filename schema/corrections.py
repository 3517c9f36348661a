"""Corrections of patients, studies and series, and moves of series: inputs and payloads."""

from typing import Annotated, cast

import strawberry

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers import correcting, moving
from orthancproxy.resolvers.correcting import CollisionKind, Corrected, CorrectionRequest, FoundCollision
from orthancproxy.resolvers.moving import MoveRequest
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.jobs import Job, shown

COLLISION_KINDS = {
    CollisionKind.PATIENT_EXISTS: "There is a patient with the new PatientID.",
    CollisionKind.PATIENT_DIFFERS: "That patient has another name, birth date or sex.",
    CollisionKind.STUDIES_DIFFER: "Other studies of the patient have another name, birth date or sex.",
}
describe_enum(
    strawberry.enum(CollisionKind, name="CollisionKind", description="What a correction collides with."),
    COLLISION_KINDS,
)
MUTATION_ID = (
    "Anything of up to 128 characters. A request with that of an earlier one of the caller does nothing, and gets the "
    "earlier job."
)
KEEP_UIDS = (
    "Keep the UIDs of studies, series and instances. Otherwise they get new ones, as the standard wants of instances "
    "that differ from what others may have of them."
)
KEEP_SERIES_UIDS = "Keep the UIDs of series and instances."
DRY_RUN = "Predict what would change, without a change."
ACCEPT = "Do it in spite of `collisions`, which are an error otherwise (`COLLISION`)."


@strawberry.input(description="A new value of an attribute.")
class TagValue:
    keyword: str = strawberry.field(description="DICOM's keyword of the attribute, such as `PatientName`.")
    value: str = strawberry.field(description="The value as DICOM writes it, such as `19700131`; empty for none.")


@strawberry.input
class ModifyInput:
    orthanc_id: strawberry.ID = strawberry.field(description="The id in Orthanc.")
    replace: list[TagValue] = strawberry.field(description="New values. Text is stored in UTF-8 (ISO_IR 192).")
    remove: list[str] | None = strawberry.field(
        default=None, description="Keywords of attributes to remove; those that must not be missing become empty."
    )
    keep_uids: bool = strawberry.field(default=False, description=KEEP_UIDS)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)
    accept_collisions: bool = strawberry.field(default=False, description=ACCEPT)
    client_mutation_id: str | None = strawberry.field(default=None, description=MUTATION_ID)


@strawberry.input(description="What to correct of a patient: attributes of the patient, in all studies.")
class ModifyPatientInput(ModifyInput):
    pass


@strawberry.input(description="What to correct of a study: attributes of the patient and of the study.")
class ModifyStudyInput(ModifyInput):
    pass


@strawberry.input(description="What to correct of a series: attributes of the series and of the equipment.")
class ModifySeriesInput(ModifyInput):
    pass


@strawberry.type(description="An attribute that changes.")
class TagChange:
    keyword: str = strawberry.field(description="DICOM's keyword of the attribute.")
    before: list[str] = strawberry.field(
        description="The different values that the series have now, at most ten; none if it is missing."
    )
    after: str | None = strawberry.field(description="The value that all of them get; null: it is removed.")


@strawberry.type(name="Collision", description="Something in the archive that contradicts a correction.")
class CorrectionCollision:
    @strawberry.field(description="What it collides with.")
    def kind(root: strawberry.Parent[FoundCollision]) -> CollisionKind:
        return root.kind

    @strawberry.field(description="One sentence for people.")
    def message(root: strawberry.Parent[FoundCollision]) -> str:
        return root.message

    @strawberry.field(description="The attribute that differs, if it is one.")
    def keyword(root: strawberry.Parent[FoundCollision]) -> str | None:
        return root.keyword


@strawberry.type(
    description="What is changed; with `dryRun`, what would be. A request that was made before only has its job."
)
class ModifyPayload:
    dry_run: bool = strawberry.field(description="Whether this is only a prediction.")
    instances_count: int = strawberry.field(description="Number of instances that change.")

    @strawberry.field(description="The attributes that change, by keyword.")
    def changes(root: strawberry.Parent[Corrected]) -> list[TagChange]:
        return cast("list[TagChange]", list(root.changes))

    @strawberry.field(description="What the caller has to accept (`acceptCollisions`).")
    def collisions(root: strawberry.Parent[Corrected]) -> list[CorrectionCollision]:
        return cast("list[CorrectionCollision]", list(root.collisions))

    @strawberry.field(description="The job that does it; null for a prediction.")
    def job(root: strawberry.Parent[Corrected]) -> Job | None:
        return shown(root.job)


@strawberry.input(description="Studies of one patient that become part of another of their studies.")
class MergeStudiesInput:
    orthanc_id: strawberry.ID = strawberry.field(
        description="The Orthanc id of the study that the others become part of."
    )
    sources: list[strawberry.ID] = strawberry.field(
        description="The Orthanc ids of the others, at most 100: they are gone afterwards."
    )
    keep_uids: bool = strawberry.field(default=False, description=KEEP_SERIES_UIDS)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)
    client_mutation_id: str | None = strawberry.field(default=None, description=MUTATION_ID)


@strawberry.input(description="Series that become part of another study of their patient, or a study of their own.")
class MoveSeriesInput:
    orthanc_ids: list[strawberry.ID] = strawberry.field(description="The Orthanc ids of the series, at most 1,000.")
    study_orthanc_id: strawberry.ID | None = strawberry.field(
        default=None, description="The Orthanc id of the study that they become part of; null for a new one."
    )
    replace: list[TagValue] | None = strawberry.field(
        default=None, description="Values of a new study, such as its `StudyDescription`: attributes of the study."
    )
    keep_uids: bool = strawberry.field(default=False, description=KEEP_SERIES_UIDS)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)
    client_mutation_id: str | None = strawberry.field(default=None, description=MUTATION_ID)


PatientToModify = Annotated[ModifyPatientInput, strawberry.argument(description="What to correct.")]
StudyToModify = Annotated[ModifyStudyInput, strawberry.argument(description="What to correct.")]
SeriesToModify = Annotated[ModifySeriesInput, strawberry.argument(description="What to correct.")]
StudiesToMerge = Annotated[MergeStudiesInput, strawberry.argument(description="The studies.")]
SeriesToMove = Annotated[MoveSeriesInput, strawberry.argument(description="The series, and where they go.")]


def merge(info: Info, given: MergeStudiesInput) -> ModifyPayload:
    """Merge studies, or predict what that would change. Raises like `moving.merge`."""
    request = MoveRequest(given.sources, given.orthanc_id, (), given.keep_uids, given.dry_run, given.client_mutation_id)
    return cast("ModifyPayload", moving.merge(gateway(info), request))


def move(info: Info, given: MoveSeriesInput) -> ModifyPayload:
    """Move series, or predict what that would change. Raises like `moving.move`."""
    replace = [(one.keyword, one.value) for one in given.replace or ()]
    request = MoveRequest(
        given.orthanc_ids, given.study_orthanc_id, replace, given.keep_uids, given.dry_run, given.client_mutation_id
    )
    return cast("ModifyPayload", moving.move(gateway(info), request))


def modify(info: Info, level: Level, given: ModifyInput) -> ModifyPayload:
    """Correct a resource, or predict what that would change. Raises like `correcting.modify`."""
    request = CorrectionRequest(
        level,
        given.orthanc_id,
        [(one.keyword, one.value) for one in given.replace],
        given.remove or [],
        given.keep_uids,
        given.dry_run,
        given.accept_collisions,
        given.client_mutation_id,
    )
    return cast("ModifyPayload", correcting.modify(gateway(info), request))
