"""The Basic Application Level Confidentiality Profile (PS3.15 table E.1-1) with some of its options, as rules.

The table is that of the library dicom-anonymizer, which generates it from the standard (2026c). Where it offers a
choice, such as `X/Z/D`, the rule is the one that leaves a valid instance whatever the type of the attribute is.
"""

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import dictionary_has_tag, keyword_for_tag

DIGITAL_SIGNATURES, MAC_PARAMETERS = 0xFFFAFFFA, 0x4FFE0001
DATA_SET_TRAILING_PADDING = 0xFFFCFFFC
SERIES_DESCRIPTION = 0x0008103E
LAST_MENSTRUAL_DATE = 0x001021D0
PATIENT_GROUP = 0x0010
TEMPORAL_VRS = frozenset({"DA", "DT", "TM"})


class Rule(Enum):
    """What becomes of an attribute. A sequence with CLEAN keeps its structure, and no text that people write."""

    KEEP = auto()
    REMOVE = auto()
    EMPTY = auto()
    REPLACE = auto()
    MAP_UIDS = auto()


_RULES = {
    "D_TAGS": Rule.REPLACE,
    "Z_TAGS": Rule.EMPTY,
    "X_TAGS": Rule.REMOVE,
    "U_TAGS": Rule.MAP_UIDS,
    "Z_D_TAGS": Rule.REPLACE,
    "X_Z_TAGS": Rule.EMPTY,
    "X_D_TAGS": Rule.REPLACE,
    "X_Z_D_TAGS": Rule.REPLACE,
    # references to images: their UIDs are mapped
    "X_Z_U_STAR_TAGS": Rule.KEEP,
}
_PROFILE: dict[int, Rule] = {
    tag[0] << 16 | tag[1]: rule for name, rule in _RULES.items() for tag in getattr(table, name) if len(tag) == 2
}
# Retain Device Identity Option: K; application entity titles, which it wants cleaned, are left to the profile
_DEVICE = frozenset(
    {
        0x0014407C, 0x0014407E, 0x0016004E, 0x0016004F, 0x00160050, 0x00160051, 0x00181000, 0x00181002, 0x00181004,
        0x00181005, 0x00181007, 0x00181008, 0x00181009, 0x0018100A, 0x0018100B, 0x00185011, 0x0018700A, 0x00189367,
        0x00189371, 0x00189373, 0x00203401, 0x00081010, 0x00321020, 0x00400010, 0x00400011, 0x00400242,
        0x00404025, 0x00404027, 0x00404028, 0x00404030, 0x00500020, 0x30080105, 0x300A00B2, 0x300A0216, 0x3010002D,
        0x30100043,
    }
)  # fmt: skip
# UIDs that say of what kind something is, not which one it is: classes, transfer syntaxes, context groups, code schemes
_KINDS_OF_THINGS = ("ClassUID", "ClassesSupported", "SyntaxUID", "SchemeUID", "ContextUID", "MappingResourceUID")


@dataclass(frozen=True, slots=True)
class ConfidentialityOptions:
    """Options of the profile: what it would remove, and is kept.

    `shifts_dates`: dates are moved and times kept (Retain Longitudinal Temporal Information with Modified Dates
    Option), other than those about the patient. `keeps_device`: Retain Device Identity Option.
    """

    shifts_dates: bool = False
    keeps_series_description: bool = False
    keeps_device: bool = False


def rule_of(tag: int, vr: str, options: ConfidentialityOptions) -> Rule:
    """Return what becomes of an attribute of this VR.

    Besides what the profile removes, this removes all that nobody can judge: private attributes, those that the
    dictionary does not have, curves and overlays. UIDs are mapped, dates and times replaced, also where the profile
    does not name them.
    """
    group = tag >> 16
    if group % 2 or group & 0xFF00 in (0x5000, 0x6000) or not _is_known(tag):
        return Rule.REMOVE
    if tag in (DIGITAL_SIGNATURES, MAC_PARAMETERS, DATA_SET_TRAILING_PADDING):
        return Rule.REMOVE
    rule = _PROFILE.get(tag)
    if options.keeps_device and tag in _DEVICE and vr not in ("DA", "DT"):
        return Rule.KEEP
    if options.keeps_series_description and tag == SERIES_DESCRIPTION:
        return Rule.KEEP
    if vr in TEMPORAL_VRS:
        if options.shifts_dates and (group != PATIENT_GROUP or tag == LAST_MENSTRUAL_DATE):
            return Rule.KEEP
        return rule or Rule.REPLACE
    if rule is None:
        return Rule.MAP_UIDS if vr == "UI" and not _names_a_kind(tag) else Rule.KEEP
    return Rule.MAP_UIDS if rule is Rule.REPLACE and vr == "UI" else rule


def is_identifying(tag: int) -> bool:
    """Whether the profile does something about an attribute, or this module on its own."""
    return tag in _PROFILE or rule_of(tag, "", ConfidentialityOptions()) is Rule.REMOVE


@cache
def _is_known(tag: int) -> bool:
    return dictionary_has_tag(tag)


@cache
def _names_a_kind(tag: int) -> bool:
    keyword = keyword_for_tag(tag)
    return keyword.endswith(_KINDS_OF_THINGS) or "SOPClass" in keyword
