"""The list of uploads: its type, filter and order."""

import datetime
from enum import Enum

import strawberry
import strawberry_django
from django.db.models import Q

from orthancproxy.schema.descriptions import describe_enum, describe_filter
from orthancproxy.schema.inputs import OrderKey
from orthancproxy.schema.tables import aware
from orthancproxy.uploads.distinct_values import disagreements
from orthancproxy.uploads.models import UploadBatch as Batch

STATES = {
    Batch.State.UPLOADING: "A request is in progress, or was interrupted.",
    Batch.State.COMPLETE: "All files are stored, except for those that failed permanently.",
    Batch.State.INCOMPLETE: "Some files have to be sent again.",
}
describe_enum(strawberry.enum(Batch.State, name="UploadState", description="The progress of an upload."), STATES)


@strawberry_django.type(Batch, name="UploadBatch", description="Everything that was sent with one upload key.")
class UploadBatch:
    upload_key: strawberry.ID = strawberry_django.field(description="The upload key.")
    uploaded_by: str = strawberry_django.field(description="The user who sent the first request; empty if anonymous.")
    patient_id: str = strawberry_django.field(description="PatientID of the study.")
    patient_name: str = strawberry_django.field(description="PatientName of the study.")
    study_instance_uid: strawberry.ID = strawberry_django.field(
        name="studyInstanceUID", description="StudyInstanceUID of the study."
    )
    study_description: str = strawberry_django.field(description="StudyDescription of the study.")
    state: Batch.State = strawberry_django.field(description="The progress of the upload.")
    created_at: datetime.datetime = strawberry_django.field(description="Time of the first request.")
    updated_at: datetime.datetime = strawberry_django.field(description="Time when the last request began or ended.")
    uploaded: int = strawberry.field(description="Number of stored files.")
    failed: int = strawberry.field(description="Number of files that are not stored.")

    @strawberry.field(
        description="What the stored files differ in, one sentence each: they may be of several patients."
    )
    def warnings(root: strawberry.Parent[Batch]) -> list[str]:
        return disagreements(root.distinct_values)

    @strawberry.field(description="Orthanc id of the study; null until a file is stored.")
    def study_orthanc_id(root: strawberry.Parent[Batch]) -> strawberry.ID | None:
        return strawberry.ID(root.study_orthanc_id) if root.study_orthanc_id else None


@strawberry_django.filter_type(Batch, name="UploadBatchFilter", description="Every given field must match.")
class UploadBatchFilter:
    upload_key: strawberry.ID | None = strawberry_django.filter_field(description="The upload key, exact match.")
    patient_id: str | None = strawberry_django.filter_field(description="PatientID, exact match.")
    state: Batch.State | None = strawberry_django.filter_field(description="The progress.")

    @strawberry_django.filter_field(description="Created at this time or later.")
    def since(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}created_at__gte": aware(value)})

    @strawberry_django.filter_field(description="Created before this time.")
    def until(self, value: datetime.datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}created_at__lt": aware(value)})


describe_filter(UploadBatchFilter)


@strawberry.enum(description="What to order uploads by.")
class UploadBatchOrderField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="When the first request was received.")
    UPDATED_AT = strawberry.enum_value("updated_at", description="When the last request began or ended.")
    PATIENT_ID = strawberry.enum_value("patient_id", description="PatientID.")
    PATIENT_NAME = strawberry.enum_value("patient_name", description="PatientName.")


@strawberry.input(description="One key of an order.")
class UploadBatchOrder(OrderKey[UploadBatchOrderField]):
    pass
