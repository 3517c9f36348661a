"""The types of who asks."""

from collections.abc import Iterator

import strawberry

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.access.models import AccessScope as Rule
from orthancproxy.schema.descriptions import describe_enum

RULES = {
    Rule.Kind.PATIENT_ID: "Patients whose PatientID is like the value: `*` is any text, `?` any character.",
    Rule.Kind.STUDY_LABEL: "Studies that have the value as a label of Orthanc's.",
}
describe_enum(
    strawberry.enum(Action, description="What callers may be allowed to do."),
    {action: f"{action.description}." for action in Action},
)
describe_enum(strawberry.enum(Rule.Kind, name="AccessScopeKind", description="What a scope goes by."), RULES)


@strawberry.type(description="A part of the archive that the viewer may see.")
class AccessScope:
    """`orthancproxy.models.AccessScope`."""

    kind: Rule.Kind = strawberry.field(description="What it goes by.")
    value: str = strawberry.field(description="What a PatientID must be like, or the label.")


@strawberry.type(description="Who is asking, and what they may do.")
class Viewer:
    """`orthancproxy.access.callers.Caller`."""

    @strawberry.field(description="Null for somebody who is not logged in.")
    def username(root: strawberry.Parent[Caller]) -> str | None:
        return root.username or None

    @strawberry.field(description="What the viewer may do; what is missing is answered with FORBIDDEN.")
    def actions(root: strawberry.Parent[Caller]) -> list[Action]:
        return [action for action in Action if action in root.actions]

    @strawberry.field(description="What of the archive the viewer may see: what any of these shows. Empty: everything.")
    def scopes(root: strawberry.Parent[Caller]) -> list[AccessScope]:
        return list(_scopes(root))


def _scopes(caller: Caller) -> Iterator[AccessScope]:
    if caller.scope.is_restricted:
        for pattern in caller.scope.patient_ids:
            yield AccessScope(kind=Rule.Kind.PATIENT_ID, value=pattern)
        for label in sorted(caller.scope.labels):
            yield AccessScope(kind=Rule.Kind.STUDY_LABEL, value=label)
