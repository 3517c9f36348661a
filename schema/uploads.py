"""The types of uploading: what is sent, what becomes of it, and the records of it."""

import datetime
from typing import cast

import strawberry
import strawberry_django
from strawberry.file_uploads import Upload

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers import upload
from orthancproxy.resolvers.hierarchy import get_after_change
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.selection import Selection
from orthancproxy.schema.types import Study
from orthancproxy.uploads.files import UploadErrorCode
from orthancproxy.uploads.models import UploadBatch as Batch

ERROR_CODES = {
    UploadErrorCode.NOT_DICOM: "It is a file of another kind.",
    UploadErrorCode.UNREADABLE: "It is damaged, or does not say what it is.",
    UploadErrorCode.UNSAFE: "It is built to do harm, or looks as if.",
    UploadErrorCode.TOO_LARGE: "It is more than the gateway takes: a header or a ZIP archive without measure.",
    UploadErrorCode.EMPTY: "There is nothing in it.",
    UploadErrorCode.REJECTED: "Orthanc refused it.",
    UploadErrorCode.ARCHIVE_UNAVAILABLE: "Orthanc was not there: send it again, with the upload key.",
}
STATES = {
    Batch.State.UPLOADING: "A request is at work, or was broken off.",
    Batch.State.COMPLETE: "All that was sent is stored, except for what can't be.",
    Batch.State.INCOMPLETE: "Some files are to be sent again.",
}
describe_enum(strawberry.enum(UploadErrorCode, description="Why a file was not stored."), ERROR_CODES)
describe_enum(strawberry.enum(Batch.State, name="UploadState", description="How far an upload is."), STATES)


@strawberry.input(description="A folder of DICOM files, which becomes one study of one patient.")
class UploadInput:
    """`orthancproxy.resolvers.upload.UploadRequest`."""

    files: list[Upload] = strawberry.field(
        description="DICOM files, and ZIP archives of them, by the GraphQL multipart request specification."
    )
    series_paths: list[str] | None = strawberry.field(
        default=None,
        description="The folder of each file, in the order of the files; one folder becomes one series.",
    )
    patient_id: str = strawberry.field(description="PatientID, an LO: at most 64 characters.")
    patient_name: str | None = strawberry.field(
        default=None, description="PatientName, a PN such as `Hong^Gildong=洪^吉洞=홍^길동`; patientId when left out."
    )
    study_description: str | None = strawberry.field(
        default=None, description="StudyDescription; the files' own when left out and they agree."
    )
    upload_key: strawberry.ID | None = strawberry.field(
        default=None,
        description="Same key, same study and same UIDs: to send a folder in chunks, and any chunk again. A UUID, say.",
    )


@strawberry.type(description="A file that was not stored.")
class FailedFile:
    """`orthancproxy.uploads.files.FailedFile`."""

    index: int = strawberry.field(description="Its position in `files`, or that of the ZIP archive that it was in.")
    name: str = strawberry.field(description="Its name as it was sent, or its name in the ZIP archive.")
    series_path: str | None = strawberry.field(description="The folder that it belongs to.")
    code: UploadErrorCode = strawberry.field(description="Why, for a program.")
    message: str = strawberry.field(description="Why, for a person.")


@strawberry.type(description="What became of the files: each is uploaded, already stored, or failed.")
class UploadPayload:
    """`orthancproxy.resolvers.upload.UploadResult`."""

    upload_key: strawberry.ID = strawberry.field(description="With it, the rest of the study can be sent.")
    uploaded: int = strawberry.field(description="How many files were stored now.")
    already_stored: int = strawberry.field(description="How many files were in the archive, from an earlier try.")
    failed: list[FailedFile] = strawberry.field(description="The other files.")
    series_ids: list[strawberry.ID] = strawberry.field(description="Orthanc's ids of the series of these files.")
    warnings: list[str] = strawberry.field(description="What a person should look at, one sentence each.")

    @strawberry.field(description="The study; null when nothing is stored.")
    def study(root: strawberry.Parent[upload.UploadResult], info: Info) -> Study | None:  # noqa: N805
        """Look it up in the archive."""
        if root.study_id is None:
            return None
        plan = Selection(info).resource(Level.STUDY)
        found = get_after_change(gateway(info), plan, root.study_id)
        return cast("Study | None", found)


@strawberry_django.type(Batch, name="UploadBatch", description="All that was sent with one upload key.")
class UploadBatch:
    """`orthancproxy.models.UploadBatch`, as `batches.get_uploads` gives it."""

    upload_key: strawberry.ID = strawberry_django.field(description="The key.")
    uploaded_by: str = strawberry_django.field(description="Who sent it first; empty for one who was not logged in.")
    patient_id: str = strawberry_django.field(description="PatientID of the study.")
    patient_name: str = strawberry_django.field(description="PatientName of the study.")
    study_instance_uid: strawberry.ID = strawberry_django.field(
        name="studyInstanceUID", description="StudyInstanceUID of the study."
    )
    study_description: str = strawberry_django.field(description="StudyDescription of the study.")
    state: Batch.State = strawberry_django.field(description="Whether files are to be sent again.")
    created_at: datetime.datetime = strawberry_django.field(description="When its first request came.")
    updated_at: datetime.datetime = strawberry_django.field(description="When its last request began or ended.")
    uploaded: int = strawberry.field(description="How many files are stored.")
    failed: int = strawberry.field(description="How many files are not.")

    @strawberry.field(description="Orthanc's id of the study; null until something is stored.")
    def study_orthanc_id(root: strawberry.Parent[Batch]) -> strawberry.ID | None:  # noqa: N805
        """Read what the batch has."""
        return strawberry.ID(root.study_orthanc_id) if root.study_orthanc_id else None
