"""Reading the hierarchy: pages of a level, single resources, and the server itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.keywords import MAIN_DICOM_TAGS, keyword_of, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Page, Resource
from orthancproxy.errors import ArchiveProtocolError
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.resolvers.context import RequestContext

# what the contract's Instance has, and Orthanc indexes only when ExtraMainDicomTags says so
INSTANCE_TAGS = ("Rows", "Columns", "PixelSpacing", "SliceThickness", "SliceLocation")


def get_page(context: RequestContext, plan: LevelPlan) -> Page:
    """One page of all resources of a level. Raises InvalidRequest for a filter that can't be matched."""
    return Hierarchy(context.client).page(plan)


def get_by_orthanc_id(context: RequestContext, plan: LevelPlan, orthanc_id: str) -> Resource | None:
    """The resource with this Orthanc id, or None. Raises InvalidRequest for what is no Orthanc id."""
    return get_by_orthanc_ids(context, plan, [orthanc_id]).get(orthanc_id)


def get_by_orthanc_ids(context: RequestContext, plan: LevelPlan, orthanc_ids: Sequence[str]) -> Mapping[str, Resource]:
    """Those of the resources that exist at the plan's level, by their Orthanc ids."""
    for orthanc_id in orthanc_ids:
        endpoints.RESOURCE.path(level=plan.level.path, id=orthanc_id)
    found = Hierarchy(context.client).by_ids(plan, orthanc_ids)
    return {record.orthanc_id: record for record in found}


def get_by_identifier(context: RequestContext, plan: LevelPlan, identifier: str) -> Resource | None:
    """The resource with this PatientID or UID, or None. Raises InvalidRequest when there are several such."""
    return Hierarchy(context.client).by_identifier(plan, identifier)


@dataclass(frozen=True, slots=True)
class Server:
    """The Orthanc behind the gateway: what it is and holds (`disk_size` in bytes), how it could be set up better."""

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
    """What Orthanc is and holds now."""
    capabilities = context.client.capabilities()
    answer = context.client.call(endpoints.STATISTICS)
    try:
        return Server(
            name=capabilities.name,
            version=capabilities.version,
            has_extended_find=capabilities.has_extended_find,
            has_labels=capabilities.has_labels,
            patients_count=int(answer["CountPatients"]),
            studies_count=int(answer["CountStudies"]),
            series_count=int(answer["CountSeries"]),
            instances_count=int(answer["CountInstances"]),
            disk_size=int(answer["TotalDiskSize"]),
            advice=tuple(_advice(capabilities)),
        )
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
    partly = {keyword_of(tag) for tags in capabilities.partly_indexed.values() for tag in tags}
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
