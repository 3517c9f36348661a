# ruff: noqa: N815  the field names are the contract's, and frozen
"""From records to the JSON of the contract.

The fields describe the answers in the OpenAPI schema. The dictionaries are made by hand: a list may have thousands of
items, and Django REST framework takes longer for one field than this takes for an item. A test compares the two.
"""

from typing import Any, ClassVar

from rest_framework import serializers

from orthancproxy.archive import parsing
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Instance, Patient, Resource, Series, Study
from orthancproxy.resolvers.deletion import Deletion, ResourceRef
from orthancproxy.resolvers.upload import UploadResult
from orthancproxy.uploads.files import FailedFile, UploadErrorCode


def orthanc_id() -> serializers.CharField:
    """The field that every resource has."""
    return serializers.CharField(help_text="Orthanc's id: five groups of eight hex digits.")


def stored(keyword: str) -> serializers.CharField:
    """A DICOM value as it is stored."""
    return serializers.CharField(
        allow_null=True, help_text=f"{keyword} as stored; several values are joined by a backslash."
    )


def count() -> serializers.IntegerField:
    """How many there are below a resource."""
    return serializers.IntegerField(min_value=0)


def text(record: Resource, keyword: str) -> str | None:
    """A DICOM value as it is stored, without padding; None where it is absent or empty."""
    return parsing.text(record.tags.get(keyword))


class PatientSerializer(serializers.Serializer[Patient]):
    """A patient."""

    orthancId = orthanc_id()
    patientId = stored("PatientID")
    patientName = stored("PatientName")
    studiesCount = count()

    needs: ClassVar = Needs(frozenset({"PatientID", "PatientName"})) | Patient.studies_count.needs

    def to_representation(self, instance: Patient) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {
            "orthancId": instance.orthanc_id,
            "patientId": text(instance, "PatientID"),
            "patientName": text(instance, "PatientName"),
            "studiesCount": instance.studies_count,
        }


class StudySerializer(serializers.Serializer[Study]):
    """A study."""

    orthancId = orthanc_id()
    studyInstanceUID = stored("StudyInstanceUID")
    description = stored("StudyDescription")
    studyDate = stored("StudyDate")
    seriesCount = count()

    needs: ClassVar = Needs(frozenset({"StudyInstanceUID", "StudyDescription", "StudyDate"})) | Study.series_count.needs

    def to_representation(self, instance: Study) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {
            "orthancId": instance.orthanc_id,
            "studyInstanceUID": text(instance, "StudyInstanceUID"),
            "description": text(instance, "StudyDescription"),
            "studyDate": text(instance, "StudyDate"),
            "seriesCount": instance.series_count,
        }


class SeriesSerializer(serializers.Serializer[Series]):
    """A series."""

    orthancId = orthanc_id()
    seriesInstanceUID = stored("SeriesInstanceUID")
    description = stored("SeriesDescription")
    modality = stored("Modality")
    seriesNumber = stored("SeriesNumber")
    instancesCount = count()

    needs: ClassVar = (
        Needs(frozenset({"SeriesInstanceUID", "SeriesDescription", "Modality", "SeriesNumber"}))
        | Series.instances_count.needs
    )

    def to_representation(self, instance: Series) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {
            "orthancId": instance.orthanc_id,
            "seriesInstanceUID": text(instance, "SeriesInstanceUID"),
            "description": text(instance, "SeriesDescription"),
            "modality": text(instance, "Modality"),
            "seriesNumber": text(instance, "SeriesNumber"),
            "instancesCount": instance.instances_count,
        }


class InstanceSerializer(serializers.Serializer[Instance]):
    """An instance. What is above it comes from the context: `above(series)`."""

    orthancId = orthanc_id()
    instanceNumber = stored("InstanceNumber")
    instanceNumberInt = serializers.IntegerField(
        allow_null=True, help_text="InstanceNumber as a number, null where it is none."
    )
    sopInstanceUID = stored("SOPInstanceUID")
    rows = stored("Rows")
    columns = stored("Columns")
    pixelSpacing = stored("PixelSpacing")
    sliceThickness = stored("SliceThickness")
    sliceLocation = stored("SliceLocation")
    imagePositionPatient = stored("ImagePositionPatient")
    patientId = stored("PatientID")
    patientName = stored("PatientName")
    studyInstanceUID = stored("StudyInstanceUID")
    seriesInstanceUID = stored("SeriesInstanceUID")
    seriesNumber = stored("SeriesNumber")

    needs: ClassVar = Needs(
        frozenset(
            """InstanceNumber SOPInstanceUID Rows Columns PixelSpacing SliceThickness SliceLocation
            ImagePositionPatient""".split()
        )
    )
    # Orthanc knows of a series what is above it, too
    series_needs: ClassVar = Needs(
        frozenset("SeriesInstanceUID SeriesNumber StudyInstanceUID PatientID PatientName".split())
    )

    @staticmethod
    def above(series: Series) -> dict[str, Any]:
        """Return the context: what the instances of a series tell of the series, its study and its patient."""
        return {
            "above": {
                "patientId": text(series, "PatientID"),
                "patientName": text(series, "PatientName"),
                "studyInstanceUID": text(series, "StudyInstanceUID"),
                "seriesInstanceUID": text(series, "SeriesInstanceUID"),
                "seriesNumber": text(series, "SeriesNumber"),
            }
        }

    def to_representation(self, instance: Instance) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {
            "orthancId": instance.orthanc_id,
            "instanceNumber": text(instance, "InstanceNumber"),
            "instanceNumberInt": instance.instance_number,
            "sopInstanceUID": text(instance, "SOPInstanceUID"),
            "rows": text(instance, "Rows"),
            "columns": text(instance, "Columns"),
            "pixelSpacing": text(instance, "PixelSpacing"),
            "sliceThickness": text(instance, "SliceThickness"),
            "sliceLocation": text(instance, "SliceLocation"),
            "imagePositionPatient": text(instance, "ImagePositionPatient"),
            **self.context["above"],
        }


class FailedFileSerializer(serializers.Serializer[FailedFile]):
    """A file that was not stored."""

    index = serializers.IntegerField(min_value=0, help_text="Its position among `files`, or that of its ZIP archive.")
    name = serializers.CharField(help_text="Its name as it was sent, or its name in the ZIP archive.")
    seriesPath = serializers.CharField(source="series_path", help_text="The folder that it belongs to.")
    code = serializers.ChoiceField(
        choices=[code.value for code in UploadErrorCode], source="code.value", help_text="Why, for a program."
    )
    message = serializers.CharField(help_text="Why, for a person.")


class UploadSerializer(serializers.Serializer[UploadResult]):
    """What became of an upload."""

    uploadKey = serializers.CharField(source="upload_key", help_text="Send it again to go on with this upload.")
    patientId = serializers.CharField(source="patient_id", help_text="PatientID of the study.")
    studyUid = serializers.CharField(source="study_instance_uid", help_text="StudyInstanceUID of the study.")
    studyId = serializers.CharField(
        source="study_id", allow_null=True, help_text="Orthanc's id of the study; null where nothing was stored."
    )
    studyDescription = serializers.CharField(source="study_description", help_text="StudyDescription of the study.")
    uploaded = serializers.IntegerField(min_value=0, help_text="How many files were stored now.")
    alreadyStored = serializers.IntegerField(
        source="already_stored", min_value=0, help_text="How many files an earlier try had stored."
    )
    failedFiles = FailedFileSerializer(source="failed", many=True, help_text="The other files.")
    orthancSeriesIds = serializers.ListField(
        source="series_ids", child=serializers.CharField(), help_text="Orthanc's ids of the series of these files."
    )
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What a person should look at, one sentence each."
    )


class ResourceSerializer(serializers.Serializer[ResourceRef]):
    """Where a resource is in the hierarchy, and its id."""

    level = serializers.ChoiceField(choices=[level.value.lower() for level in Level], help_text="Its level.")
    orthancId = serializers.CharField(help_text="Orthanc's id.")

    def to_representation(self, instance: ResourceRef) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {"level": instance.level.value.lower(), "orthancId": instance.orthanc_id}


class DeletionSerializer(serializers.Serializer[Deletion]):
    """What was deleted."""

    deleted = ResourceSerializer(help_text="The resource.")
    removedAncestors = ResourceSerializer(many=True, help_text="The parents that it left empty, the nearest first.")
    remainingAncestor = ResourceSerializer(allow_null=True, help_text="The nearest parent that is still there.")
    instancesCount = serializers.IntegerField(min_value=0, help_text="How many instances that was.")

    def to_representation(self, instance: Deletion) -> dict[str, Any]:
        """Return the contract's JSON."""
        deleted, *ancestors = (ResourceSerializer(one).data for one in instance.deleted)
        remaining = instance.remaining_ancestor
        return {
            "deleted": deleted,
            "removedAncestors": ancestors,
            "remainingAncestor": ResourceSerializer(remaining).data if remaining else None,
            "instancesCount": instance.instances_count,
        }


class ErrorSerializer(serializers.Serializer[Any]):
    """What went wrong."""

    detail = serializers.CharField(help_text="One sentence for the person who made the request.")
    code = serializers.CharField(help_text="What a program tells errors apart by.")


class FailureSerializer(ErrorSerializer):
    """The gateway itself failed."""

    requestId = serializers.CharField(help_text="What to look for in the gateway's log.")
