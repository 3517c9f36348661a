"""The types of uploads: input and payload."""

from typing import cast

import strawberry
from strawberry.file_uploads import Upload

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers import upload
from orthancproxy.resolvers.hierarchy import get_after_change
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.selection import Selection
from orthancproxy.schema.types import Study
from orthancproxy.uploads.files import UploadErrorCode

ERROR_CODES = {
    UploadErrorCode.NOT_DICOM: "The file is not DICOM.",
    UploadErrorCode.UNREADABLE: "The file is damaged, or has no SOPClassUID.",
    UploadErrorCode.UNSAFE: "The file appears to be built to cause harm.",
    UploadErrorCode.TOO_LARGE: "The header of the file, or the ZIP, exceeds the limits of the gateway.",
    UploadErrorCode.EMPTY: "The file or the ZIP is empty.",
    UploadErrorCode.REJECTED: "Orthanc rejected the file.",
    UploadErrorCode.ARCHIVE_UNAVAILABLE: "Orthanc was unavailable: send the file again with the upload key.",
}
describe_enum(strawberry.enum(UploadErrorCode, description="Why a file was not stored."), ERROR_CODES)


@strawberry.input(description="A folder of DICOM files to store as one study of one patient.")
class UploadInput:
    files: list[Upload] = strawberry.field(
        description="DICOM files and ZIPs of them, sent as a GraphQL multipart request."
    )
    series_paths: list[str] | None = strawberry.field(
        default=None,
        description="The folder of each file, in the order of `files`. A folder becomes a series for each modality.",
    )
    patient_id: str = strawberry.field(description="PatientID (LO, at most 64 characters).")
    patient_name: str | None = strawberry.field(
        default=None,
        description="PatientName (PN), such as `Hong^Gildong=洪^吉洞=홍^길동`. The default is `patientId`.",
    )
    study_description: str | None = strawberry.field(
        default=None, description="StudyDescription. The default is the files' own, if it is the same in all."
    )
    upload_key: strawberry.ID | None = strawberry.field(
        default=None,
        description="Files with the same key go into the same study, and each can be sent again. Use a UUID.",
    )


@strawberry.type(description="A file that was not stored.")
class FailedFile:
    index: int = strawberry.field(description="The position in `files` of the file, or of its ZIP.")
    name: str = strawberry.field(description="The file name as sent, or in the ZIP.")
    series_path: str | None = strawberry.field(description="The folder of the file.")
    code: UploadErrorCode = strawberry.field(description="The reason, for programs.")
    message: str = strawberry.field(description="The reason, for people.")


@strawberry.type(description="The outcome of an upload: each file is uploaded, already stored, or failed.")
class UploadPayload:
    upload_key: strawberry.ID = strawberry.field(description="The key to send the rest of the study with.")
    uploaded: int = strawberry.field(description="Number of files that this request stored.")
    already_stored: int = strawberry.field(description="Number of files that an earlier request had stored.")
    failed: list[FailedFile] = strawberry.field(description="The files that were not stored.")
    series_ids: list[strawberry.ID] = strawberry.field(description="Orthanc ids of the series of the stored files.")
    warnings: list[str] = strawberry.field(description="Warnings for the sender, one sentence each.")

    @strawberry.field(description="The study; null if nothing is stored.")
    def study(root: strawberry.Parent[upload.UploadResult], info: Info) -> Study | None:
        if root.study_id is None:
            return None
        plan = Selection(info).resource(Level.STUDY)
        return cast("Study | None", get_after_change(gateway(info), plan, root.study_id))
