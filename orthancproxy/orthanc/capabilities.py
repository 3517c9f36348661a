"""What the Orthanc on the other side can do. Its version alone doesn't tell: plugins and configuration matter."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orthancproxy.errors import ArchiveProtocolError, ArchiveTimeout, NotFound
from orthancproxy.orthanc.endpoints import COUNT_RESOURCES, SYSTEM
from orthancproxy.orthanc.find_limits import CallOrthanc, FindLimits

logger = logging.getLogger("orthancproxy.orthanc")

# The "main DICOM tags" that every Orthanc since 1.10.1 keeps in its index, whatever its configuration.
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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What was learnt from Orthanc once, and holds until it can't be reached.

    `indexed` are the tags, as `gggg,eeee`, that the index of this Orthanc holds for **every** resource of a level
    ("Patient" to "Instance"); None before 1.11.0, which doesn't tell.
    """

    name: str
    version: str
    has_extended_find: bool  # OrderBy, Parent*, ResponseContent, count-resources: 1.12.5
    has_labels: bool  # 1.12.0, and a database that has them
    indexed: Mapping[str, frozenset[str]] | None
    partly_indexed: Mapping[str, frozenset[str]]
    find_limits: FindLimits = field(compare=False)


def discover(call: CallOrthanc, tolerate: Callable[[], None]) -> Capabilities:
    """Ask Orthanc for what it can do; `tolerate` is called for each time-out that is no failure.

    Raises ArchiveProtocolError when the answers are not Orthanc's.
    """
    try:
        system = call(SYSTEM)
        extended = bool(system.get("Capabilities", {}).get("HasExtendedFind", False))
        listed = {level: frozenset(tags.split(";")) for level, tags in system.get("MainDicomTags", {}).items()}
        partly = {level: _partly_indexed(call, tolerate, level, tags) for level, tags in listed.items() if extended}
        return Capabilities(
            name=str(system.get("Name", "")),
            version=str(system["Version"]),
            has_extended_find=extended,
            has_labels=bool(system.get("HasLabels", False)),
            indexed={level: tags - partly.get(level, frozenset()) for level, tags in listed.items()} or None,
            partly_indexed=partly,
            find_limits=FindLimits(call),
        )
    except (NotFound, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArchiveProtocolError("The archive does not answer as Orthanc does.") from error


def _partly_indexed(
    call: CallOrthanc, tolerate: Callable[[], None], level: str, tags: frozenset[str]
) -> frozenset[str]:
    """Tags that came into the index of Orthanc by `ExtraMainDicomTags` after resources had been stored.

    Orthanc keeps with each resource which tags were indexed when it was stored. A tag that the index does not have is
    absent there, as if the file had none: such tags must be read from the files until Orthanc has reconstructed them.
    """
    extra = tags - ALWAYS_INDEXED[level]
    if not extra:
        return extra

    def count(**criteria: Mapping[str, str]) -> int:
        return int(call(COUNT_RESOURCES, body={"Level": level, "Query": {}, **criteria})["Count"])

    def count_with(*indexed: str) -> int:
        return count(MetadataQuery={"MainDicomTagsSignature": "*" + "*".join(sorted(indexed)) + "*"})

    try:
        everything = count()
        if count_with(*extra) == everything:
            return frozenset()
        return frozenset(tag for tag in extra if count_with(tag) != everything)
    except ArchiveTimeout:
        # an archive too large to be counted in time: to read a file too many is slow, to miss a value is wrong
        tolerate()
        logger.warning("the archive is too large to tell which tags its whole index has", extra={"level": level})
        return extra
