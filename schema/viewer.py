"""The types of `viewer`."""

from collections.abc import Iterator
from enum import Enum

import strawberry

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.schema.descriptions import describe_enum

describe_enum(
    strawberry.enum(Action, description="Permissions of callers."),
    {action: f"{action.description}." for action in Action},
)


@strawberry.enum(description="What an access scope matches.")
class AccessScopeKind(Enum):
    PATIENT_ID = strawberry.enum_value(
        "PATIENT_ID",
        description="Patients whose PatientID matches the value: `*` is any text, `?` any character.",
    )
    STUDY_LABEL = strawberry.enum_value("STUDY_LABEL", description="Studies with this label in Orthanc.")
    STUDY = strawberry.enum_value("STUDY", description="The study with this Orthanc id, which a link shares.")


@strawberry.type(description="A part of the archive that the caller may see.")
class AccessScope:
    kind: AccessScopeKind = strawberry.field(description="What the scope matches.")
    value: str = strawberry.field(description="The pattern of PatientID, the label, or the Orthanc id.")


@strawberry.type(description="The caller, with permissions and access scopes.")
class Viewer:
    @strawberry.field(description="The username; null for an anonymous caller.")
    def username(root: strawberry.Parent[Caller]) -> str | None:
        return root.username or None

    @strawberry.field(description="The permissions. Other actions fail with FORBIDDEN.")
    def actions(root: strawberry.Parent[Caller]) -> list[Action]:
        return [action for action in Action if action in root.actions]

    @strawberry.field(description="The caller may see what matches any of these; without any, the whole archive.")
    def scopes(root: strawberry.Parent[Caller]) -> list[AccessScope]:
        return list(_scopes(root))


def _scopes(caller: Caller) -> Iterator[AccessScope]:
    if caller.scope.studies is not None:
        # the rest of the scope is its sharer's
        for study in sorted(caller.scope.studies):
            yield AccessScope(kind=AccessScopeKind.STUDY, value=study)
    elif caller.scope.is_restricted:
        for pattern in caller.scope.patient_ids:
            yield AccessScope(kind=AccessScopeKind.PATIENT_ID, value=pattern)
        for label in sorted(caller.scope.labels):
            yield AccessScope(kind=AccessScopeKind.STUDY_LABEL, value=label)
