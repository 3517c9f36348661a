"""Patients, studies, series and instances as frozen records of Orthanc's responses.

Attributes are descriptors that declare the data they need, so that plans fetch and queries parse only selected ones:
`Patient.birth_date.needs` is the data to fetch, `patient.birth_date` the value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

from orthancproxy.archive import parsing
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Needs
from orthancproxy.archive.trash_note import TrashNote
from orthancproxy.orthanc.capabilities import TRASH_LABEL

T = TypeVar("T")


class Attribute(property, Generic[T]):
    """An attribute of a resource: the data it needs, and how to read it.

    A subclass of property, since Python reads those fastest: a response may have 150,000 of them.
    """

    def __init__(self, needs: Needs, read: Callable[[Any], T]) -> None:
        super().__init__(read)
        self.needs = needs

    if TYPE_CHECKING:

        @overload
        def __get__(self, resource: None, owner: type | None = None) -> Self: ...
        @overload
        def __get__(self, resource: object, owner: type | None = None) -> T: ...
        def __get__(self, resource: object | None, owner: type | None = None) -> Self | T: ...


def tag(keyword: str, convert: Callable[[str | None], T]) -> Attribute[T]:
    """Return an attribute for a DICOM tag."""
    return Attribute(Needs(tags=frozenset({keyword})), lambda resource: convert(resource.tags.get(keyword)))


def count(keyword: str) -> Attribute[int]:
    """Return an attribute for a number that the archive computes (PS3.4 section C.6.1.1)."""
    return tag(keyword, lambda value: parsing.integer(value) or 0)


def fact(which: Fact, name: str, convert: Callable[[Any], Any] | None = None) -> Attribute[Any]:
    """Return an attribute for data besides the tags."""
    needs = Needs(facts=frozenset({which}))
    if convert is None:
        return Attribute(needs, lambda resource: resource.facts.get(name))
    return Attribute(needs, lambda resource: convert(resource.facts.get(name)))


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of any level.

    `tags` are as stored, by keyword; `facts` are other data, as decoded by `archive.decoding`; `related` are the
    resources that the plan asked for, by name.
    """

    level: ClassVar[Level]

    orthanc_id: str
    parent_id: str | None
    tags: Mapping[str, str]
    facts: Mapping[str, Any]
    related: Mapping[str, Any] = field(default_factory=dict)

    last_update = fact(Fact.CHANGES, "LastUpdate", parsing.timestamp)
    is_stable = fact(Fact.CHANGES, "IsStable", lambda value: value is not False)
    labels = fact(Fact.LABELS, "Labels", lambda labels: labels and [one for one in labels if one != TRASH_LABEL])


@dataclass(frozen=True, slots=True)
class Patient(Resource):
    """A patient: all studies with one PatientID. Its tags are those of the first stored file."""

    level = Level.PATIENT

    patient_id = tag("PatientID", parsing.text)
    patient_name = tag("PatientName", parsing.text)
    name = tag("PatientName", parsing.person_name)
    birth_date = tag("PatientBirthDate", parsing.calendar_date)
    sex = tag("PatientSex", parsing.text)
    studies_count = count("NumberOfPatientRelatedStudies")
    instances_count = count("NumberOfPatientRelatedInstances")


@dataclass(frozen=True, slots=True)
class Study(Resource):
    """A study of one patient."""

    level = Level.STUDY

    study_instance_uid = tag("StudyInstanceUID", parsing.text)
    description = tag("StudyDescription", parsing.text)
    study_date = tag("StudyDate", parsing.calendar_date)
    study_time = tag("StudyTime", parsing.time_of_day)
    study_id = tag("StudyID", parsing.text)
    accession_number = tag("AccessionNumber", parsing.text)
    referring_physician_name = tag("ReferringPhysicianName", parsing.text)
    institution_name = tag("InstitutionName", parsing.text)
    modalities = tag("ModalitiesInStudy", lambda value: sorted(set(parsing.texts(value))))
    series_count = count("NumberOfStudyRelatedSeries")
    instances_count = count("NumberOfStudyRelatedInstances")
    trashed_at = fact(Fact.TRASH, "TrashNote", lambda note: TrashNote.parse(note).at)
    trashed_by = fact(Fact.TRASH, "TrashNote", lambda note: TrashNote.parse(note).by or None)


@dataclass(frozen=True, slots=True)
class Series(Resource):
    """A series of one study."""

    level = Level.SERIES

    series_instance_uid = tag("SeriesInstanceUID", parsing.text)
    description = tag("SeriesDescription", parsing.text)
    modality = tag("Modality", parsing.text)
    series_number = tag("SeriesNumber", parsing.integer)
    body_part_examined = tag("BodyPartExamined", parsing.text)
    protocol_name = tag("ProtocolName", parsing.text)
    manufacturer = tag("Manufacturer", parsing.text)
    station_name = tag("StationName", parsing.text)
    series_date = tag("SeriesDate", parsing.calendar_date)
    series_time = tag("SeriesTime", parsing.time_of_day)
    instances_count = count("NumberOfSeriesRelatedInstances")
    version = fact(Fact.CHANGES, "LastUpdate")  # changes with its instances, in whole seconds


@dataclass(frozen=True, slots=True)
class Instance(Resource):
    """An instance: one DICOM file."""

    level = Level.INSTANCE

    sop_instance_uid = tag("SOPInstanceUID", parsing.text)
    sop_class_uid = fact(Fact.METADATA, "SopClassUid")
    instance_number = tag("InstanceNumber", parsing.integer)
    rows = tag("Rows", parsing.integer)
    columns = tag("Columns", parsing.integer)
    number_of_frames = tag("NumberOfFrames", parsing.integer)
    pixel_spacing = tag("PixelSpacing", parsing.decimals)
    slice_thickness = tag("SliceThickness", parsing.decimal)
    slice_location = tag("SliceLocation", parsing.decimal)
    image_position_patient = tag("ImagePositionPatient", parsing.decimals)
    image_orientation_patient = tag("ImageOrientationPatient", parsing.decimals)
    transfer_syntax_uid = fact(Fact.METADATA, "TransferSyntax")
    file_size = fact(Fact.FILE_SIZE, "FileSize")  # bytes
    version = fact(Fact.FILE_UUID, "FileUuid")  # changes when the file is replaced


RESOURCE_TYPES: Mapping[Level, type[Resource]] = {
    resource.level: resource for resource in (Patient, Study, Series, Instance)
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list. `total` is the length of the whole list, if the plan asked for it."""

    resources: tuple[Resource, ...]
    has_next: bool
    total: int | None
