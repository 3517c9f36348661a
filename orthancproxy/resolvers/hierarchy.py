"""Reading the hierarchy: pages of a level, single resources, and the server itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from orthancproxy.archive.keywords import KEYWORDS, MAIN_DICOM_TAGS, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Page, Resource, Study
from orthancproxy.errors import ArchiveProtocolError, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.operations import at_once, reading

# what the contract's Instance has, and Orthanc indexes only when ExtraMainDicomTags says so
INSTANCE_TAGS = ("Rows", "Columns", "PixelSpacing", "SliceThickness", "SliceLocation")


def get_page(context: RequestContext, plan: LevelPlan) -> Page:
    """One page of all resources of a level. Raises InvalidRequest for a filter that can't be matched."""
    with reading(context) as read:
        page = context.hierarchy.page(identified(plan))
        read(page.records)
        return page


def get_by_orthanc_id(context: RequestContext, plan: LevelPlan, orthanc_id: str) -> Resource | None:
    """The resource with this Orthanc id, or None. Raises InvalidRequest for what is no Orthanc id."""
    return get_by_orthanc_ids(context, plan, [orthanc_id]).get(orthanc_id)


def get_after_change(context: RequestContext, plan: LevelPlan, orthanc_id: str) -> Resource | None:
    """The same, to be told beside what was changed, which is told also where this fails."""
    with at_once(context) as beside:
        return get_by_orthanc_id(beside, plan, orthanc_id)


def get_by_orthanc_ids(context: RequestContext, plan: LevelPlan, orthanc_ids: Sequence[str]) -> Mapping[str, Resource]:
    """Those of the resources that exist at the plan's level, by their Orthanc ids."""
    with reading(context) as read:
        found = look_up(context, identified(plan), orthanc_ids)
        read(found)
        return {record.orthanc_id: record for record in found}


def get_by_identifier(context: RequestContext, plan: LevelPlan, identifier: str) -> Resource | None:
    """The resource with this PatientID or UID, or None. Raises InvalidRequest when there are several such."""
    with reading(context) as read:
        record = context.hierarchy.by_identifier(identified(plan), identifier)
        read([record] if record else [])
        return record


def get_named(context: RequestContext, plan: LevelPlan, name: str) -> Resource:
    """The resource with this Orthanc id, or else with this PatientID or UID. Raises NotFound, and InvalidRequest."""
    with reading(context) as read:
        if endpoints.ORTHANC_ID.fullmatch(name):
            found = next(iter(look_up(context, identified(plan), [name])), None)
        else:
            found = context.hierarchy.by_identifier(identified(plan), name)
        if found is None:
            raise NotFound(f"There is no such {plan.level.value.lower()}.")
        read([found])
        return found


def look_up(context: RequestContext, plan: LevelPlan, orthanc_ids: Sequence[str]) -> list[Resource]:
    """Resources by their Orthanc ids, for an operation that authorizes and records by itself."""
    for orthanc_id in orthanc_ids:
        endpoints.RESOURCE.path(level=plan.level.path, id=orthanc_id)
    return context.hierarchy.by_ids(plan, orthanc_ids)


def identified(plan: LevelPlan) -> LevelPlan:
    """The plan with what tells the patient and the study, which the audit names; patients and studies always do."""
    if plan.level in (Level.PATIENT, Level.STUDY):
        return plan
    return replace(plan, needs=plan.needs | Needs(frozenset({"PatientID", "StudyInstanceUID"})))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the caller can see of the archive: how much of what, and the files' size in bytes."""

    patients: int
    studies: int
    series: int
    instances: int
    disk_size: int


@dataclass(frozen=True, slots=True)
class Server:
    """The Orthanc behind the gateway: what it is and holds, and how it could be set up better."""

    name: str
    version: str
    has_extended_find: bool
    has_labels: bool
    patients_count: int
    studies_count: int
    series_count: int
    instances_count: int
    disk_size: int
    advice: tuple[str, ...]


def get_server(context: RequestContext) -> Server:
    """What Orthanc is, and holds now."""
    with reading(context):
        capabilities = context.client.capabilities()
        holdings = _visible_holdings(context) if context.caller.scope.is_confined else _holdings(context)
        return Server(
            name=capabilities.name,
            version=capabilities.version,
            has_extended_find=capabilities.has_extended_find,
            has_labels=capabilities.has_labels,
            patients_count=holdings.patients,
            studies_count=holdings.studies,
            series_count=holdings.series,
            instances_count=holdings.instances,
            disk_size=holdings.disk_size,
            advice=tuple(_advice(capabilities)),
        )


def _holdings(context: RequestContext) -> Holdings:
    answer = context.client.call(endpoints.STATISTICS)
    try:
        return Holdings(
            patients=int(answer["CountPatients"]),
            studies=int(answer["CountStudies"]),
            series=int(answer["CountSeries"]),
            instances=int(answer["CountInstances"]),
            disk_size=int(answer["TotalDiskSize"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error


def _visible_holdings(context: RequestContext) -> Holdings:
    """Orthanc counts the whole archive only: the studies in the scope are added up, with a call for each."""
    needs = Needs(frozenset({"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}))
    studies = [cast("Study", study) for study in context.hierarchy.visible_studies(needs)]
    return Holdings(
        patients=len({study.parent_id for study in studies}),
        studies=len(studies),
        series=sum(study.series_count for study in studies),
        instances=sum(study.instances_count for study in studies),
        disk_size=sum(_disk_size(context, study) for study in studies),
    )


def _disk_size(context: RequestContext, study: Study) -> int:
    try:
        answer = context.client.call(endpoints.RESOURCE_STATISTICS, level=Level.STUDY.path, id=study.orthanc_id)
        return int(answer["DiskSize"])
    except NotFound:
        return 0  # somebody deleted it just now
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error


def _advice(capabilities: Capabilities) -> list[str]:
    advice = []
    if not capabilities.has_extended_find:
        advice.append(
            "Update Orthanc to 1.12.5 or newer, and the plugin of its database with it (PostgreSQL: 7.0): this one "
            "can't sort, page or count, so that the gateway fetches whole lists to do it."
        )
    instance = Level.INSTANCE.value
    partly = {KEYWORDS[tag] for tags in capabilities.partly_indexed.values() for tag in tags}
    indexed = (capabilities.indexed or {}).get(instance, frozenset())
    missing = [keyword for keyword in INSTANCE_TAGS if tag_of(keyword) not in indexed]
    if capabilities.indexed is not None and (unindexed := [tag for tag in missing if tag not in partly]):
        advice.append(
            f'Add {", ".join(unindexed)} to "ExtraMainDicomTags" → "Instance" in Orthanc\'s configuration: '
            "without it, Orthanc reads a file for every instance whose query selects them."
        )
    if partly := partly - frozenset[str]().union(*MAIN_DICOM_TAGS.values()):
        advice.append(
            f"Reconstruct what was stored before {', '.join(sorted(partly))} came into Orthanc's index (its "
            "Housekeeper plugin does): until then, Orthanc reads these tags from the files."
        )
    if capabilities.find_limits.found:
        advice.append(
            'Set "LimitFindResults" and "LimitFindInstances" to 0 in Orthanc\'s configuration: they cut answers off, '
            "so that the gateway asks again and again for the rest."
        )
    return advice
