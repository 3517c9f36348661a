"""The Orthanc behind the gateway: what it is and holds, and how it could be set up better."""

from dataclasses import dataclass
from typing import cast

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.keywords import KEYWORDS, MAIN_DICOM_TAGS, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Study
from orthancproxy.errors import ArchiveProtocolError, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.client import OrthancClient

# what the contract's Instance has, and Orthanc indexes only when ExtraMainDicomTags says so
INSTANCE_TAGS = ("Rows", "Columns", "PixelSpacing", "SliceThickness", "SliceLocation")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the caller can see of the archive: how much of what, and the files' size in bytes."""

    patients: int
    studies: int
    series: int
    instances: int
    disk_size: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
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


def describe(client: OrthancClient, hierarchy: Hierarchy) -> ServerInfo:
    """What Orthanc is, and how much of it `hierarchy` can see now."""
    capabilities = client.capabilities()
    holdings = _visible_holdings(client, hierarchy) if hierarchy.is_restricted else _holdings(client)
    return ServerInfo(
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


def _holdings(client: OrthancClient) -> Holdings:
    answer = client.call(endpoints.STATISTICS)
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


def _visible_holdings(client: OrthancClient, hierarchy: Hierarchy) -> Holdings:
    """Orthanc counts the whole archive only: the studies in the scope are added up, with a call for each."""
    needs = Needs(frozenset({"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}))
    studies = [cast("Study", study) for study in hierarchy.visible_studies(needs)]
    return Holdings(
        patients=len({study.parent_id for study in studies}),
        studies=len(studies),
        series=sum(study.series_count for study in studies),
        instances=sum(study.instances_count for study in studies),
        disk_size=sum(_disk_size(client, study) for study in studies),
    )


def _disk_size(client: OrthancClient, study: Study) -> int:
    try:
        answer = client.call(endpoints.RESOURCE_STATISTICS, level=Level.STUDY.path, id=study.orthanc_id)
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
