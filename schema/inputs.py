"""Filters and orders as a frontend writes them, and how they become the plan's."""

import datetime
from enum import Enum
from typing import Literal, Protocol

import strawberry

from orthancproxy.archive.matching import either
from orthancproxy.archive.plan import Filter, LabelMatch, Order
from orthancproxy.errors import InvalidRequest

TEXT = "DICOM matching: `*` and `?` are wildcards, case is ignored."


@strawberry.input(description="From and to, both included; either may be left out.")
class DateRange:
    """A DICOM date range (PS3.4 section C.2.2.2.5)."""

    from_: datetime.date | None = strawberry.field(name="from", default=None)
    to: datetime.date | None = None

    def matching(self) -> str:
        """As DICOM range matching writes it; raises InvalidRequest for an empty range."""
        if self.from_ and self.to and self.from_ > self.to:
            raise InvalidRequest("A date range ends before it begins.")
        if not self.from_ and not self.to:
            return ""
        return "-".join(day.strftime("%Y%m%d") if day else "" for day in (self.from_, self.to))


@strawberry.input(description="Labels that must, may or must not be there. Needs Orthanc 1.12.")
class LabelFilter:
    """`orthancproxy.archive.plan.LabelMatch`."""

    all: list[str] | None = None
    any: list[str] | None = None
    none: list[str] | None = None

    def match(self) -> LabelMatch:
        """As the plan has it."""
        return LabelMatch(*(frozenset(labels or ()) for labels in (self.all, self.any, self.none)))


@strawberry.input(description="Any tag of the DICOM dictionary. Tags that Orthanc does not index are read from files.")
class TagMatch:
    """One more tag to match."""

    keyword: str = strawberry.field(description="A keyword of the DICOM dictionary (PS3.6), e.g. `PatientAge`.")
    value: str = strawberry.field(description=TEXT)


class LevelFilter(Protocol):
    """What the four filters share."""

    labels: LabelFilter | None
    tags: list[TagMatch] | None

    def criteria(self) -> dict[str, str | DateRange | list[str] | list[strawberry.ID] | None]:
        """The values of the filter's own fields, by keyword."""


def filter_of(given: LevelFilter | None) -> Filter:
    """Make the plan's filter. An empty list of alternatives matches nothing; an empty text matches everything."""
    if given is None:
        return Filter()
    matches: list[tuple[str, str]] = []
    nothing = False
    for keyword, value in given.criteria().items():
        match value:
            case None | "":
                continue
            case str():
                matches.append((keyword, value))
            case DateRange():
                matches.append((keyword, value.matching()))
            case []:
                nothing = True
            case list():
                matches.append((keyword, either([str(one) for one in value])))
    matches += [(tag.keyword, tag.value) for tag in given.tags or ()]
    return Filter(tuple(matches), given.labels.match() if given.labels else LabelMatch(), nothing)


@strawberry.input(description="Every given field must match.")
class PatientFilter:
    """Matches patients."""

    patient_id: str | None = strawberry.field(default=None, description=TEXT)
    patient_name: str | None = strawberry.field(default=None, description=TEXT)
    birth_date: DateRange | None = None
    sex: str | None = None
    labels: LabelFilter | None = None
    tags: list[TagMatch] | None = None

    def criteria(self) -> dict[str, str | DateRange | list[str] | list[strawberry.ID] | None]:
        """The values of the filter's own fields, by keyword."""
        return {
            "PatientID": self.patient_id,
            "PatientName": self.patient_name,
            "PatientBirthDate": self.birth_date,
            "PatientSex": self.sex,
        }


@strawberry.input(description="Every given field must match.")
class StudyFilter:
    """Matches studies."""

    patient_id: str | None = strawberry.field(default=None, description=TEXT)
    patient_name: str | None = strawberry.field(default=None, description=TEXT)
    study_instance_uids: list[strawberry.ID] | None = strawberry.field(name="studyInstanceUIDs", default=None)
    accession_number: str | None = strawberry.field(default=None, description=TEXT)
    description: str | None = strawberry.field(default=None, description=TEXT)
    study_date: DateRange | None = None
    modalities: list[str] | None = strawberry.field(default=None, description="At least one series has one of these.")
    referring_physician_name: str | None = strawberry.field(default=None, description=TEXT)
    labels: LabelFilter | None = None
    tags: list[TagMatch] | None = None

    def criteria(self) -> dict[str, str | DateRange | list[str] | list[strawberry.ID] | None]:
        """The values of the filter's own fields, by keyword."""
        return {
            "PatientID": self.patient_id,
            "PatientName": self.patient_name,
            "StudyInstanceUID": self.study_instance_uids,
            "AccessionNumber": self.accession_number,
            "StudyDescription": self.description,
            "StudyDate": self.study_date,
            "ModalitiesInStudy": self.modalities,
            "ReferringPhysicianName": self.referring_physician_name,
        }


@strawberry.input(description="Every given field must match.")
class SeriesFilter:
    """Matches series."""

    series_instance_uids: list[strawberry.ID] | None = strawberry.field(name="seriesInstanceUIDs", default=None)
    modality: str | None = strawberry.field(default=None, description=TEXT)
    description: str | None = strawberry.field(default=None, description=TEXT)
    body_part_examined: str | None = strawberry.field(default=None, description=TEXT)
    labels: LabelFilter | None = None
    tags: list[TagMatch] | None = None

    def criteria(self) -> dict[str, str | DateRange | list[str] | list[strawberry.ID] | None]:
        """The values of the filter's own fields, by keyword."""
        return {
            "SeriesInstanceUID": self.series_instance_uids,
            "Modality": self.modality,
            "SeriesDescription": self.description,
            "BodyPartExamined": self.body_part_examined,
        }


@strawberry.input(description="Every given field must match.")
class InstanceFilter:
    """Matches instances."""

    sop_instance_uids: list[strawberry.ID] | None = strawberry.field(name="sopInstanceUIDs", default=None)
    sop_class_uids: list[strawberry.ID] | None = strawberry.field(name="sopClassUIDs", default=None)
    labels: LabelFilter | None = None
    tags: list[TagMatch] | None = None

    def criteria(self) -> dict[str, str | DateRange | list[str] | list[strawberry.ID] | None]:
        """The values of the filter's own fields, by keyword."""
        return {"SOPInstanceUID": self.sop_instance_uids, "SOPClassUID": self.sop_class_uids}


@strawberry.enum
class Direction(Enum):
    """Up or down; resources without the value come first going up, last going down."""

    ASC = "ASC"
    DESC = "DESC"


@strawberry.enum
class PatientOrderField(Enum):
    """What patients are ordered by."""

    PATIENT_ID = "PatientID"
    PATIENT_NAME = "PatientName"
    BIRTH_DATE = "PatientBirthDate"
    LAST_UPDATE = "LastUpdate"


@strawberry.enum
class StudyOrderField(Enum):
    """What studies are ordered by."""

    STUDY_DATE = "StudyDate"
    DESCRIPTION = "StudyDescription"
    PATIENT_NAME = "PatientName"
    PATIENT_ID = "PatientID"
    ACCESSION_NUMBER = "AccessionNumber"
    LAST_UPDATE = "LastUpdate"


@strawberry.enum
class SeriesOrderField(Enum):
    """What series are ordered by."""

    SERIES_NUMBER = "SeriesNumber"
    MODALITY = "Modality"
    DESCRIPTION = "SeriesDescription"
    LAST_UPDATE = "LastUpdate"


@strawberry.enum
class InstanceOrderField(Enum):
    """What instances are ordered by."""

    INSTANCE_NUMBER = "InstanceNumber"
    SLICE_LOCATION = "SliceLocation"
    SOP_INSTANCE_UID = "SOPInstanceUID"


@strawberry.input
class PatientOrder:
    """One key of an order."""

    field: PatientOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class StudyOrder:
    """One key of an order."""

    field: StudyOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class SeriesOrder:
    """One key of an order."""

    field: SeriesOrderField
    direction: Direction = Direction.ASC


@strawberry.input
class InstanceOrder:
    """One key of an order."""

    field: InstanceOrderField
    direction: Direction = Direction.ASC


_KINDS: dict[str, Literal["integer", "decimal"]] = {
    "SeriesNumber": "integer",
    "InstanceNumber": "integer",
    "SliceLocation": "decimal",
}


def order_of(
    given: list[PatientOrder] | list[StudyOrder] | list[SeriesOrder] | list[InstanceOrder] | None,
) -> tuple[Order, ...]:
    """Make the plan's order; a key that is given twice counts where it stands first."""
    keys: dict[str, Order] = {}
    for key in given or ():
        by = key.field.value
        keys.setdefault(by, Order(by, key.direction is Direction.DESC, _KINDS.get(by, "text")))
    return tuple(keys.values())
