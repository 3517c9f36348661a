"""The inputs for filters and orders, and their conversion to those of a plan."""

import dataclasses
import datetime
from collections.abc import Sequence
from enum import Enum
from typing import Any, Generic, TypeVar

import strawberry

from orthancproxy.archive.matching import any_of, identifier_filter
from orthancproxy.archive.plan import Filter, LabelMatch, Order
from orthancproxy.archive.search import words
from orthancproxy.conf import conf
from orthancproxy.errors import InvalidRequest, LimitExceeded

TEXT = "DICOM matching: `*` and `?` are wildcards, case is ignored."
ANY_OF = "Any of these."
SEARCH = (
    "Words that must all be found in PatientName, PatientID, AccessionNumber, StudyDescription or "
    "ReferringPhysicianName, without regard to case, accents, separators of names and width of characters"
)

FieldType = TypeVar("FieldType")
Item = TypeVar("Item")

# more than a person needs, and few enough to be matched with each of 100,000 resources
MAX_TAGS = 50
MAX_LABELS = 100
MAX_ORDER_KEYS = 50
MAX_KEYWORDS = 200


def at_most(maximum: int, given: Sequence[Item] | None, what: str) -> Sequence[Item]:
    """Return the items of an argument, none where it is left out. Raises LimitExceeded for more than `maximum`."""
    if given and len(given) > maximum:
        raise LimitExceeded(f"At most {maximum} {what} can be given at once.")
    return given or ()


def matches(keyword: str, description: str = TEXT, name: str | None = None) -> Any:
    """Return a filter's field that matches the attribute with this DICOM keyword."""
    return strawberry.field(name=name, default=None, description=description, metadata={"keyword": keyword})


@strawberry.input(description="A range of days, both ends included. Either end can be omitted.")
class DateRange:
    from_: datetime.date | None = strawberry.field(name="from", default=None, description="The first day.")
    to: datetime.date | None = strawberry.field(default=None, description="The last day.")

    def matching(self) -> str:
        """Return the range in the form of DICOM matching. Raises InvalidRequest if it ends before it begins."""
        if self.from_ and self.to and self.from_ > self.to:
            raise InvalidRequest("A date range ends before it begins.")
        if not self.from_ and not self.to:
            return ""
        return "-".join(day.isoformat().replace("-", "") if day else "" for day in (self.from_, self.to))


@strawberry.input(description="Labels that a resource must have or must not have. Needs Orthanc 1.12.")
class LabelFilter:
    all: list[str] | None = strawberry.field(default=None, description="All of these.")
    any: list[str] | None = strawberry.field(default=None, description="At least one of these.")
    none: list[str] | None = strawberry.field(default=None, description="None of these.")

    def match(self) -> LabelMatch:
        """Return the labels in the form of a plan."""
        lists = (at_most(MAX_LABELS, labels, "labels") for labels in (self.all, self.any, self.none))
        return LabelMatch(*map(frozenset, lists))


@strawberry.input(description="A tag of the DICOM dictionary. Orthanc reads files for tags that it does not index.")
class TagMatch:
    keyword: str = strawberry.field(description="A keyword of the DICOM dictionary (PS3.6), e.g. `PatientAge`.")
    value: str = strawberry.field(description=TEXT)


@strawberry.input(description="Every given field must match.")
class PatientFilter:
    search: str | None = strawberry.field(default=None, description=f"{SEARCH} of one of the patient's studies.")
    patient_id: str | None = matches("PatientID")
    patient_name: str | None = matches("PatientName")
    birth_date: DateRange | None = matches("PatientBirthDate", "PatientBirthDate.")
    sex: str | None = matches("PatientSex", "PatientSex: M, F or O.")
    labels: LabelFilter | None = strawberry.field(default=None, description="Labels in Orthanc.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")


@strawberry.input(description="Every given field must match.")
class StudyFilter:
    search: str | None = strawberry.field(default=None, description=f"{SEARCH}.")
    patient_id: str | None = matches("PatientID")
    patient_name: str | None = matches("PatientName")
    study_instance_uids: list[strawberry.ID] | None = matches("StudyInstanceUID", ANY_OF, "studyInstanceUIDs")
    accession_number: str | None = matches("AccessionNumber")
    description: str | None = matches("StudyDescription")
    study_date: DateRange | None = matches("StudyDate", "StudyDate.")
    modalities: list[str] | None = matches("ModalitiesInStudy", "At least one series has one of these.")
    referring_physician_name: str | None = matches("ReferringPhysicianName")
    labels: LabelFilter | None = strawberry.field(default=None, description="Labels in Orthanc.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")


@strawberry.input(description="Every given field must match.")
class SeriesFilter:
    series_instance_uids: list[strawberry.ID] | None = matches("SeriesInstanceUID", ANY_OF, "seriesInstanceUIDs")
    modality: str | None = matches("Modality")
    description: str | None = matches("SeriesDescription")
    body_part_examined: str | None = matches("BodyPartExamined")
    labels: LabelFilter | None = strawberry.field(default=None, description="Labels in Orthanc.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")


@strawberry.input(description="Every given field must match.")
class InstanceFilter:
    sop_instance_uids: list[strawberry.ID] | None = matches("SOPInstanceUID", ANY_OF, "sopInstanceUIDs")
    sop_class_uids: list[strawberry.ID] | None = matches("SOPClassUID", ANY_OF, "sopClassUIDs")
    labels: LabelFilter | None = strawberry.field(default=None, description="Labels in Orthanc.")
    tags: list[TagMatch] | None = strawberry.field(default=None, description="Any other tags.")


LevelFilter = PatientFilter | StudyFilter | SeriesFilter | InstanceFilter


def filter_of(given: LevelFilter | None) -> Filter:
    """Return the plan's filter. An empty list of alternatives matches nothing, an empty text everything."""
    if given is None:
        return Filter()
    matched: list[tuple[str, str]] = []
    identifiers: tuple[tuple[str, frozenset[str]], ...] = ()
    nothing = given.labels is not None and given.labels.any == []
    for field in dataclasses.fields(given):
        match field.metadata.get("keyword"), getattr(given, field.name):
            case (None, _) | (_, None) | (_, ""):
                continue
            case keyword, str(text):
                matched.append((keyword, text))
            case keyword, DateRange() as days:
                matched.append((keyword, days.matching()))
            case _, []:
                nothing = True
            case "ModalitiesInStudy", modalities:
                matched.append(
                    ("ModalitiesInStudy", any_of(list(at_most(conf.ORTHANC_MAX_PAGE_SIZE, modalities, "modalities"))))
                )
            case keyword, uids:
                given_uids = at_most(conf.ORTHANC_MAX_PAGE_SIZE, uids, "UIDs")
                identifiers += identifier_filter(keyword, map(str, given_uids)).identifiers
    matched += [(tag.keyword, tag.value) for tag in at_most(MAX_TAGS, given.tags, "tags")]
    labels = given.labels.match() if given.labels else LabelMatch()
    search = given.search if isinstance(given, PatientFilter | StudyFilter) else None
    return Filter(tuple(matched), labels, nothing, words(search or ""), identifiers)


@strawberry.enum(description="Ascending or descending. Missing values come first when ascending, last when descending.")
class Direction(Enum):
    ASC = strawberry.enum_value("ASC", description="Smallest first.")
    DESC = strawberry.enum_value("DESC", description="Largest first.")


@strawberry.enum(description="What to order patients by.")
class PatientOrderField(Enum):
    PATIENT_ID = strawberry.enum_value("PatientID", description="PatientID.")
    PATIENT_NAME = strawberry.enum_value("PatientName", description="PatientName as stored.")
    BIRTH_DATE = strawberry.enum_value("PatientBirthDate", description="PatientBirthDate.")
    LAST_UPDATE = strawberry.enum_value("LastUpdate", description="When the last instance was received.")


@strawberry.enum(description="What to order studies by.")
class StudyOrderField(Enum):
    STUDY_DATE = strawberry.enum_value("StudyDate", description="StudyDate, then StudyTime.")
    STUDY_TIME = strawberry.enum_value("StudyTime", description="StudyTime.")
    DESCRIPTION = strawberry.enum_value("StudyDescription", description="The description.")
    PATIENT_NAME = strawberry.enum_value("PatientName", description="PatientName as stored.")
    PATIENT_ID = strawberry.enum_value("PatientID", description="PatientID.")
    ACCESSION_NUMBER = strawberry.enum_value("AccessionNumber", description="AccessionNumber.")
    LAST_UPDATE = strawberry.enum_value("LastUpdate", description="When the last instance was received.")


@strawberry.enum(description="What to order series by.")
class SeriesOrderField(Enum):
    SERIES_NUMBER = strawberry.enum_value("SeriesNumber", description="SeriesNumber, as a number.")
    MODALITY = strawberry.enum_value("Modality", description="Modality.")
    DESCRIPTION = strawberry.enum_value("SeriesDescription", description="The description.")
    LAST_UPDATE = strawberry.enum_value("LastUpdate", description="When the last instance was received.")


@strawberry.enum(description="What to order instances by.")
class InstanceOrderField(Enum):
    INSTANCE_NUMBER = strawberry.enum_value("InstanceNumber", description="InstanceNumber, then the position.")
    SLICE_LOCATION = strawberry.enum_value("SliceLocation", description="SliceLocation, as a number.")
    SOP_INSTANCE_UID = strawberry.enum_value("SOPInstanceUID", description="SOPInstanceUID.")


@strawberry.input
class OrderKey(Generic[FieldType]):
    """One key of an order. A list gives the most important key first."""

    field: FieldType = strawberry.field(description="What to order by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Ascending or descending.")


@strawberry.input(description="One key of an order.")
class PatientOrder(OrderKey[PatientOrderField]):
    pass


@strawberry.input(description="One key of an order.")
class StudyOrder(OrderKey[StudyOrderField]):
    pass


@strawberry.input(description="One key of an order.")
class SeriesOrder(OrderKey[SeriesOrderField]):
    pass


@strawberry.input(description="One key of an order.")
class InstanceOrder(OrderKey[InstanceOrderField]):
    pass


def order_of(given: Sequence[OrderKey[Any]] | None) -> tuple[Order, ...]:
    """Return the plan's order. If a key is given twice, the first one counts."""
    keys: dict[str, Order] = {}
    for key in at_most(MAX_ORDER_KEYS, given, "keys of an order"):
        by = key.field.value
        keys.setdefault(by, Order(by, key.direction is Direction.DESC))
    return tuple(keys.values())
