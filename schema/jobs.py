"""Jobs: their type, the list with its filter and order, and the events of a subscription."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Annotated, Any, cast

import strawberry
import strawberry_django
from django.db.models import Q
from strawberry.relay import from_base64, to_base64

from orthancproxy.archive.levels import Level
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.event_streams import event_streams
from orthancproxy.http.negotiation import EVENT_STREAM
from orthancproxy.jobs.models import Job as Row
from orthancproxy.jobs.models import JobKind, JobState
from orthancproxy.resolvers import jobs
from orthancproxy.schema.connections import ListPage
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum, describe_filter
from orthancproxy.schema.inputs import OrderKey
from orthancproxy.schema.shown_studies import ShownStudies
from orthancproxy.schema.tables import aware
from orthancproxy.schema.types import Node, Study

KINDS = {
    JobKind.SEND: "Resources are sent to another server (`sendToModality`).",
    JobKind.MODIFY: "A patient, study or series is corrected (`modifyPatient`, `modifyStudy`, `modifySeries`).",
    JobKind.MERGE: "Studies are merged (`mergeStudies`).",
    JobKind.MOVE: "Series are moved to another study (`moveSeries`).",
    JobKind.ANONYMIZE: "A study is anonymized into a new one (`anonymizeStudy`).",
    JobKind.RETRIEVE: "Studies are retrieved from another server (`retrieveFromModality`).",
}
STATES = {
    JobState.PENDING: "It waits for others.",
    JobState.RUNNING: "It goes on.",
    JobState.SUCCESS: "It has ended, and everything was done.",
    JobState.FAILED: "It has ended with an error. A part may have been done.",
    JobState.CANCELLED: "It was cancelled. A part may have been done.",
}
TYPE_NAME = "Job"
describe_enum(strawberry.enum(JobKind, name="JobKind", description="What a job does."), KINDS)
describe_enum(strawberry.enum(JobState, name="JobState", description="How far a job is."), STATES)

JobId = Annotated[strawberry.ID, strawberry.argument(description="The `id` of the job.")]


@dataclass(frozen=True, slots=True)
class ShownJob:
    """One of the jobs that are shown together."""

    row: Row
    studies: ShownStudies
    results: ShownStudies


def shown_jobs(rows: Sequence[Row]) -> list[ShownJob]:
    """Return the jobs with what their fields share."""
    single = ShownStudies([*dict.fromkeys(row.shown_studies[0] for row in rows if len(row.shown_studies) == 1)])
    made = ShownStudies([*dict.fromkeys(study for row in rows for study in row.result.get("studies", ()))])
    return [ShownJob(row, single, made) for row in rows]


def shown(row: Row | None) -> "Job | None":
    """Return a job by itself."""
    return cast("Job", shown_jobs([row])[0]) if row else None


def shown_page(page: ListPage) -> ListPage:
    """Return a page of rows as one of jobs."""
    return ListPage(shown_jobs(page.items), page.has_next, page.total, page.offset)


def key_of(given: str) -> str:
    """Return the primary key in the global id of a job; empty for something else."""
    try:
        name, key = from_base64(given)
    except ValueError:
        return ""
    return key if name == TYPE_NAME else ""


def _id(root: strawberry.Parent[ShownJob]) -> strawberry.ID:
    return strawberry.ID(to_base64(TYPE_NAME, root.row.pk))


@strawberry.type(description="Why a job failed.")
class JobError:
    code: str = strawberry.field(
        description="`DESTINATION_FAILED`, `SOURCE_FAILED`, `JOB_LOST`, or a code of errors such as `NOT_FOUND` and "
        "`ARCHIVE_ERROR`."
    )
    message: str = strawberry.field(description="One sentence for people.")
    dimse_status: str | None = strawberry.field(
        description="The status with which a modality rejected an instance, or ended a retrieval, in hexadecimal "
        "digits: `A700` (PS3.4 sections B.2.3, C.4.2.1.5, C.4.3.1.4)."
    )


@strawberry.type(description="An instance that a modality did not take.")
class RejectedInstance:
    orthanc_id: strawberry.ID = strawberry.field(description="The id in Orthanc.")
    sop_instance_uid: strawberry.ID = strawberry.field(name="sopInstanceUID", description="SOPInstanceUID.")
    dimse_status: str = strawberry.field(
        description="The status of the C-STORE in hexadecimal digits, such as `A700` (PS3.4 section B.2.3)."
    )


@strawberry.type(description="What a job is about, as the caller named it.")
class JobTarget:
    @strawberry.field(description="The level of the resources.")
    def level(root: strawberry.Parent[ShownJob]) -> Level:
        return Level(root.row.level)

    @strawberry.field(description="The Orthanc ids of the resources; none of a job that retrieves.")
    def orthanc_ids(root: strawberry.Parent[ShownJob]) -> list[strawberry.ID]:
        return list(map(strawberry.ID, root.row.orthanc_ids))

    @strawberry.field(
        description="Where it sends to: the name of a modality, `peer:` and that of a peer, `dicomweb:` and that of a "
        "DICOMweb server."
    )
    def destination(root: strawberry.Parent[ShownJob]) -> str | None:
        return cast("str | None", root.row.parameters.get("destination"))

    @strawberry.field(description="The name of the modality that it retrieves from.")
    def source(root: strawberry.Parent[ShownJob]) -> str | None:
        return cast("str | None", root.row.parameters.get("source"))

    @strawberry.field(name="studyInstanceUIDs", description="Those of the studies that it retrieves; null for others.")
    def study_instance_uids(root: strawberry.Parent[ShownJob]) -> list[strawberry.ID] | None:
        return cast("list[strawberry.ID] | None", root.row.parameters.get("studyInstanceUIDs"))


@strawberry.type(description="What a job has done.")
class JobResult:
    @strawberry.field(description="Number of instances of the resources; null if Orthanc does not tell.")
    def instances_count(root: strawberry.Parent[ShownJob]) -> int | None:
        return cast("int | None", root.row.counts.get("instances"))

    @strawberry.field(description="Number of instances that an anonymization left out, since they cannot be cleaned.")
    def left_out_count(root: strawberry.Parent[ShownJob]) -> int | None:
        return cast("int | None", root.row.counts.get("leftOut"))

    @strawberry.field(description="The instances that a modality did not take; after 100 of them, it is sent no more.")
    def rejected(root: strawberry.Parent[ShownJob]) -> list[RejectedInstance]:
        return [
            RejectedInstance(
                orthanc_id=one["instance"], sop_instance_uid=one["sopInstanceUID"], dimse_status=one["dimseStatus"]
            )
            for one in root.row.result.get("rejected", ())
        ]

    @strawberry.field(description="The studies that it has made, as they are now, if the caller may see them.")
    def studies(root: strawberry.Parent[ShownJob], info: Info) -> list[Study]:
        found = (root.results.study(info, study) for study in root.row.result.get("studies", ()))
        return cast("list[Study]", [study for study in found if study is not None])


@strawberry.type(
    name=TYPE_NAME, description="What goes on after the response to a mutation. It is kept for `ORTHANC_JOB_DAYS`."
)
class Job(Node):
    id: strawberry.ID = strawberry.field(
        resolver=_id, description="Relay global id: unique across types, stable, opaque."
    )

    @strawberry.field(description="What it does.")
    def kind(root: strawberry.Parent[ShownJob]) -> JobKind:
        return JobKind(root.row.kind)

    @strawberry.field(description="How far it is.")
    def state(root: strawberry.Parent[ShownJob]) -> JobState:
        return JobState(root.row.state)

    @strawberry.field(description="How much of it is done, from 0 to 1.")
    def progress(root: strawberry.Parent[ShownJob]) -> float:
        return root.row.progress

    @strawberry.field(description="Whether somebody asked to cancel it, and it has not ended yet.")
    def is_being_cancelled(root: strawberry.Parent[ShownJob]) -> bool:
        return root.row.cancelled_at is not None and root.row.ended_at is None

    @strawberry.field(description="The user who began it; null for an anonymous caller.")
    def created_by(root: strawberry.Parent[ShownJob]) -> str | None:
        return root.row.created_by or None

    @strawberry.field(description="When it was begun.")
    def created_at(root: strawberry.Parent[ShownJob]) -> datetime.datetime:
        return root.row.created_at

    @strawberry.field(description="When it ended; null until then.")
    def ended_at(root: strawberry.Parent[ShownJob]) -> datetime.datetime | None:
        return root.row.ended_at

    @strawberry.field(description="What it is about, as the caller named it.")
    def target(root: strawberry.Parent[ShownJob]) -> JobTarget:
        return cast("JobTarget", root)

    @strawberry.field(
        description="The study that it has made, else the one that it is about, as it is now; null if there are "
        "several, it is gone, or hidden from the caller."
    )
    def study(root: strawberry.Parent[ShownJob], info: Info) -> Study | None:
        studies = root.row.shown_studies
        return cast("Study | None", root.studies.study(info, studies[0])) if len(studies) == 1 else None

    @strawberry.field(description="What it has done; null until it has ended.")
    def result(root: strawberry.Parent[ShownJob]) -> JobResult | None:
        if root.row.ended_at is None:
            return None
        return cast("JobResult", root)

    @strawberry.field(description="Why it failed; null unless it did.")
    def error(root: strawberry.Parent[ShownJob]) -> JobError | None:
        error = root.row.error
        if error is None:
            return None
        return JobError(code=error["code"], message=error["message"], dimse_status=error["dimseStatus"])

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        return isinstance(value, ShownJob)


@strawberry.type(description="A job.")
class JobPayload:
    @strawberry.field(description="The job.")
    def job(root: strawberry.Parent[ShownJob]) -> Job:
        return cast("Job", root)


@strawberry_django.filter_type(Row, name="JobFilter", description="Every given field must match.")
class JobFilter:
    created_by: str | None = strawberry_django.filter_field(description="The user who began it.")

    @strawberry_django.filter_field(description="Any of these states.")
    def states(self, value: list[JobState], prefix: str) -> Q:
        return Q(**{f"{prefix}state__in": [state.value for state in value]})

    @strawberry_django.filter_field(description="Any of these kinds.")
    def kinds(self, value: list[JobKind], prefix: str) -> Q:
        return Q(**{f"{prefix}kind__in": [kind.value for kind in value]})

    @strawberry_django.filter_field(description="True: only jobs that have not ended. False: only others.")
    def is_unfinished(self, value: bool, prefix: str) -> Q:
        return Q(**{f"{prefix}ended_at__isnull": value})

    @strawberry_django.filter_field(description="Begun at this time or later.")
    def since(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}created_at__gte": aware(value)})


describe_filter(JobFilter)


@strawberry.enum(description="What to order jobs by.")
class JobOrderField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="When it was begun.")
    ENDED_AT = strawberry.enum_value("ended_at", description="When it ended.")
    CREATED_BY = strawberry.enum_value("created_by", description="The user who began it.")


@strawberry.input(description="One key of an order.")
class JobOrder(OrderKey[JobOrderField]):
    pass


@dataclass(frozen=True, slots=True)
class JobOpening:
    """The beginning of a subscription to a job."""

    job_id: int


def follow(info: Info, job_id: str) -> JobOpening:
    """Authorize and audit a caller who follows a job. Raises NotFound, and InvalidRequest for what is no stream."""
    request = info.context.request
    if not request.accepts(EVENT_STREAM):
        raise InvalidRequest(f"Send subscriptions with the header `Accept: {EVENT_STREAM}`.")
    check = partial(event_streams.check, request, info.context.gateway.author.key)
    return JobOpening(jobs.follow_job(gateway(info), key_of(job_id), check).pk)


def cancel(info: Info, job_id: str) -> Row:
    """Ask to cancel a job. Raises NotFound."""
    return jobs.cancel(gateway(info), key_of(job_id))
