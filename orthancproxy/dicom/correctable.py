"""The attributes of patients, studies and series that can be corrected, and their values (PS3.3 section C.7)."""

import unicodedata
import warnings
from collections.abc import Mapping
from datetime import datetime

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import validate_value

from orthancproxy.dicom.validation import check_characters, long_string, person_name
from orthancproxy.errors import InvalidRequest

PATIENT = frozenset(
    """PatientID PatientName PatientBirthDate PatientBirthTime PatientSex IssuerOfPatientID EthnicGroup PatientComments
    PatientSpeciesDescription PatientBreedDescription ResponsiblePerson ResponsibleOrganization""".split()
)
STUDY = frozenset(
    """StudyDescription AccessionNumber StudyID StudyDate StudyTime ReferringPhysicianName AdmissionID ServiceEpisodeID
    AdmittingDiagnosesDescription PatientAge PatientSize PatientWeight Occupation AdditionalPatientHistory
    RequestingService RequestingPhysician RequestedProcedureDescription InstitutionName
    InstitutionalDepartmentName""".split()
)
SERIES = frozenset(
    """SeriesDescription SeriesNumber SeriesDate SeriesTime ProtocolName BodyPartExamined Laterality PatientPosition
    PerformingPhysicianName OperatorsName InstitutionName InstitutionAddress InstitutionalDepartmentName StationName
    Manufacturer ManufacturerModelName DeviceSerialNumber PerformedProcedureStepDescription
    CommentsOnThePerformedProcedureStep""".split()
)
# of type 2: the element has to be there, and may be empty
KEPT_EMPTY = frozenset(
    """PatientName PatientBirthDate PatientSex StudyID StudyDate StudyTime AccessionNumber ReferringPhysicianName
    SeriesNumber Manufacturer""".split()
)
_SEXES = ("", "M", "F", "O")
_MAX_TEXT_CHARACTERS = {"SH": 16, "ST": 1024, "LT": 10240, "UT": 10240}
_LINE_BREAKS = {"\r", "\n", "\t", "\f"}


def tag_of(keyword: str) -> int:
    """Return the tag of a keyword that can be corrected."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(keyword)
    return tag


def checked_value(keyword: str, value: str) -> str:
    """Return a value as it is stored: in NFC, without padding. Raises InvalidRequest if its VR does not allow it."""
    vr = dictionary_VR(keyword)
    if vr == "PN":
        return person_name(value, keyword)
    if vr == "LO":
        text = long_string(value, keyword)
        if keyword == "PatientID" and not text:
            raise InvalidRequest("PatientID must not be empty.")
        return text
    text = unicodedata.normalize("NFC", value).strip()
    if vr in _MAX_TEXT_CHARACTERS:
        check_characters(text if vr == "SH" else _without_line_breaks(text), keyword)
        if len(text) > _MAX_TEXT_CHARACTERS[vr]:
            raise InvalidRequest(f"{keyword} has more than {_MAX_TEXT_CHARACTERS[vr]} characters.")
        return text
    check_characters(text, keyword)
    if keyword == "PatientSex" and text not in _SEXES:
        raise InvalidRequest("PatientSex must be M, F, O or empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            validate_value(vr, text, RAISE)
        if vr == "DA" and text:
            datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 - only to see whether there is such a day
        if "-" in text and vr == "TM":
            raise ValueError(text)  # noqa: TRY301 - a range, which only a query has
    except (ValueError, UserWarning) as error:
        raise InvalidRequest(f"{keyword} is not valid (VR {vr}, PS3.5 section 6.2).") from error
    return text


def checked(keywords: frozenset[str], replaced: list[tuple[str, str]], removed: list[str]) -> Mapping[str, str | None]:
    """Return the new values by keyword, None for those to be removed. Raises InvalidRequest."""
    values: dict[str, str | None] = {}
    for keyword, value in (*replaced, *((one, None) for one in removed)):
        if keyword not in keywords:
            raise InvalidRequest(f"{_shown(keyword)} cannot be changed here.")
        if keyword in values:
            raise InvalidRequest(f"{keyword} is named twice.")
        if value is None:
            if keyword == "PatientID":
                raise InvalidRequest("PatientID cannot be removed.")
            values[keyword] = "" if keyword in KEPT_EMPTY else None
        else:
            values[keyword] = checked_value(keyword, value)
    return values


def _shown(keyword: str) -> str:
    return keyword if keyword.isascii() and keyword.isalnum() and len(keyword) <= 64 else "This attribute"


def _without_line_breaks(text: str) -> str:
    return "".join(character for character in text if character not in _LINE_BREAKS)
