"""Reading the hierarchy: pages of a level, single resources, and the server itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orthancproxy.archive import server
from orthancproxy.archive.dicom_search import DicomSearch, SearchResults, search_archive
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource
from orthancproxy.archive.server import ServerInfo
from orthancproxy.conf import conf
from orthancproxy.errors import NotFound
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_separately


def get_page(context: RequestContext, plan: LevelPlan) -> Page:
    """Return a page of all resources of a level. Raises InvalidRequest for an invalid filter."""
    with audited_read(context) as read:
        page = context.open_hierarchy().page(with_audit_tags(plan))
        read(page.resources)
        return page


def get_by_orthanc_id(context: RequestContext, plan: LevelPlan, orthanc_id: str) -> Resource | None:
    """Return the resource with an Orthanc id, or None. Raises InvalidRequest for an invalid id."""
    return get_by_orthanc_ids(context, plan, [orthanc_id]).get(orthanc_id)


def get_after_change(context: RequestContext, plan: LevelPlan, orthanc_id: str) -> Resource | None:
    """Return the resource for the response to a change; if this raises, the response omits it."""
    with audited_separately(context) as beside:
        return get_by_orthanc_id(beside, plan, orthanc_id)


def get_by_orthanc_ids(context: RequestContext, plan: LevelPlan, orthanc_ids: Sequence[str]) -> Mapping[str, Resource]:
    """Return the resources that exist at the plan's level, by their Orthanc ids."""
    with audited_read(context) as read:
        found = context.open_hierarchy().by_ids(with_audit_tags(plan), orthanc_ids)
        read(found)
        return {record.orthanc_id: record for record in found}


def get_by_identifier(context: RequestContext, plan: LevelPlan, identifier: str) -> Resource | None:
    """Return the resource with a PatientID or UID, or None. Raises InvalidRequest if there are several."""
    with audited_read(context) as read:
        record = context.open_hierarchy().by_identifier(with_audit_tags(plan), identifier)
        read([record] if record else [])
        return record


def get_named(context: RequestContext, plan: LevelPlan, name: str) -> Resource:
    """Return the resource with an Orthanc id, or else with that PatientID or UID. Raises NotFound or InvalidRequest."""
    with audited_read(context) as read:
        found = context.open_hierarchy().by_name(with_audit_tags(plan), name)
        if found is None:
            raise NotFound(f"There is no such {plan.level.value.lower()}.")
        read([found])
        return found


def search(context: RequestContext, wanted: DicomSearch) -> SearchResults:
    """Return the results of a search for studies, series or instances. Raises InvalidRequest."""
    with audited_read(context) as read:
        results, found = search_archive(context.open_hierarchy(), wanted)
        read(found)
        return results


def look_up(
    context: RequestContext, plan: LevelPlan, orthanc_ids: Sequence[str], *, in_trash: bool = False
) -> list[Resource]:
    """Return resources as stored by their Orthanc ids, for an operation that authorizes and audits itself.

    If `in_trash`, also what is there.
    """
    return context.open_hierarchy(in_trash=in_trash).by_ids(plan, orthanc_ids, as_stored=True)


def with_audit_tags(plan: LevelPlan) -> LevelPlan:
    """Return the plan with the tags of audit subjects; patients and studies have them anyway."""
    if plan.level in (Level.PATIENT, Level.STUDY):
        return plan
    return replace(plan, needs=plan.needs | Needs(frozenset({"PatientID", "StudyInstanceUID"})))


def get_server(context: RequestContext, *, is_counted: bool = True) -> ServerInfo:
    """Return a description of Orthanc, with the size of its content if `is_counted`."""
    with audited_read(context):
        view = context.open_hierarchy()
        hidden = {study.orthanc_id for study in view.hidden(Level.STUDY)}
        index = context.background.index_status(context.caller.scope, hidden)
        return server.describe(
            context.client, view, index, is_counted=is_counted, needs_labels=bool(conf.ORTHANC_TRASH_DAYS)
        )
