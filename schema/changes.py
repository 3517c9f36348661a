"""Changes of the archive: the page of a query, and the events of a subscription."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, cast

import strawberry
from strawberry.relay import PageInfo, to_base64

from orthancproxy.archive.levels import Level
from orthancproxy.errors import InvalidRequest
from orthancproxy.feed.log import Kind, LoggedChange
from orthancproxy.http.event_streams import event_streams, last_event_id
from orthancproxy.http.negotiation import EVENT_STREAM
from orthancproxy.resolvers.changes import ChangePage, follow_changes, get_changes
from orthancproxy.schema.connections import page_size
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.jobs import Job, JobId, JobOpening, ShownJob, follow
from orthancproxy.schema.shown_studies import ShownStudies
from orthancproxy.schema.types import Study

KINDS = {
    Kind.ADDED: "It was added.",
    Kind.UPDATED: "Instances were added below it, or deleted.",
    Kind.STABLE: "No instance was added below it for a while (`StableAge` in Orthanc).",
    Kind.LABELLED: "Its labels were changed through the gateway.",
    Kind.DELETED: "It was deleted, with everything below it.",
}
describe_enum(
    strawberry.enum(Kind, name="ChangeKind", description="What happened to a resource of the archive."), KINDS
)


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One of the changes that are shown together."""

    logged: LoggedChange
    studies: ShownStudies


def shown_changes(changes: Sequence[LoggedChange]) -> list[ShownChange]:
    """Return the changes with what their fields share."""
    studies = ShownStudies([*dict.fromkeys(filter(None, (one.change.study_orthanc_id for one in changes)))])
    return [ShownChange(one, studies) for one in changes]


@strawberry.type(description="A change of a resource of the archive.")
class ArchiveChange:
    @strawberry.field(description="The position in the feed: the value of `after` for what follows.")
    def cursor(root: strawberry.Parent[ShownChange]) -> str:
        return str(root.logged.cursor)

    @strawberry.field(description="What happened.")
    def kind(root: strawberry.Parent[ShownChange]) -> Kind:
        return root.logged.change.kind

    @strawberry.field(description="The level of the resource.")
    def level(root: strawberry.Parent[ShownChange]) -> Level:
        return root.logged.change.level

    @strawberry.field(description="The id of the resource that Orthanc and the REST API use.")
    def orthanc_id(root: strawberry.Parent[ShownChange]) -> strawberry.ID:
        return strawberry.ID(root.logged.change.orthanc_id)

    @strawberry.field(description="The `id` of the resource: its Relay global id.")
    def global_id(root: strawberry.Parent[ShownChange]) -> strawberry.ID:
        change = root.logged.change
        return strawberry.ID(to_base64(change.level.value, change.orthanc_id))

    @strawberry.field(description="When the gateway learned of it.")
    def at(root: strawberry.Parent[ShownChange]) -> datetime.datetime:
        return root.logged.at

    @strawberry.field(description="PatientID of the patient; null if the gateway never knew it.")
    def patient_id(root: strawberry.Parent[ShownChange]) -> str | None:
        return root.logged.change.patient_id

    @strawberry.field(
        name="studyInstanceUID",
        description="StudyInstanceUID of the study; null for patients, and if the gateway never knew it.",
    )
    def study_instance_uid(root: strawberry.Parent[ShownChange]) -> strawberry.ID | None:
        uid = root.logged.change.study_instance_uid
        return None if uid is None else strawberry.ID(uid)

    @strawberry.field(description="The study as it is now; null if it is gone, and for patients.")
    def study(root: strawberry.Parent[ShownChange], info: Info) -> Study | None:
        orthanc_id = root.logged.change.study_orthanc_id
        return cast("Study | None", root.studies.study(info, orthanc_id)) if orthanc_id else None


@strawberry.type(description="A page of changes, oldest first.")
class ArchiveChangeConnection:
    @strawberry.field(
        description="The changes. There may be fewer than `first`, or none, although more follow: of what was read, "
        "the rest is hidden from the caller."
    )
    def nodes(root: strawberry.Parent[ChangePage]) -> list[ArchiveChange]:
        return cast("list[ArchiveChange]", shown_changes(root.changes))

    @strawberry.field(
        description="The position of this page. `endCursor` is also there on an empty page: continue with it."
    )
    def page_info(root: strawberry.Parent[ChangePage]) -> PageInfo:
        return PageInfo(
            has_next_page=root.has_next,
            has_previous_page=root.has_previous,
            start_cursor=str(root.changes[0].cursor) if root.changes else None,
            end_cursor=str(root.end),
        )


AfterChange = Annotated[str | None, strawberry.argument(description="The cursor of the change before the first one.")]


def changes_page(info: Info, after: str | None, first: int | None) -> ArchiveChangeConnection:
    """Return a page of changes for the query."""
    return cast("ArchiveChangeConnection", get_changes(gateway(info), after, page_size(first)))


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a subscription: the cursor after which it begins, and the levels that it shows."""

    cursor: int
    levels: frozenset[Level]


@strawberry.type(description="What the gateway tells as it happens, as server-sent events.")
class Subscription:
    # A field is executed without a root value once, when the subscription begins, and then for each event.
    @strawberry.field(
        description="Changes of the archive that the caller may see. Without `after`, or a Last-Event-ID, those from "
        "now on."
    )
    def archive_changes(
        root: strawberry.Parent[ShownChange | None],
        info: Info,
        after: AfterChange = None,
        levels: Annotated[
            list[Level] | None, strawberry.argument(description="Only changes of these levels; of all by default.")
        ] = None,
    ) -> ArchiveChange:
        if root is None:
            request = info.context.request
            if not request.accepts(EVENT_STREAM):
                raise InvalidRequest(f"Send subscriptions with the header `Accept: {EVENT_STREAM}`.")
            check = partial(event_streams.check, request, info.context.gateway.author.key)
            cursor = follow_changes(gateway(info), last_event_id(request, after), check)
            raise SubscriptionBegins(Opening(cursor, frozenset(Level if levels is None else levels)))
        return cast("ArchiveChange", root)

    @strawberry.field(description="A job, as it is now and whenever it changes. The stream ends with the job.")
    def job_updates(root: strawberry.Parent[ShownJob | None], info: Info, id: JobId) -> Job:
        if root is None:
            raise SubscriptionBegins(follow(info, id))
        return cast("Job", root)


class SubscriptionBegins(Exception):
    """Ends the first execution of a subscription, which has no result."""

    def __init__(self, opening: Opening | JobOpening) -> None:
        super().__init__()
        self.opening = opening
