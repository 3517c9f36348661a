"""The REST routes for deletion."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from orthancproxy.archive.levels import Level
from orthancproxy.resolvers.deletion import delete
from orthancproxy.rest import openapi
from orthancproxy.rest.serializers import DeletionSerializer
from orthancproxy.rest.views import GatewayView


class ResourceView(GatewayView):
    """A resource of the level given to `as_view`, which can be deleted."""

    level = Level.PATIENT
    schema = openapi.LevelSchema()

    @openapi.deletes
    def delete(self, request: Request, orthanc_id: str, **_: Any) -> Response:
        """Delete the resource, all below it, and the parents that become empty."""
        return Response(DeletionSerializer(delete(self.entered_context, self.level, orthanc_id)).data)
