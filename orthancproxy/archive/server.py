"""Describes the Orthanc behind the gateway: version, statistics, and advice on its configuration."""

from dataclasses import dataclass
from typing import cast

from msgspec import structs

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.index import NO_INDEX, IndexStatus
from orthancproxy.archive.keywords import KEYWORDS, MAIN_DICOM_TAGS, tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Study
from orthancproxy.errors import NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import RESOURCE_STATISTICS_DECODER, STATISTICS_DECODER, Statistics

# fields of the contract's Instance that Orthanc indexes only if ExtraMainDicomTags names them
INSTANCE_TAGS = ("Rows", "Columns", "PixelSpacing", "SliceThickness", "SliceLocation")


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Describes the Orthanc behind the gateway: version, statistics, and advice on its configuration.

    The statistics are 0 unless they were counted.
    """

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
    index: IndexStatus


STATISTICS_FIELDS = frozenset({"patients_count", "studies_count", "series_count", "instances_count", "disk_size"})
_ADVICE_ON_TRASH = (
    "Update Orthanc, or the plugin of its database, to one with labels (1.12.0), or set ORTHANC_TRASH_DAYS to 0: "
    "without labels there is no trash, so that deletions of patients and studies are rejected unless they are for good."
)
_COUNTS = Needs(frozenset({"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}))
_UNCOUNTED = Statistics(0, 0, 0, 0, 0)


def describe(
    client: OrthancClient,
    hierarchy: Hierarchy,
    index: IndexStatus = NO_INDEX,
    *,
    is_counted: bool = True,
    needs_labels: bool = False,
) -> ServerInfo:
    """Describe Orthanc, and count the resources in `hierarchy` if `is_counted`. Raises ArchiveError.

    `needs_labels`: the settings of the gateway want a trash. Counting 1,000,000 instances takes Orthanc up to 0.1 s
    (1.13.0).
    """
    capabilities = client.capabilities()
    if not is_counted:
        statistics = _UNCOUNTED
    elif hierarchy.is_restricted:
        statistics = _visible_statistics(client, hierarchy)
    else:
        statistics = _without_hidden(client.call(endpoints.STATISTICS, decoder=STATISTICS_DECODER), hierarchy)
    return ServerInfo(
        name=capabilities.name,
        version=capabilities.version,
        has_extended_find=capabilities.has_extended_find,
        has_labels=capabilities.has_labels,
        patients_count=statistics.count_patients,
        studies_count=statistics.count_studies,
        series_count=statistics.count_series,
        instances_count=statistics.count_instances,
        disk_size=statistics.total_disk_size,
        advice=(*_advice(capabilities), *([_ADVICE_ON_TRASH] if needs_labels and not capabilities.has_labels else [])),
        index=index,
    )


def _visible_statistics(client: OrthancClient, hierarchy: Hierarchy) -> Statistics:
    """Add up the studies in scope, with a call for each: Orthanc counts the whole archive only."""
    studies = [cast("Study", study) for study in hierarchy.visible_studies(_COUNTS)]
    return Statistics(
        count_patients=len({study.parent_id for study in studies}),
        count_studies=len(studies),
        count_series=sum(study.series_count for study in studies),
        count_instances=sum(study.instances_count for study in studies),
        total_disk_size=sum(_disk_size(client, study) for study in studies),
    )


def _without_hidden(statistics: Statistics, hierarchy: Hierarchy) -> Statistics:
    """Subtract what is hidden from everybody, but for the disk space, which it takes."""
    studies = [cast("Study", one) for one in hierarchy.hidden(Level.STUDY, needs=_COUNTS)]
    if not studies:
        return statistics
    return structs.replace(
        statistics,
        count_patients=statistics.count_patients - len(hierarchy.hidden(Level.PATIENT)),
        count_studies=statistics.count_studies - len(studies),
        count_series=statistics.count_series - sum(study.series_count for study in studies),
        count_instances=statistics.count_instances - sum(study.instances_count for study in studies),
    )


def _disk_size(client: OrthancClient, study: Study) -> int:
    try:
        found = client.call(
            endpoints.RESOURCE_STATISTICS,
            decoder=RESOURCE_STATISTICS_DECODER,
            level=Level.STUDY.path,
            id=study.orthanc_id,
        )
    except NotFound:
        return 0  # deleted in the meantime
    return int(found.disk_size)


def _advice_on_extended_find(capabilities: Capabilities) -> str:
    """Return what to update, which is Orthanc, the plugin that keeps its index, or both."""
    plugin = capabilities.index_plugin
    update = []
    if not capabilities.is_since(1, 12, 5):
        update.append("Orthanc to 1.12.5 or newer")
    if plugin is None and not update:
        update.append("the plugin of Orthanc's database (PostgreSQL: to 7.0 or newer)")
    elif plugin and plugin.database != "PostgreSQL":
        update.append(
            f"its {plugin.database} plugin {plugin.version} to one with extended find, as PostgreSQL's 7.0 is"
        )
    elif plugin and not plugin.is_since(7):
        update.append(f"its PostgreSQL plugin {plugin.version} to 7.0 or newer")
    return (
        f"Update {' and '.join(update) or 'Orthanc and the plugin of its database'}: without extended find, Orthanc "
        "cannot sort, page or count, so that the gateway fetches whole lists."
    )


def _advice(capabilities: Capabilities) -> list[str]:
    advice = []
    if not capabilities.has_extended_find:
        advice.append(_advice_on_extended_find(capabilities))
    plugin = capabilities.index_plugin
    # the default of 4.0 to 6.2; older ones have no such option, and Orthanc tells nobody how many there are
    if plugin and plugin.database == "PostgreSQL" and plugin.is_since(4) and not plugin.is_since(7):
        advice.append(
            'Set "PostgreSQL" → "IndexConnectionsCount" in Orthanc\'s configuration, such as to 50, unless it is set: '
            f"by default, all requests of Orthanc share the one connection of plugin {plugin.version}."
        )
    instance = Level.INSTANCE.value
    partly = {KEYWORDS[tag] for tags in capabilities.partly_indexed.values() for tag in tags}
    indexed = (capabilities.indexed or {}).get(instance, frozenset())
    missing = [keyword for keyword in INSTANCE_TAGS if tag_of(keyword) not in indexed]
    if capabilities.indexed is not None and (unindexed := [tag for tag in missing if tag not in partly]):
        advice.append(
            f'Add {", ".join(unindexed)} to "ExtraMainDicomTags" → "Instance" in Orthanc\'s configuration: '
            "otherwise, Orthanc reads a file for each instance when a query selects them."
        )
    if partly := partly - frozenset[str]().union(*MAIN_DICOM_TAGS.values()):
        advice.append(
            f"Reconstruct the resources that were stored before {', '.join(sorted(partly))} came into Orthanc's index, "
            "for example with its Housekeeper plugin: until then, Orthanc reads these tags from the files."
        )
    if capabilities.walks_index:
        advice.append(
            "Stop Orthanc and run `manage.py tune_orthanc_index` on the file of its SQLite index, or use PostgreSQL: "
            "without statistics, SQLite finds the children of a resource among all that are stored."
        )
    if capabilities.find_limits.found:
        advice.append(
            'Set "LimitFindResults" and "LimitFindInstances" to 0 in Orthanc\'s configuration: they truncate results, '
            "so that the gateway needs further calls for the rest."
        )
    return advice
