"""The types of the hierarchy.

A field without a resolver is the resource's attribute of the same name, which declares the data it needs from Orthanc
(`orthancproxy.archive.records`). Resolvers get these resources as parents, not instances of the classes here.
"""

import datetime
from typing import Annotated, Any, cast
from urllib.parse import urlencode

import strawberry
from strawberry.relay import to_base64
from strawberry.scalars import JSON

from orthancproxy.archive import records, renderability
from orthancproxy.archive.keywords import MAIN_DICOM_TAGS
from orthancproxy.archive.levels import Level
from orthancproxy.schema.context import Info
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.execution import PLAIN
from orthancproxy.schema.inputs import InstanceFilter, InstanceOrder, SeriesFilter, SeriesOrder, StudyFilter, StudyOrder
from orthancproxy.schema.person_names import PersonName
from orthancproxy.schema.scalars import ByteCount

LEVELS = {
    Level.PATIENT: "A patient.",
    Level.STUDY: "A study of a patient.",
    Level.SERIES: "A series of a study.",
    Level.INSTANCE: "An instance of a series.",
}
describe_enum(strawberry.enum(Level, description="A level of the DICOM hierarchy."), LEVELS)

FILTER = strawberry.argument(description="Only resources that match.")
ORDER = strawberry.argument(description="The keys to order by, most important first.")
First = Annotated[int | None, strawberry.argument(description="Maximum number of resources; all by default.")]
Offset = Annotated[
    int | None, strawberry.argument(description="Number of resources to skip at the beginning of the ordered list.")
]
Keyword = Annotated[str, strawberry.argument(description="A keyword of the DICOM dictionary (PS3.6), e.g. `KVP`.")]
Keywords = Annotated[
    list[str] | None,
    strawberry.argument(description="Keywords of the DICOM dictionary; the level's main DICOM tags by default."),
]

Signed = Annotated[
    bool | None,
    strawberry.argument(
        description="Sign the URL: it works without header and cookie for 15 minutes (`ORTHANC_URL_LIFETIME`), as long "
        "as the caller may download the resource."
    ),
]


def global_id(record: records.Resource) -> strawberry.ID:
    """Return the Relay global id of a resource."""
    # a resource's class is named as its level; reading the value of an enum costs a Python call
    return strawberry.ID(to_base64(type(record).__name__, record.orthanc_id))


def _id(root: strawberry.Parent[records.Resource]) -> strawberry.ID:
    return global_id(root)


def _linked(root: Any, info: Info) -> Any:
    """Return what the plan fetched for this field, under its name in the response."""
    return root.related[info.path.key]


def _tag(root: strawberry.Parent[records.Resource], keyword: Keyword) -> str | None:
    return root.tags.get(keyword)


def _tags(root: strawberry.Parent[records.Resource], keywords: Keywords = None) -> JSON:
    tags = root.tags
    if keywords is None:
        return cast(
            "JSON",
            {keyword: tags[keyword] for keyword in sorted(MAIN_DICOM_TAGS[root.level]) if keyword in tags},
        )
    return cast("JSON", {keyword: tags.get(keyword) for keyword in keywords})


def _is_renderable(root: strawberry.Parent[records.Instance], info: Info) -> bool:
    return renderability.is_renderable(root.tags, root.facts.get("TransferSyntax"), info.context.capabilities)


def _archive_url(root: strawberry.Parent[records.Resource], info: Info, signed: Signed = False) -> str:
    return info.context.urls.to(root, "archive", signed=signed)


def _viewer_url(root: strawberry.Parent[records.Study], info: Info) -> str | None:
    return info.context.urls.to_viewer(root)


@strawberry.interface(description="A resource with a Relay global id.")
class Node:
    id: strawberry.ID = strawberry.field(
        resolver=_id, metadata=PLAIN, description="Relay global id: unique across types, stable, opaque."
    )


ORTHANC_ID = "The id that Orthanc and the REST API use: five groups of eight hex digits."
LABELS = "Labels in Orthanc; null before Orthanc 1.12."
IS_STABLE = "Whether no instance was received for a while (`StableAge` in Orthanc)."
TAG = (
    "The value of any tag as stored, multiple values joined by backslashes; null if absent, binary or a sequence. "
    "Tags of a level above are those of that resource, which Orthanc keeps from its first file. Above the instance "
    "level, a tag that Orthanc does not index is read from one instance. Tags that it does not index are null if its "
    "configuration forbids reading files (`StorageAccessOnFind`: `Never`)."
)
TAGS = "Values as stored, by keyword. Orthanc reads files for keywords that it does not index: select few of them."
VIEWER_URL = "URL at which a DICOM viewer opens the study; null if no viewer is configured (`ORTHANC_VIEWER_URL`)."
ARCHIVE_URL = "URL of a ZIP of all DICOM files of this resource."


@strawberry.type(description="A patient: all studies with one PatientID.")
class Patient(Node):
    orthanc_id: strawberry.ID = strawberry.field(description=ORTHANC_ID)
    patient_id: str | None = strawberry.field(description="PatientID (0010,0020).")
    patient_name: str | None = strawberry.field(
        description="PatientName (0010,0010) as stored, e.g. `Hong^Gildong=洪^吉洞=홍^길동`."
    )
    name: PersonName | None = strawberry.field(description="PatientName, parsed into components.")
    birth_date: datetime.date | None = strawberry.field(description="PatientBirthDate (0010,0030).")
    sex: str | None = strawberry.field(description="PatientSex (0010,0040): M, F or O.")
    last_update: datetime.datetime | None = strawberry.field(description="When the last instance was received.")
    is_stable: bool = strawberry.field(description=IS_STABLE)
    labels: list[str] | None = strawberry.field(description=LABELS)
    studies_count: int = strawberry.field(description="Number of studies.")
    instances_count: int = strawberry.field(description="Number of instances.")
    tag: str | None = strawberry.field(resolver=_tag, metadata=PLAIN, description=TAG)
    tags: JSON = strawberry.field(resolver=_tags, metadata=PLAIN, description=TAGS)
    archive_url: str = strawberry.field(resolver=_archive_url, metadata=PLAIN, description=ARCHIVE_URL)

    @strawberry.field(description="The studies, newest first unless ordered otherwise.", metadata=PLAIN)
    def studies(
        self,
        info: Info,
        filter: Annotated[StudyFilter | None, FILTER] = None,
        order_by: Annotated[list[StudyOrder] | None, ORDER] = None,
        first: First = None,
        offset: Offset = None,
    ) -> list["Study"]:
        return cast("list[Study]", _linked(self, info))

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Return whether the resource is of this type."""
        return isinstance(value, records.Patient)


@strawberry.type(description="A study of one patient.")
class Study(Node):
    orthanc_id: strawberry.ID = strawberry.field(description=ORTHANC_ID)
    study_instance_uid: strawberry.ID = strawberry.field(
        name="studyInstanceUID", description="StudyInstanceUID (0020,000D)."
    )
    description: str | None = strawberry.field(description="StudyDescription (0008,1030).")
    study_date: datetime.date | None = strawberry.field(description="StudyDate (0008,0020).")
    study_time: datetime.time | None = strawberry.field(description="StudyTime (0008,0030).")
    study_id: str | None = strawberry.field(description="StudyID (0020,0010).")
    accession_number: str | None = strawberry.field(description="AccessionNumber (0008,0050).")
    referring_physician_name: str | None = strawberry.field(description="ReferringPhysicianName (0008,0090).")
    institution_name: str | None = strawberry.field(description="InstitutionName (0008,0080).")
    modalities: list[str] = strawberry.field(description="ModalitiesInStudy (0008,0061), sorted.")
    last_update: datetime.datetime | None = strawberry.field(description="When the last instance was received.")
    is_stable: bool = strawberry.field(description=IS_STABLE)
    labels: list[str] | None = strawberry.field(description=LABELS)
    trashed_at: datetime.datetime | None = strawberry.field(
        description="When the study was put into the trash; null if it is not there."
    )
    trashed_by: str | None = strawberry.field(
        description="Who put the study into the trash; null if it is not there, or nobody has logged in."
    )
    series_count: int = strawberry.field(description="Number of series.")
    instances_count: int = strawberry.field(description="Number of instances.")
    patient: Patient = strawberry.field(
        resolver=_linked, metadata=PLAIN, graphql_type=Patient, description="The patient of the study."
    )
    tag: str | None = strawberry.field(resolver=_tag, metadata=PLAIN, description=TAG)
    tags: JSON = strawberry.field(resolver=_tags, metadata=PLAIN, description=TAGS)
    archive_url: str = strawberry.field(resolver=_archive_url, metadata=PLAIN, description=ARCHIVE_URL)
    viewer_url: str | None = strawberry.field(resolver=_viewer_url, metadata=PLAIN, description=VIEWER_URL)

    @strawberry.field(description="The series, by SeriesNumber unless ordered otherwise.", metadata=PLAIN)
    def series(
        self,
        info: Info,
        filter: Annotated[SeriesFilter | None, FILTER] = None,
        order_by: Annotated[list[SeriesOrder] | None, ORDER] = None,
        first: First = None,
        offset: Offset = None,
    ) -> list["Series"]:
        return cast("list[Series]", _linked(self, info))

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Return whether the resource is of this type."""
        return isinstance(value, records.Study)


@strawberry.type(description="A series of one study.")
class Series(Node):
    orthanc_id: strawberry.ID = strawberry.field(description=ORTHANC_ID)
    series_instance_uid: strawberry.ID = strawberry.field(
        name="seriesInstanceUID", description="SeriesInstanceUID (0020,000E)."
    )
    description: str | None = strawberry.field(description="SeriesDescription (0008,103E).")
    modality: str | None = strawberry.field(description="Modality (0008,0060).")
    series_number: int | None = strawberry.field(description="SeriesNumber (0020,0011).")
    body_part_examined: str | None = strawberry.field(description="BodyPartExamined (0018,0015).")
    protocol_name: str | None = strawberry.field(description="ProtocolName (0018,1030).")
    manufacturer: str | None = strawberry.field(description="Manufacturer (0008,0070).")
    station_name: str | None = strawberry.field(description="StationName (0008,1010).")
    series_date: datetime.date | None = strawberry.field(description="SeriesDate (0008,0021).")
    series_time: datetime.time | None = strawberry.field(description="SeriesTime (0008,0031).")
    last_update: datetime.datetime | None = strawberry.field(description="When the last instance was received.")
    is_stable: bool = strawberry.field(description=IS_STABLE)
    labels: list[str] | None = strawberry.field(description=LABELS)
    instances_count: int = strawberry.field(description="Number of instances.")
    study: Study = strawberry.field(
        resolver=_linked, metadata=PLAIN, graphql_type=Study, description="The study of the series."
    )
    tag: str | None = strawberry.field(resolver=_tag, metadata=PLAIN, description=TAG)
    tags: JSON = strawberry.field(resolver=_tags, metadata=PLAIN, description=TAGS)
    archive_url: str = strawberry.field(resolver=_archive_url, metadata=PLAIN, description=ARCHIVE_URL)

    @strawberry.field(description="The instances, by InstanceNumber unless ordered otherwise.", metadata=PLAIN)
    def instances(
        self,
        info: Info,
        filter: Annotated[InstanceFilter | None, FILTER] = None,
        order_by: Annotated[list[InstanceOrder] | None, ORDER] = None,
        first: First = None,
        offset: Offset = None,
    ) -> list["Instance"]:
        return cast("list[Instance]", _linked(self, info))

    @strawberry.field(description="URL of a thumbnail of the middle instance.", metadata=PLAIN)
    def thumbnail_url(root: strawberry.Parent[records.Series], info: Info, signed: Signed = False) -> str:
        return info.context.urls.to_version(root, "thumbnail", signed=signed)

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Return whether the resource is of this type."""
        return isinstance(value, records.Series)


@strawberry.type(description="An instance: one DICOM file.")
class Instance(Node):
    orthanc_id: strawberry.ID = strawberry.field(description=ORTHANC_ID)
    sop_instance_uid: strawberry.ID = strawberry.field(name="sopInstanceUID", description="SOPInstanceUID (0008,0018).")
    sop_class_uid: strawberry.ID | None = strawberry.field(name="sopClassUID", description="SOPClassUID (0008,0016).")
    instance_number: int | None = strawberry.field(description="InstanceNumber (0020,0013).")
    rows: int | None = strawberry.field(description="Rows (0028,0010).")
    columns: int | None = strawberry.field(description="Columns (0028,0011).")
    number_of_frames: int | None = strawberry.field(description="NumberOfFrames (0028,0008).")
    pixel_spacing: list[float] | None = strawberry.field(
        description="PixelSpacing (0028,0030): row spacing, column spacing, in mm."
    )
    slice_thickness: float | None = strawberry.field(description="SliceThickness (0018,0050) in mm.")
    slice_location: float | None = strawberry.field(description="SliceLocation (0020,1041) in mm.")
    image_position_patient: list[float] | None = strawberry.field(
        description="ImagePositionPatient (0020,0032): x, y, z in mm."
    )
    image_orientation_patient: list[float] | None = strawberry.field(
        description="ImageOrientationPatient (0020,0037): direction cosines of the row, then of the column."
    )
    transfer_syntax_uid: strawberry.ID | None = strawberry.field(
        name="transferSyntaxUID", description="TransferSyntaxUID (0002,0010)."
    )
    is_renderable: bool = strawberry.field(
        resolver=_is_renderable,
        metadata=PLAIN,
        description="Whether Orthanc can render it, judging by its version, its GDCM plugin (for JPEG 2000), and the "
        "attributes and transfer syntax of the instance.",
    )
    file_size: ByteCount = strawberry.field(description="The size of the DICOM file.")
    labels: list[str] | None = strawberry.field(description=LABELS)
    series: Series = strawberry.field(
        resolver=_linked, metadata=PLAIN, graphql_type=Series, description="The series of the instance."
    )
    tag: str | None = strawberry.field(resolver=_tag, metadata=PLAIN, description=TAG)
    tags: JSON = strawberry.field(resolver=_tags, metadata=PLAIN, description=TAGS)

    @strawberry.field(description="URL of the DICOM file (PS3.10), also for `wadouri:` image loaders.", metadata=PLAIN)
    def file_url(root: strawberry.Parent[records.Instance], info: Info, signed: Signed = False) -> str:
        return info.context.urls.to_version(root, "file", signed=signed)

    @strawberry.field(
        description="URL of one frame, by default at full size and in the window of the file: a PNG, or a JPEG if "
        "Accept prefers it.",
        metadata=PLAIN,
    )
    def preview_url(
        root: strawberry.Parent[records.Instance],
        info: Info,
        frame: Annotated[int | None, strawberry.argument(description="The index of the frame, from 0.")] = 0,
        window_center: Annotated[
            float | None, strawberry.argument(description="The centre of the window, in rescaled values.")
        ] = None,
        window_width: Annotated[float | None, strawberry.argument(description="The width of the window.")] = None,
        width: Annotated[int | None, strawberry.argument(description="Maximum width in pixels.")] = None,
        height: Annotated[int | None, strawberry.argument(description="Maximum height in pixels.")] = None,
        quality: Annotated[int | None, strawberry.argument(description="The quality of a JPEG, 1 to 100.")] = None,
        signed: Signed = False,
    ) -> str:
        given = {
            "frame": frame or None,
            "window-center": window_center,
            "window-width": window_width,
            "width": width,
            "height": height,
            "quality": quality,
        }
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return info.context.urls.to_version(root, "preview", query, signed=signed)

    @strawberry.field(description="URL of a thumbnail of the first frame.", metadata=PLAIN)
    def thumbnail_url(root: strawberry.Parent[records.Instance], info: Info, signed: Signed = False) -> str:
        return info.context.urls.to_version(root, "thumbnail", signed=signed)

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Return whether the resource is of this type."""
        return isinstance(value, records.Instance)
