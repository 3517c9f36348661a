"""The types of `viewer`."""

from collections.abc import Iterator

import strawberry

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.access.models import AccessScope as Rule
from orthancproxy.schema.descriptions import describe_enum

RULES = {
    Rule.Kind.PATIENT_ID: "Patients whose PatientID matches the value: `*` is any text, `?` any character.",
    Rule.Kind.STUDY_LABEL: "Studies with this label in Orthanc.",
}
describe_enum(
    strawberry.enum(Action, description="Permissions of callers."),
    {action: f"{action.description}." for action in Action},
)
describe_enum(strawberry.enum(Rule.Kind, name="AccessScopeKind", description="What an access scope matches."), RULES)


@strawberry.type(description="A part of the archive that the caller may see.")
class AccessScope:
    kind: Rule.Kind = strawberry.field(description="What the scope matches.")
    value: str = strawberry.field(description="The pattern of PatientID, or the label.")


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
    if caller.scope.is_restricted:
        for pattern in caller.scope.patient_ids:
            yield AccessScope(kind=Rule.Kind.PATIENT_ID, value=pattern)
        for label in sorted(caller.scope.labels):
            yield AccessScope(kind=Rule.Kind.STUDY_LABEL, value=label)
