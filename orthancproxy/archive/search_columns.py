"""The attributes in the results of a search (PS3.18 tables 10.6.3-3, 10.6.3-4 and 10.6.3-5)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orthancproxy.archive.dicom_json import json_tag
from orthancproxy.archive.keywords import ALL_COMPUTED, COMPUTED, KEYWORDS, MAIN_DICOM_TAGS, is_text, owner_below
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Needs
from orthancproxy.orthanc.capabilities import Capabilities

SEARCHED_LEVELS = (Level.STUDY, Level.SERIES, Level.INSTANCE)
RETRIEVE_URL = "RetrieveURL"
FIXED: Mapping[str, str] = {"InstanceAvailability": "ONLINE", "SpecificCharacterSet": "ISO_IR 192"}
"""Values that are the same in all results: what is in the archive is online, and JSON is UTF-8."""
FACTS: Mapping[str, tuple[Fact, str]] = {
    "SOPClassUID": (Fact.METADATA, "SopClassUid"),
    "AvailableTransferSyntaxUID": (Fact.METADATA, "TransferSyntax"),
}
"""Attributes of instances that Orthanc has as metadata: their kind, and their names in a resource."""

_REQUIRED = {
    Level.STUDY: """
        StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID
        PatientBirthDate PatientSex StudyInstanceUID StudyID NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
        """.split(),
    Level.SERIES: "Modality SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances".split(),
    Level.INSTANCE: "SOPClassUID SOPInstanceUID InstanceNumber".split(),
}
# shown if they are known: if Orthanc has them in its index, so that it reads no files
_CONDITIONAL = {
    Level.STUDY: "TimezoneOffsetFromUTC StudyDescription".split(),
    Level.SERIES: """
        TimezoneOffsetFromUTC SeriesDescription PerformedProcedureStepStartDate PerformedProcedureStepStartTime
        """.split(),
    Level.INSTANCE: "TimezoneOffsetFromUTC Rows Columns BitsAllocated NumberOfFrames".split(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """An attribute of the results, and the level of the resource that has it. Required ones are shown if empty."""

    keyword: str
    level: Level
    is_required: bool


def columns_of(
    target: Level, above: Collection[Level], wanted: Iterable[str], capabilities: Capabilities, *, every: bool
) -> list[Column]:
    """Return the attributes of results of a level, by tag: wanted ones, and those of that level and these above it.

    The latter are the default ones, or `every` one that Orthanc's index has.
    """
    columns: dict[str, Column] = {}

    def add(keywords: Iterable[str], level: Level, *, is_required: bool) -> None:
        for keyword in keywords:
            columns.setdefault(keyword, Column(keyword, level, is_required))

    for keyword in wanted:
        if level := level_of(keyword, target):
            add([keyword], level, is_required=True)
    for level in (target, *above):
        add(_REQUIRED[level], level, is_required=True)
        known = _known_keywords(level, capabilities)
        add([one for one in _CONDITIONAL[level] if one in known], level, is_required=False)
        if every:
            add(sorted(filter(is_text, known)), level, is_required=False)
    add(("InstanceAvailability", RETRIEVE_URL), target, is_required=True)
    return sorted(columns.values(), key=lambda column: json_tag(column.keyword))


def level_of(keyword: str, target: Level) -> Level | None:
    """Return the level of the resource that has an attribute, for results of a level; None if it is below that."""
    if keyword in ALL_COMPUTED:
        return next((level for level in SEARCHED_LEVELS[: target.depth] if keyword in COMPUTED[level]), None)
    if keyword in MAIN_DICOM_TAGS[target] or keyword in FIXED or keyword == RETRIEVE_URL:
        return target
    if keyword in FACTS:
        return target if target is Level.INSTANCE else None
    if owner_below(keyword, target):
        return None
    owner = next((level for level in reversed(target.above) if keyword in MAIN_DICOM_TAGS[level]), target)
    return Level.STUDY if owner is Level.PATIENT else owner


def needs_of(columns: Iterable[Column], level: Level) -> Needs:
    """Return the data that the columns of a level need."""
    keywords = {column.keyword for column in columns if column.level is level} - {*FIXED, RETRIEVE_URL}
    facts = frozenset(FACTS[keyword][0] for keyword in keywords & FACTS.keys())
    return Needs(frozenset(keywords - FACTS.keys()) | {level.identifier}, facts)


def _known_keywords(level: Level, capabilities: Capabilities) -> frozenset[str]:
    """Return the keywords of a level that Orthanc has in its index; of the patient for studies, too."""
    levels = (Level.PATIENT, level) if level is Level.STUDY else (level,)
    indexed = capabilities.indexed or {}
    return frozenset[str]().union(
        *(MAIN_DICOM_TAGS[one] for one in levels),
        *(map(KEYWORDS.__getitem__, indexed.get(one.value, ())) for one in levels),
    )
