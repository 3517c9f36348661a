"""DICOM keywords (PS3.6 section 6) and what Orthanc does with the tags behind them."""

from functools import cache

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from orthancproxy.archive.levels import Level
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.capabilities import ALWAYS_INDEXED

# Attributes that no file has: an archive counts them from what is below (PS3.4 section C.6.1.1).
COMPUTED = {
    Level.PATIENT: frozenset(
        "NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances".split()
    ),
    Level.STUDY: frozenset("ModalitiesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances".split()),
    Level.SERIES: frozenset({"NumberOfSeriesRelatedInstances"}),
    Level.INSTANCE: frozenset[str](),
}
ALL_COMPUTED = frozenset[str]().union(*COMPUTED.values())
NOT_TEXT = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"})


@cache
def tag_of(keyword: str) -> str:
    """Return the tag of a keyword as Orthanc writes it (`0010,0020`). Raises InvalidRequest for an unknown keyword."""
    tag = tag_for_keyword(keyword) if len(keyword) <= 64 else None
    if tag is None:
        raise InvalidRequest(f"{keyword[:64]!a} is not a keyword of the DICOM dictionary (PS3.6).")
    if tag >> 16 <= 0x0002:
        raise InvalidRequest(f"{keyword} is not an attribute of the data set (PS3.10 section 7.1).")
    return f"{tag >> 16:04x},{tag & 0xFFFF:04x}"


@cache
def keyword_of(tag: str) -> str:
    """Return the keyword of a tag as Orthanc writes it (`0010,0020`); the tag itself where it has none."""
    return keyword_for_tag(int(tag.replace(",", ""), 16)) or tag


# What every Orthanc keeps in its index, by level: read and matched without opening a file.
MAIN_DICOM_TAGS = {level: frozenset(map(keyword_of, ALWAYS_INDEXED[level.value])) for level in Level}


def is_text(keyword: str) -> bool:
    """Whether the values of a keyword are text or numbers, so neither a sequence nor binary."""
    tag = tag_for_keyword(keyword)
    return tag is not None and dictionary_VR(tag) not in NOT_TEXT
