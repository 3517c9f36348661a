"""Deleting by the REST contract."""

from typing import Any

from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers.deletion import delete
from orthancproxy.rest import openapi
from orthancproxy.rest.serializers import DeletionSerializer
from orthancproxy.rest.views import GatewayView


class ResourceView(GatewayView):
    """A resource of one level, which can be deleted."""

    level: Level

    def delete(self, request: Request, orthanc_id: str, **_: Any) -> Response:
        """Delete it."""
        return Response(DeletionSerializer(delete(self.asking, self.level, orthanc_id)).data)


@extend_schema_view(delete=openapi.deletes("deletePatient", "patient"))
class PatientView(ResourceView):
    """A patient."""

    level = Level.PATIENT


@extend_schema_view(delete=openapi.deletes("deleteStudy", "study"))
class StudyView(ResourceView):
    """A study."""

    level = Level.STUDY


@extend_schema_view(delete=openapi.deletes("deleteSeries", "series"))
class OneSeriesView(ResourceView):
    """A series."""

    level = Level.SERIES


@extend_schema_view(delete=openapi.deletes("deleteInstance", "instance"))
class InstanceView(ResourceView):
    """An instance."""

    level = Level.INSTANCE
