# ruff: noqa: N815  the field names are those of the contract, which do not change
"""The JSON of the REST contract.

The fields are for the OpenAPI schema only: Django REST framework takes longer for one field than `Table.read` takes for
a resource, and a list may have thousands. A test compares the two.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import Any, ClassVar, TypeVar, cast

from rest_framework import serializers

from orthancproxy.archive import parsing
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Attribute, Instance, Patient, Resource, Series, Study
from orthancproxy.feed.log import Kind, LoggedChange
from orthancproxy.resolvers.changes import ChangePage
from orthancproxy.resolvers.deletion import Deletion, ResourceRef
from orthancproxy.resolvers.upload import UploadResult
from orthancproxy.uploads.files import FailedFile, UploadErrorCode

R = TypeVar("R", bound=Resource)


class Table:
    """The fields of a level: the keywords of DICOM values as stored, and numbers, by the names of the fields."""

    def __init__(self, keywords: Mapping[str, str], **numbers: Attribute[Any]) -> None:
        self.needs = reduce(or_, (number.needs for number in numbers.values()), Needs(frozenset(keywords.values())))
        self._keywords = tuple(keywords.items())
        self._numbers = [(name, cast("Callable[[Any], Any]", number.fget)) for name, number in numbers.items()]

    def read(self, resource: Resource, **values: Any) -> dict[str, Any]:
        """Return the values given and those of the fields: text without padding, None if it is absent or empty."""
        text, tag = parsing.text, resource.tags.get
        for name, keyword in self._keywords:
            values[name] = text(tag(keyword))
        for name, number in self._numbers:
            values[name] = number(resource)
        return values

    def fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields for the OpenAPI schema."""
        stored = {
            name: serializers.CharField(
                allow_null=True, help_text=f"{keyword} as stored; multiple values are joined by a backslash."
            )
            for name, keyword in self._keywords
        }
        return {**stored, **{name: serializers.IntegerField(min_value=0) for name, _ in self._numbers}}


class LevelSerializer(serializers.Serializer[R]):
    """Resources of one level, whose fields stand in a table."""

    table: ClassVar[Table]

    def get_fields(self) -> dict[str, Any]:
        """Return the fields of the table; those that a class declares take their place."""
        orthanc_id = serializers.CharField(help_text="Orthanc's id: five groups of eight hex digits.")
        return {"orthancId": orthanc_id, **self.table.fields(), **super().get_fields()}

    def to_representation(self, instance: R) -> dict[str, Any]:
        return self.table.read(instance, orthancId=instance.orthanc_id)


class PatientSerializer(LevelSerializer[Patient]):
    """A patient in a list, with the number of its studies."""

    table = Table({"patientId": "PatientID", "patientName": "PatientName"}, studiesCount=Patient.studies_count)


class StudySerializer(LevelSerializer[Study]):
    """A study in a list, with the number of its series."""

    table = Table(
        {
            "studyInstanceUID": "StudyInstanceUID",
            "description": "StudyDescription",
            "studyDate": "StudyDate",
        },
        seriesCount=Study.series_count,
    )


class SeriesSerializer(LevelSerializer[Series]):
    """A series in a list, with the number of its instances."""

    table = Table(
        {
            "seriesInstanceUID": "SeriesInstanceUID",
            "description": "SeriesDescription",
            "modality": "Modality",
            "seriesNumber": "SeriesNumber",
        },
        instancesCount=Series.instances_count,
    )


class InstanceSerializer(LevelSerializer[Instance]):
    """An instance. The values of its parents are its context, `series_table.read(series)`."""

    instanceNumberInt = serializers.IntegerField(
        allow_null=True, help_text="InstanceNumber as a number, null if it is not one."
    )

    table = Table(
        {
            "instanceNumber": "InstanceNumber",
            "sopInstanceUID": "SOPInstanceUID",
            "rows": "Rows",
            "columns": "Columns",
            "pixelSpacing": "PixelSpacing",
            "sliceThickness": "SliceThickness",
            "sliceLocation": "SliceLocation",
            "imagePositionPatient": "ImagePositionPatient",
        },
        instanceNumberInt=Instance.instance_number,
    )
    # of the series, as Orthanc keeps them from its first file: the file of an instance may have others
    series_table = Table(
        {
            "patientId": "PatientID",
            "patientName": "PatientName",
            "studyInstanceUID": "StudyInstanceUID",
            "seriesInstanceUID": "SeriesInstanceUID",
            "seriesNumber": "SeriesNumber",
        }
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), **self.series_table.fields()}

    def to_representation(self, instance: Instance) -> dict[str, Any]:
        values = super().to_representation(instance)
        values.update(self.context)
        return values


class FailedFileSerializer(serializers.Serializer[FailedFile]):
    """A file that was not stored."""

    index = serializers.IntegerField(min_value=0, help_text="Its position among `files`, or that of its ZIP.")
    name = serializers.CharField(help_text="Its name as sent, or its name in the ZIP.")
    seriesPath = serializers.CharField(source="series_path", help_text="The folder that it belongs to.")
    code = serializers.ChoiceField(
        choices=[code.value for code in UploadErrorCode], source="code.value", help_text="The reason, for programs."
    )
    message = serializers.CharField(help_text="The reason, for people.")


class UploadSerializer(serializers.Serializer[UploadResult]):
    """The result of an upload."""

    uploadKey = serializers.CharField(source="upload_key", help_text="Send it again to continue this upload.")
    patientId = serializers.CharField(source="patient_id", help_text="PatientID of the study.")
    studyUid = serializers.CharField(source="study_instance_uid", help_text="StudyInstanceUID of the study.")
    studyId = serializers.CharField(
        source="study_id", allow_null=True, help_text="Orthanc's id of the study; null if nothing was stored."
    )
    studyDescription = serializers.CharField(source="study_description", help_text="StudyDescription of the study.")
    uploaded = serializers.IntegerField(min_value=0, help_text="Number of files that this request stored.")
    alreadyStored = serializers.IntegerField(
        source="already_stored", min_value=0, help_text="Number of files that an earlier request had stored."
    )
    failedFiles = FailedFileSerializer(source="failed", many=True, help_text="The files that were not stored.")
    orthancSeriesIds = serializers.ListField(
        source="series_ids", child=serializers.CharField(), help_text="Orthanc's ids of the series of these files."
    )
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What a person should check, one sentence each."
    )


class ResourceSerializer(serializers.Serializer[ResourceRef]):
    """The level and id of a resource."""

    level = serializers.ChoiceField(choices=[level.value.lower() for level in Level], help_text="Its level.")
    orthancId = serializers.CharField(help_text="Orthanc's id.")

    def to_representation(self, instance: ResourceRef) -> dict[str, Any]:
        return {"level": instance.level.value.lower(), "orthancId": instance.orthanc_id}


class DeletionSerializer(serializers.Serializer[Deletion]):
    """The result of a deletion."""

    deleted = ResourceSerializer(help_text="The resource.")
    removedAncestors = ResourceSerializer(many=True, help_text="The parents that became empty, the nearest first.")
    remainingAncestor = ResourceSerializer(allow_null=True, help_text="The nearest remaining parent.")
    instancesCount = serializers.IntegerField(min_value=0, help_text="Number of deleted instances.")

    def to_representation(self, instance: Deletion) -> dict[str, Any]:
        deleted, *ancestors = (ResourceSerializer(one).data for one in instance.deleted)
        remaining = instance.remaining_ancestor
        return {
            "deleted": deleted,
            "removedAncestors": ancestors,
            "remainingAncestor": ResourceSerializer(remaining).data if remaining else None,
            "instancesCount": instance.instances_count,
        }


class ChangeSerializer(serializers.Serializer[LoggedChange]):
    """A change of a resource of the archive."""

    cursor = serializers.CharField(help_text="Its position in the log: the value of `after` for what follows.")
    kind = serializers.ChoiceField(
        choices=[kind.value for kind in Kind],
        help_text="`stable`: no instance was added for a while. `deleted`: with everything below it.",
    )
    level = serializers.ChoiceField(choices=[level.value.lower() for level in Level], help_text="Its level.")
    orthancId = serializers.CharField(help_text="Orthanc's id.")
    at = serializers.DateTimeField(help_text="When the gateway learned of it.")
    patientId = serializers.CharField(allow_null=True, help_text="PatientID; null if the gateway never knew it.")
    studyInstanceUID = serializers.CharField(
        allow_null=True, help_text="StudyInstanceUID; null for patients, and if the gateway never knew it."
    )

    def to_representation(self, instance: LoggedChange) -> dict[str, Any]:
        change = instance.change
        return {
            "cursor": str(instance.cursor),
            "kind": change.kind.value,
            "level": change.level.value.lower(),
            "orthancId": change.orthanc_id,
            "at": instance.at.isoformat(),
            "patientId": change.patient_id,
            "studyInstanceUID": change.study_instance_uid,
        }


class ChangePageSerializer(serializers.Serializer[ChangePage]):
    """A page of changes, oldest first."""

    changes = ChangeSerializer(many=True, help_text="There may be fewer than `limit`, or none, although more follow.")
    next = serializers.CharField(help_text="The value of `after` for the next page.")
    hasNext = serializers.BooleanField(help_text="Whether more changes follow now.")

    def to_representation(self, instance: ChangePage) -> dict[str, Any]:
        return {
            "changes": [ChangeSerializer().to_representation(one) for one in instance.changes],
            "next": str(instance.end),
            "hasNext": instance.has_next,
        }


class ErrorSerializer(serializers.Serializer[Any]):
    """The body of every response that reports an error."""

    detail = serializers.CharField(help_text="One sentence for the person who made the request.")
    code = serializers.CharField(help_text="The kind of error, for programs.")


class FailureSerializer(ErrorSerializer):
    """A failure of the gateway."""

    requestId = serializers.CharField(help_text="The id of the request in the gateway's log.")
