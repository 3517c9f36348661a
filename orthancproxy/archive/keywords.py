"""DICOM keywords (PS3.6 section 6), and how Orthanc treats their tags."""

from collections.abc import Mapping
from functools import cache

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from orthancproxy.archive.levels import Level
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.capabilities import ALWAYS_INDEXED

# Attributes that no file has: an archive computes them from the levels below (PS3.4 section C.6.1.1).
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
        raise InvalidRequest(f"{keyword[:64]!a} is not a keyword in the DICOM dictionary (PS3.6).")
    if tag >> 16 <= 0x0002:
        raise InvalidRequest(f"{keyword} is not an attribute of the data set (PS3.10 section 7.1).")
    return f"{tag >> 16:04x},{tag & 0xFFFF:04x}"


class _Keywords(dict[str, str]):
    """Avoids a function call: looked up ten times for each of thousands of instances."""

    def __missing__(self, tag: str) -> str:
        keyword = self[tag] = keyword_for_tag(int(tag.replace(",", ""), 16)) or tag
        return keyword


# The keyword of each tag as Orthanc writes it (`0010,0020`); unknown tags map to themselves.
KEYWORDS: Mapping[str, str] = _Keywords()


# Indexed by every Orthanc, by level: read and matched without opening a file.
MAIN_DICOM_TAGS = {level: frozenset(KEYWORDS[tag] for tag in ALWAYS_INDEXED[level.value]) for level in Level}


def main_tags_above(level: Level) -> frozenset[str]:
    """Return the main DICOM tags of all levels above."""
    return frozenset[str]().union(*(MAIN_DICOM_TAGS[above] for above in level.above))


def owner_below(keyword: str, level: Level) -> Level | None:
    """Return the lower level that an attribute belongs to; None for this level, those above, or no level."""
    if keyword in MAIN_DICOM_TAGS[level] | main_tags_above(level):
        return None
    return next((below for below in level.below if keyword in MAIN_DICOM_TAGS[below]), None)


def vr_of(keyword: str) -> str:
    """Return the VR of a keyword; empty for an unknown one."""
    tag = tag_for_keyword(keyword)
    return dictionary_VR(tag) if tag is not None else ""


def is_text(keyword: str) -> bool:
    """Whether the values of a keyword are text or numbers, not sequences or binary."""
    return (vr_of(keyword) or "UN") not in NOT_TEXT


@cache
def is_long(keyword: str) -> bool:
    """Whether values can be longer than the 256 characters that Orthanc indexes."""
    return vr_of(keyword) in {"LT", "ST", "UC", "UR", "UT"}
