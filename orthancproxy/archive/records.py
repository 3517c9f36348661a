"""Patients, studies, series and instances as frozen records over what Orthanc answered.

An attribute is a descriptor that says what it needs and how it is read, so that a plan can ask for just that, and only
what a query selects is ever parsed: `Patient.birth_date.needs` is what to fetch, `patient.birth_date` the value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from orthancproxy.archive import values
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Needs
from orthancproxy.errors import ArchiveProtocolError

T = TypeVar("T")


class Attribute(Generic[T]):
    """An attribute of a record: what it needs, and how to read it."""

    __slots__ = ("needs", "read")

    def __init__(self, needs: Needs, read: Callable[[Any], T]) -> None:
        self.needs = needs
        self.read = read

    @overload
    def __get__(self, record: None, owner: type) -> Self: ...
    @overload
    def __get__(self, record: object, owner: type) -> T: ...
    def __get__(self, record: object | None, owner: type) -> Self | T:
        if record is None:
            return self
        try:
            return self.read(record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error


def tag(keyword: str, convert: Callable[[str | None], T]) -> Attribute[T]:
    """An attribute that is a DICOM tag."""
    return Attribute(Needs(tags=frozenset({keyword})), lambda record: convert(record.tags.get(keyword)))


def count(keyword: str) -> Attribute[int]:
    """An attribute that the archive counts (PS3.4 section C.6.1.1)."""
    return tag(keyword, lambda value: values.integer(value) or 0)


def fact(which: Fact, read: Callable[[Any], T]) -> Attribute[T]:
    """An attribute that Orthanc knows besides the tags; `read` takes the resource as Orthanc answered it."""
    return Attribute(Needs(facts=frozenset({which})), lambda record: read(record.answer))


def metadata(answer: Mapping[str, Any], name: str) -> str | None:
    """A metadata of Orthanc's: expanded answers have it beside the tags, find with ResponseContent below `Metadata`."""
    value = answer.get(name) or answer.get("Metadata", {}).get(name)
    return str(value) if value else None


def file_size(answer: Mapping[str, Any]) -> int:
    """The size of an instance's DICOM file in bytes."""
    return int(answer["FileSize"] if "FileSize" in answer else _dicom_file(answer).get("UncompressedSize", 0))


def file_uuid(answer: Mapping[str, Any]) -> str | None:
    """What Orthanc calls an instance's file: another one whenever the file is replaced."""
    uuid = answer["FileUuid"] if "FileUuid" in answer else _dicom_file(answer).get("Uuid")
    return str(uuid) if uuid else None


def _dicom_file(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    attachments: list[Mapping[str, Any]] = answer.get("Attachments", [])
    return next((attachment for attachment in attachments if attachment["ContentType"] == 1), {})


@dataclass(frozen=True, slots=True)
class Resource:
    """What the four levels share: `tags` as stored, by keyword, and `links` to what the plan asked for around it."""

    level: ClassVar[Level]

    orthanc_id: str
    parent_id: str | None
    tags: Mapping[str, str]
    answer: Mapping[str, Any]
    links: Mapping[str, Any] = field(default_factory=dict)

    last_update = fact(Fact.CHANGES, lambda answer: values.timestamp(metadata(answer, "LastUpdate")))
    is_stable = fact(Fact.CHANGES, lambda answer: bool(answer.get("IsStable", True)))
    labels = fact(Fact.LABELS, lambda answer: answer.get("Labels"))

    def sort_value(self, by: str) -> str | None:
        """The text that an order compares: a tag, or Orthanc's `LastUpdate`."""
        return metadata(self.answer, by) if by == "LastUpdate" else self.tags.get(by)


@dataclass(frozen=True, slots=True)
class Patient(Resource):
    """A patient: all studies with one PatientID. Its tags are those of the first file that arrived."""

    level = Level.PATIENT

    patient_id = tag("PatientID", values.text)
    patient_name = tag("PatientName", values.text)
    name = tag("PatientName", values.person_name)
    birth_date = tag("PatientBirthDate", values.calendar_date)
    sex = tag("PatientSex", values.text)
    studies_count = count("NumberOfPatientRelatedStudies")
    instances_count = count("NumberOfPatientRelatedInstances")


@dataclass(frozen=True, slots=True)
class Study(Resource):
    """A study of one patient."""

    level = Level.STUDY

    study_instance_uid = tag("StudyInstanceUID", values.text)
    description = tag("StudyDescription", values.text)
    study_date = tag("StudyDate", values.calendar_date)
    study_time = tag("StudyTime", values.time_of_day)
    study_id = tag("StudyID", values.text)
    accession_number = tag("AccessionNumber", values.text)
    referring_physician_name = tag("ReferringPhysicianName", values.text)
    institution_name = tag("InstitutionName", values.text)
    modalities = tag("ModalitiesInStudy", lambda value: sorted(values.texts(value)))
    series_count = count("NumberOfStudyRelatedSeries")
    instances_count = count("NumberOfStudyRelatedInstances")


@dataclass(frozen=True, slots=True)
class Series(Resource):
    """A series of one study."""

    level = Level.SERIES

    series_instance_uid = tag("SeriesInstanceUID", values.text)
    description = tag("SeriesDescription", values.text)
    modality = tag("Modality", values.text)
    series_number = tag("SeriesNumber", values.integer)
    body_part_examined = tag("BodyPartExamined", values.text)
    protocol_name = tag("ProtocolName", values.text)
    manufacturer = tag("Manufacturer", values.text)
    station_name = tag("StationName", values.text)
    series_date = tag("SeriesDate", values.calendar_date)
    series_time = tag("SeriesTime", values.time_of_day)
    instances_count = count("NumberOfSeriesRelatedInstances")


@dataclass(frozen=True, slots=True)
class Instance(Resource):
    """An instance: one DICOM file."""

    level = Level.INSTANCE

    sop_instance_uid = tag("SOPInstanceUID", values.text)
    sop_class_uid = fact(Fact.METADATA, lambda answer: metadata(answer, "SopClassUid"))
    instance_number = tag("InstanceNumber", values.integer)
    rows = tag("Rows", values.integer)
    columns = tag("Columns", values.integer)
    number_of_frames = tag("NumberOfFrames", values.integer)
    pixel_spacing = tag("PixelSpacing", values.decimals)
    slice_thickness = tag("SliceThickness", values.decimal)
    slice_location = tag("SliceLocation", values.decimal)
    image_position_patient = tag("ImagePositionPatient", values.decimals)
    image_orientation_patient = tag("ImageOrientationPatient", values.decimals)
    transfer_syntax_uid = fact(Fact.METADATA, lambda answer: metadata(answer, "TransferSyntax"))
    file_size = fact(Fact.FILE, file_size)
    file_uuid = fact(Fact.FILE, file_uuid)


RECORDS: Mapping[Level, type[Resource]] = {record.level: record for record in (Patient, Study, Series, Instance)}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: its records, whether more follow, and how many there are in all when that was asked for."""

    records: tuple[Resource, ...]
    has_next: bool
    total: int | None
