"""The root fields that read. Each plans everything that is selected below it, then executes the plan."""

from collections.abc import Callable
from typing import Annotated, cast

import strawberry
from strawberry.relay import from_base64

from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.server import STATISTICS_FIELDS
from orthancproxy.conf import conf
from orthancproxy.errors import InvalidRequest, LimitExceeded
from orthancproxy.resolvers import hierarchy
from orthancproxy.resolvers.audit import get_audit_events, get_viewer
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.jobs import get_job, get_jobs
from orthancproxy.resolvers.labels import count_labels
from orthancproxy.resolvers.reidentifying import reidentify
from orthancproxy.resolvers.restoring import get_trash
from orthancproxy.resolvers.sending import get_destinations
from orthancproxy.resolvers.shares import get_shares
from orthancproxy.resolvers.sources import get_sources
from orthancproxy.resolvers.upload import get_uploads
from orthancproxy.schema.anonymizing import ProjectName, Pseudonym, Pseudonyms
from orthancproxy.schema.audit import RELATED, AuditEvent, AuditEventFilter, AuditEventOrder
from orthancproxy.schema.batches import UploadBatch, UploadBatchFilter, UploadBatchOrder
from orthancproxy.schema.changes import AfterChange, ArchiveChangeConnection, changes_page
from orthancproxy.schema.connections import Connection, ListPage
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.inputs import (
    InstanceFilter,
    InstanceOrder,
    PatientFilter,
    PatientOrder,
    SeriesFilter,
    SeriesOrder,
    StudyFilter,
    StudyOrder,
)
from orthancproxy.schema.jobs import Job, JobFilter, JobId, JobOrder, key_of, shown, shown_page
from orthancproxy.schema.labels import LabelCount
from orthancproxy.schema.modalities import Modality
from orthancproxy.schema.selection import Selection
from orthancproxy.schema.server import Server
from orthancproxy.schema.shares import Share, ShareFilter, ShareOrder
from orthancproxy.schema.sources import FoundStudy, SourceFilter, SourceName, find
from orthancproxy.schema.tables import page_of
from orthancproxy.schema.types import FILTER, ORDER, Instance, Node, Patient, Series, Study
from orthancproxy.schema.viewer import Viewer

First = Annotated[
    int | None,
    strawberry.argument(description="Number of nodes; 50 by default, at most `server.limits.maxPageSize`."),
]
After = Annotated[str | None, strawberry.argument(description="The cursor of the node before the page.")]
GlobalId = Annotated[strawberry.ID, strawberry.argument(description="The `id` of a resource.")]
GlobalIds = Annotated[list[strawberry.ID], strawberry.argument(description="The `id`s of resources.")]
OrthancId = Annotated[strawberry.ID | None, strawberry.argument(description="The id in Orthanc.")]


def _page(info: Info, level: Level, get: Callable[[RequestContext, LevelPlan], Page]) -> ListPage:
    plan, names = Selection(info).connection(level)
    # each place in the response that shows the page shows all of it
    info.context.gateway.budget.reserve((plan.first or 0) * (len(names) + plan.objects))
    page = get(gateway(info), plan)
    return ListPage(page.resources, page.has_next, page.total, plan.offset, names, plan.full_order)


def _one(info: Info, level: Level, orthanc_id: str | None, identifier: str | None) -> Resource | None:
    if (orthanc_id is None) == (identifier is None):
        raise InvalidRequest("Give exactly one argument.")
    plan = Selection(info).resource(level)
    info.context.gateway.budget.reserve(1 + plan.objects)
    if orthanc_id is not None:
        return hierarchy.get_by_orthanc_id(gateway(info), plan, orthanc_id)
    return hierarchy.get_by_identifier(gateway(info), plan, identifier or "")


def _nodes(info: Info, ids: list[strawberry.ID]) -> list[Resource | Job | None]:
    if len(ids) > conf.ORTHANC_MAX_PAGE_SIZE:
        raise LimitExceeded(f"At most {conf.ORTHANC_MAX_PAGE_SIZE} ids can be requested at once.")
    if of_jobs := [one for one in ids if key_of(one)]:
        jobs = {one: shown(get_job(gateway(info), key_of(one))) for one in dict.fromkeys(of_jobs)}
        others = iter(_nodes(info, [one for one in ids if one not in jobs]) if len(of_jobs) < len(ids) else ())
        return [jobs[one] if one in jobs else next(others) for one in ids]
    wanted = [_global_id(one) for one in ids]
    selection = Selection(info)
    found: dict[tuple[Level, str], Resource] = {}
    for level in Level:
        of_level = list(dict.fromkeys(orthanc_id for its_level, orthanc_id in wanted if its_level is level))
        if of_level:
            plan = selection.resource(level)
            info.context.gateway.budget.reserve(len(of_level) * (1 + plan.objects))
            records = hierarchy.get_by_orthanc_ids(gateway(info), plan, of_level)
            found |= {(level, orthanc_id): record for orthanc_id, record in records.items()}
    return [found.get(key) for key in wanted]


def _global_id(given: str) -> tuple[Level, str]:
    """Return the level and Orthanc id in a global id."""
    try:
        name, orthanc_id = from_base64(given)
        return Level(name), orthanc_id
    except ValueError as error:
        raise InvalidRequest("The id is not a valid global id.") from error


@strawberry.type(description="Everything that can be read.")
class Query:
    @strawberry.field(description="The resource with a Relay global id.")
    def node(self, info: Info, id: GlobalId) -> Node | None:
        return cast("Node | None", _nodes(info, [id])[0])

    @strawberry.field(description="The resources with these Relay global ids; null for those that do not exist.")
    def nodes(self, info: Info, ids: GlobalIds) -> list[Node | None]:
        return cast("list[Node | None]", _nodes(info, ids))

    @strawberry.field(description="All patients, by PatientID unless ordered otherwise.")
    def patients(
        self,
        info: Info,
        filter: Annotated[PatientFilter | None, FILTER] = None,
        order_by: Annotated[list[PatientOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Patient]:
        return cast("Connection[Patient]", _page(info, Level.PATIENT, hierarchy.get_page))

    @strawberry.field(description="All studies, newest first unless ordered otherwise.")
    def studies(
        self,
        info: Info,
        filter: Annotated[StudyFilter | None, FILTER] = None,
        order_by: Annotated[list[StudyOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Study]:
        return cast("Connection[Study]", _page(info, Level.STUDY, hierarchy.get_page))

    @strawberry.field(description="All series, by SeriesNumber unless ordered otherwise.")
    def series_list(
        self,
        info: Info,
        filter: Annotated[SeriesFilter | None, FILTER] = None,
        order_by: Annotated[list[SeriesOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Series]:
        return cast("Connection[Series]", _page(info, Level.SERIES, hierarchy.get_page))

    @strawberry.field(description="All instances, by InstanceNumber unless ordered otherwise.")
    def instances(
        self,
        info: Info,
        filter: Annotated[InstanceFilter | None, FILTER] = None,
        order_by: Annotated[list[InstanceOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Instance]:
        return cast("Connection[Instance]", _page(info, Level.INSTANCE, hierarchy.get_page))

    @strawberry.field(description="One patient, by exactly one of its ids.")
    def patient(
        self,
        info: Info,
        orthanc_id: OrthancId = None,
        patient_id: Annotated[str | None, strawberry.argument(description="PatientID, exact match.")] = None,
    ) -> Patient | None:
        return cast("Patient | None", _one(info, Level.PATIENT, orthanc_id, patient_id))

    @strawberry.field(description="One study, by exactly one of its ids.")
    def study(
        self,
        info: Info,
        orthanc_id: OrthancId = None,
        study_instance_uid: Annotated[
            strawberry.ID | None, strawberry.argument(name="studyInstanceUID", description="StudyInstanceUID.")
        ] = None,
    ) -> Study | None:
        return cast("Study | None", _one(info, Level.STUDY, orthanc_id, study_instance_uid))

    @strawberry.field(description="One series, by exactly one of its ids.")
    def series(
        self,
        info: Info,
        orthanc_id: OrthancId = None,
        series_instance_uid: Annotated[
            strawberry.ID | None, strawberry.argument(name="seriesInstanceUID", description="SeriesInstanceUID.")
        ] = None,
    ) -> Series | None:
        return cast("Series | None", _one(info, Level.SERIES, orthanc_id, series_instance_uid))

    @strawberry.field(description="One instance, by exactly one of its ids.")
    def instance(
        self,
        info: Info,
        orthanc_id: OrthancId = None,
        sop_instance_uid: Annotated[
            strawberry.ID | None, strawberry.argument(name="sopInstanceUID", description="SOPInstanceUID.")
        ] = None,
    ) -> Instance | None:
        return cast("Instance | None", _one(info, Level.INSTANCE, orthanc_id, sop_instance_uid))

    @strawberry.field(description="Uploads, newest first unless ordered otherwise.")
    def uploads(
        self,
        info: Info,
        filter: Annotated[UploadBatchFilter | None, FILTER] = None,
        order_by: Annotated[list[UploadBatchOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[UploadBatch]:
        page = page_of(info, get_uploads(gateway(info)), filter, order_by, first, after)
        return cast("Connection[UploadBatch]", page)

    @strawberry.field(
        description="Events of the audit log, newest first unless ordered otherwise. Reading it is audited."
    )
    def audit_events(
        self,
        info: Info,
        filter: Annotated[AuditEventFilter | None, FILTER] = None,
        order_by: Annotated[list[AuditEventOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[AuditEvent]:
        page = page_of(info, get_audit_events(gateway(info)), filter, order_by, first, after, RELATED)
        return cast("Connection[AuditEvent]", page)

    @strawberry.field(
        description="Share links, newest first unless ordered otherwise; for a caller with an access scope, the "
        "caller's own only."
    )
    def shares(
        self,
        info: Info,
        filter: Annotated[ShareFilter | None, FILTER] = None,
        order_by: Annotated[list[ShareOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Share]:
        page = page_of(info, get_shares(gateway(info)), filter, order_by, first, after)
        return cast("Connection[Share]", page)

    @strawberry.field(
        description="Jobs, newest first unless ordered otherwise: the caller's own; with the permission `manage_jobs`, "
        "also those of others that are about studies in the caller's scope."
    )
    def jobs(
        self,
        info: Info,
        filter: Annotated[JobFilter | None, FILTER] = None,
        order_by: Annotated[list[JobOrder] | None, ORDER] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Job]:
        page = page_of(info, get_jobs(gateway(info)), filter, order_by, first, after)
        return cast("Connection[Job]", shown_page(page))

    @strawberry.field(description="The job with an id; null if there is none, or it is another's.")
    def job(self, info: Info, id: JobId) -> Job | None:
        return shown(get_job(gateway(info), key_of(id)))

    @strawberry.field(
        description="The servers to which the caller may send: those of Orthanc's configuration that the setting "
        "`ORTHANC_DESTINATIONS` names."
    )
    def modalities(self, info: Info) -> list[Modality]:
        return cast("list[Modality]", get_destinations(gateway(info)))

    @strawberry.field(
        description="The servers that the caller may search for studies, and retrieve these from: the DICOM modalities "
        "of Orthanc's configuration that the setting `ORTHANC_SOURCES` names. Not for callers with an access scope."
    )
    def sources(self, info: Info) -> list[Modality]:
        return cast("list[Modality]", get_sources(gateway(info)))

    @strawberry.field(
        description="The studies of another server that match (C-FIND), newest first; an error if there are more than "
        "500. Not for callers with an access scope. What is searched and found is audited."
    )
    def find_on_modality(
        self,
        info: Info,
        modality: SourceName,
        filter: Annotated[SourceFilter, strawberry.argument(description="Only studies that match.")],
    ) -> list[FoundStudy]:
        return find(info, modality, filter)

    @strawberry.field(
        description="Changes of the archive that the caller may see, oldest first, from the beginning of the log or "
        "after a cursor. `archiveChanges` is also a subscription."
    )
    def archive_changes(self, info: Info, after: AfterChange = None, first: First = None) -> ArchiveChangeConnection:
        return changes_page(info, after, first)

    @strawberry.field(
        description="The studies in the trash, within the caller's scope, newest first: they are hidden from all else "
        "until `restoreStudy` takes them out. Needs Orthanc 1.12."
    )
    def trash(self, info: Info, first: First = None, after: After = None) -> Connection[Study]:
        return cast("Connection[Study]", _page(info, Level.STUDY, get_trash))

    @strawberry.field(description="The labels of what the caller sees, in order. Needs Orthanc 1.12.")
    def labels(self, info: Info) -> list[LabelCount]:
        return cast("list[LabelCount]", count_labels(gateway(info)))

    @strawberry.field(
        description="The patients behind pseudonyms of a project, of those whose every study the caller may see; at "
        "most the newest 1,000. Each call is audited with their PatientIDs."
    )
    def reidentify(self, info: Info, project: ProjectName, pseudonyms: Pseudonyms = None) -> list[Pseudonym]:
        return cast("list[Pseudonym]", reidentify(gateway(info), project, pseudonyms))

    @strawberry.field(description="The caller, with permissions and access scopes.")
    def viewer(self, info: Info) -> Viewer:
        return cast("Viewer", get_viewer(gateway(info)))

    @strawberry.field(description="The Orthanc behind the gateway.")
    def server(self, info: Info) -> Server:
        is_counted = not STATISTICS_FIELDS.isdisjoint(Selection(info).names_of_object())
        return cast("Server", hierarchy.get_server(gateway(info), is_counted=is_counted))
