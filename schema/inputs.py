"""Filters and orders as a frontend writes them, and how they become the plan's."""

import datetime
from enum import Enum
from typing import Literal, Protocol

import strawberry

from orthancproxy.archive.matching import any_of
from orthancproxy.archive.plan import Filter, LabelMatch, Order
from orthancproxy.errors import InvalidRequest

KEY = "What to order by."
DIRECTION = "Up or down."
TEXT = "DICOM matching: `*` and `?` are wildcards, case is ignored."


@strawberry.input(description="From and to, both included; either may be left out.")
class DateRange:
    """A DICOM date range (PS3.4 section C.2.2.2.5)."""

    from_: datetime.date | None = strawberry.field(name="from", default=None, description="The first day.")
    to: datetime.date | None = strawberry.field(default=None, description="The last day.")

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

    all: list[str] | None = strawberry.field(default=None, description="It has all of these.")
    any: list[str] | None = strawberry.field(default=None, description="It has at least one of these.")
    none: list[str] | None = strawberry.field(default=None, description="It has none of these.")

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
                matches.append((keyword, any_of([str(one) for one in value])))
    matches += [(tag.keyword, tag.value) for tag in given.tags or ()]
    return Filter(tuple(matches), given.labels.match() if given.labels else LabelMatch(), nothing)


@strawberry.input(description="Every given field must match.")
class PatientFilter:
    """Matches patients."""

    patient_id: str | None = strawberry.field(default=None, description=TEXT)
    patient_name: str | None = strawberry.field(default=None, description=TEXT)
    birth_date: DateRange | None = strawberry.field(default=None, description="PatientBirthDate.")
    sex: str | None = strawberry.field(default=None, description="PatientSex: M, F or O.")
    labels: LabelFilter | None = strawberry.field(default=None, description="Orthanc's labels.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")

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
    study_instance_uids: list[strawberry.ID] | None = strawberry.field(
        name="studyInstanceUIDs", default=None, description="One of these."
    )
    accession_number: str | None = strawberry.field(default=None, description=TEXT)
    description: str | None = strawberry.field(default=None, description=TEXT)
    study_date: DateRange | None = strawberry.field(default=None, description="StudyDate.")
    modalities: list[str] | None = strawberry.field(default=None, description="At least one series has one of these.")
    referring_physician_name: str | None = strawberry.field(default=None, description=TEXT)
    labels: LabelFilter | None = strawberry.field(default=None, description="Orthanc's labels.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")

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

    series_instance_uids: list[strawberry.ID] | None = strawberry.field(
        name="seriesInstanceUIDs", default=None, description="One of these."
    )
    modality: str | None = strawberry.field(default=None, description=TEXT)
    description: str | None = strawberry.field(default=None, description=TEXT)
    body_part_examined: str | None = strawberry.field(default=None, description=TEXT)
    labels: LabelFilter | None = strawberry.field(default=None, description="Orthanc's labels.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")

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

    sop_instance_uids: list[strawberry.ID] | None = strawberry.field(
        name="sopInstanceUIDs", default=None, description="One of these."
    )
    sop_class_uids: list[strawberry.ID] | None = strawberry.field(
        name="sopClassUIDs", default=None, description="One of these."
    )
    labels: LabelFilter | None = strawberry.field(default=None, description="Orthanc's labels.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")

    def criteria(self) -> dict[str, str | DateRange | list[str] | list[strawberry.ID] | None]:
        """The values of the filter's own fields, by keyword."""
        return {"SOPInstanceUID": self.sop_instance_uids, "SOPClassUID": self.sop_class_uids}


@strawberry.enum(description="Up or down. What has no value comes first going up, last going down.")
class Direction(Enum):
    """The direction of an order."""

    ASC = strawberry.enum_value("ASC", description="The smallest first.")
    DESC = strawberry.enum_value("DESC", description="The largest first.")


@strawberry.enum(description="What patients are ordered by.")
class PatientOrderField(Enum):
    """What patients are ordered by."""

    PATIENT_ID = strawberry.enum_value("PatientID", description="By PatientID.")
    PATIENT_NAME = strawberry.enum_value("PatientName", description="By PatientName as stored.")
    BIRTH_DATE = strawberry.enum_value("PatientBirthDate", description="By PatientBirthDate.")
    LAST_UPDATE = strawberry.enum_value("LastUpdate", description="By when an instance last arrived.")


@strawberry.enum(description="What studies are ordered by.")
class StudyOrderField(Enum):
    """What studies are ordered by."""

    STUDY_DATE = strawberry.enum_value("StudyDate", description="By StudyDate.")
    DESCRIPTION = strawberry.enum_value("StudyDescription", description="By description.")
    PATIENT_NAME = strawberry.enum_value("PatientName", description="By PatientName as stored.")
    PATIENT_ID = strawberry.enum_value("PatientID", description="By PatientID.")
    ACCESSION_NUMBER = strawberry.enum_value("AccessionNumber", description="By AccessionNumber.")
    LAST_UPDATE = strawberry.enum_value("LastUpdate", description="By when an instance last arrived.")


@strawberry.enum(description="What series are ordered by.")
class SeriesOrderField(Enum):
    """What series are ordered by."""

    SERIES_NUMBER = strawberry.enum_value("SeriesNumber", description="By SeriesNumber, as a number.")
    MODALITY = strawberry.enum_value("Modality", description="By Modality.")
    DESCRIPTION = strawberry.enum_value("SeriesDescription", description="By description.")
    LAST_UPDATE = strawberry.enum_value("LastUpdate", description="By when an instance last arrived.")


@strawberry.enum(description="What instances are ordered by.")
class InstanceOrderField(Enum):
    """What instances are ordered by."""

    INSTANCE_NUMBER = strawberry.enum_value("InstanceNumber", description="By InstanceNumber, as a number.")
    SLICE_LOCATION = strawberry.enum_value("SliceLocation", description="By SliceLocation, as a number.")
    SOP_INSTANCE_UID = strawberry.enum_value("SOPInstanceUID", description="By SOPInstanceUID.")


@strawberry.input(description="One key of an order.")
class PatientOrder:
    """One key of an order."""

    field: PatientOrderField = strawberry.field(description=KEY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=DIRECTION)


@strawberry.input(description="One key of an order.")
class StudyOrder:
    """One key of an order."""

    field: StudyOrderField = strawberry.field(description=KEY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=DIRECTION)


@strawberry.input(description="One key of an order.")
class SeriesOrder:
    """One key of an order."""

    field: SeriesOrderField = strawberry.field(description=KEY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=DIRECTION)


@strawberry.input(description="One key of an order.")
class InstanceOrder:
    """One key of an order."""

    field: InstanceOrderField = strawberry.field(description=KEY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=DIRECTION)


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
