"""The capabilities of an Orthanc, which depend on its version, plugins and configuration."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orthancproxy.errors import ArchiveProtocolError, ArchiveTimeout, NotFound
from orthancproxy.orthanc.endpoints import COUNT_RESOURCES, FIND, STATISTICS, SYSTEM
from orthancproxy.orthanc.find_limits import CallOrthanc, FindLimits
from orthancproxy.orthanc.index_walks import walks_index
from orthancproxy.orthanc.plugins import IndexPlugin, Plugins
from orthancproxy.orthanc.responses import COUNT_DECODER, ID_LIST_DECODER, STATISTICS_DECODER, SYSTEM_DECODER

logger = logging.getLogger("orthancproxy.orthanc")

TRASH_LABEL = "orthancproxy-trash"
"""That of the studies in the trash (`archive.trash`): it alone decides whether one is hidden."""

# The main DICOM tags that every Orthanc since 1.10.1 indexes, whatever its configuration.
ALWAYS_INDEXED: Mapping[str, frozenset[str]] = {
    "Patient": frozenset("0010,0010 0010,0020 0010,0030 0010,0040 0010,1000".split()),
    "Study": frozenset(
        "0008,0020 0008,0030 0008,0050 0008,0080 0008,0090 0008,1030 0020,000d 0020,0010 0032,1032 0032,1060".split()
    ),
    "Series": frozenset(
        """0008,0021 0008,0031 0008,0060 0008,0070 0008,1010 0008,103e 0008,1070 0018,0010 0018,0015 0018,0024 0018,1030
        0018,1090 0018,1400 0020,000e 0020,0011 0020,0037 0020,0105 0020,1002 0040,0254 0054,0081 0054,0101
        0054,1000""".split()
    ),
    "Instance": frozenset(
        """0008,0012 0008,0013 0008,0018 0020,0012 0020,0013 0020,0032 0020,0037 0020,0100 0020,4000 0028,0008
        0054,1330""".split()
    ),
}
LEVELS = tuple(ALWAYS_INDEXED)
RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+)", re.ASCII)
# counted or gathered from the index: ModalitiesInStudy, SOPClassesInStudy, NumberOf…Related…
COMPUTED = frozenset("0008,0061 0008,0062 0020,1200 0020,1202 0020,1204 0020,1206 0020,1208 0020,1209".split())


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of an Orthanc, valid until it becomes unreachable.

    `indexed` are the tags, as `gggg,eeee`, that Orthanc's index holds for **every** resource of a level ("Patient" to
    "Instance"); None before 1.11.0, which does not list them. `partly_indexed` are those of newer resources only.
    `stored` are the numbers of resources by level when they were counted. `walks_index`: Orthanc finds the children of
    a resource among all resources of their level, and counts them by a scan of the whole index.
    """

    name: str
    version: str
    server: str  # DatabaseServerIdentifier: one of the Orthancs over a database (1.11.1)
    has_extended_find: bool  # OrderBy, Parent*, ResponseContent, count-resources: 1.12.5
    has_labels: bool  # 1.12.0, and a database that supports them
    has_patient_routes: bool  # `/patients/…`, which PatientLevelEnabled switches off (1.12.11); finds have patients
    indexed: Mapping[str, frozenset[str]] | None
    partly_indexed: Mapping[str, frozenset[str]]
    stored: Mapping[str, int]
    walks_index: bool
    http_threads: int | None  # HttpThreadsCount, the number of calls that it answers at once (1.13.0)
    find_limits: FindLimits = field(compare=False)
    plugins: Plugins = field(compare=False)
    has_c_get: bool = False  # as a client: `RetrieveMethod` of a modality, and of `/queries/{id}/retrieve`
    index_plugin: IndexPlugin | None = None  # looked up without extended find, which it may be what lacks
    has_trash: bool = False  # whether studies were, or may have been, in the trash

    def is_since(self, *version: int) -> bool:
        """Whether it is of this version or newer, as a development version ("mainline") is."""
        numbers = RELEASE.match(self.version)
        return numbers is None or tuple(map(int, numbers.groups())) >= version

    def reads_files(self, find: Mapping[str, Any]) -> bool:
        """Whether Orthanc reads files to answer a find or count: it is about tags that the index does not hold."""
        levels = LEVELS[: LEVELS.index(find["Level"]) + 1]
        indexed = self.indexed or ALWAYS_INDEXED
        tags = {*find["Query"], *find.get("RequestedTags", ())}
        return not tags <= COMPUTED.union(*(indexed.get(level, frozenset()) for level in levels))


def discover(call: CallOrthanc, tolerate: Callable[[], None]) -> Capabilities:
    """Detect the capabilities of an Orthanc; `tolerate` is called for each timeout that is not a failure.

    Raises ArchiveError.
    """
    try:
        system = call(SYSTEM, decoder=SYSTEM_DECODER)
        extended = system.capabilities.has_extended_find
        listed = {level: frozenset(tags.split(";")) for level, tags in system.main_dicom_tags.items()}
        statistics = call(STATISTICS, decoder=STATISTICS_DECODER)
        stored = {
            "Patient": statistics.count_patients,
            "Study": statistics.count_studies,
            "Series": statistics.count_series,
            "Instance": statistics.count_instances,
        }
        partly = {
            level: _partly_indexed(call, tolerate, level, tags, stored[level])
            for level, tags in listed.items()
            if extended
        }
        plugins = Plugins(call)
        over_sqlite = extended and system.database_backend_plugin is None
        return Capabilities(
            name=system.name,
            version=system.version,
            server=system.database_server_identifier,
            has_extended_find=extended,
            has_labels=system.has_labels,
            has_trash=system.has_labels and _has_trash(call, tolerate),
            has_patient_routes=system.patient_level_enabled,
            has_c_get=system.dicom_default_retrieve_method is not None,
            indexed={level: tags - partly.get(level, frozenset()) for level, tags in listed.items()} or None,
            partly_indexed=partly,
            stored=stored,
            walks_index=over_sqlite and walks_index(call, tolerate, statistics.count_instances),
            http_threads=system.performance.http_threads_count,
            find_limits=FindLimits(call),
            plugins=plugins,
            # now, since advice is given without a call
            index_plugin=plugins.index if system.database_backend_plugin and not extended else None,
        )
    except NotFound as error:
        # a server, but no Orthanc at this base path
        raise ArchiveProtocolError from error


def _has_trash(call: CallOrthanc, tolerate: Callable[[], None]) -> bool:
    """Whether something is in the trash, which can have been turned off since: it stays hidden."""
    labelled = {"Labels": [TRASH_LABEL], "LabelsConstraint": "All"}
    try:
        return bool(call(FIND, body={"Level": "Study", "Query": {}, "Limit": 1, **labelled}, decoder=ID_LIST_DECODER))
    except ArchiveTimeout:
        tolerate()
        return True


def _partly_indexed(
    call: CallOrthanc, tolerate: Callable[[], None], level: str, tags: frozenset[str], stored: int
) -> frozenset[str]:
    """Return the tags that were added to `ExtraMainDicomTags` after resources had been stored.

    Orthanc notes with each resource which tags were indexed when it was stored. Tags added later are missing from its
    index, as if the file had none: they must be read from the files until Orthanc has reconstructed the resources.
    """
    extra = tags - ALWAYS_INDEXED[level]
    if not extra:
        return extra

    def count_with(*indexed: str) -> int:
        signature = {"MainDicomTagsSignature": "*" + "*".join(sorted(indexed)) + "*"}
        body = {"Level": level, "Query": {}, "MetadataQuery": signature}
        return int(call(COUNT_RESOURCES, body=body, decoder=COUNT_DECODER).count)

    try:
        if count_with(*extra) == stored:
            return frozenset()
        return frozenset(tag for tag in extra if count_with(tag) != stored)
    except ArchiveTimeout:
        # reading files needlessly is slow, missing values is wrong
        tolerate()
        logger.warning("timeout while detecting partly indexed tags", extra={"level": level})
        return extra
