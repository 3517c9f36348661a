"""Deletion, which the standard leaves to servers."""

from django.http import HttpResponse
from rest_framework.request import Request

from orthancproxy.dicomweb import openapi
from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.resolvers.deletion import delete_at


class DeletableView(DicomwebView):
    """A study, series or instance, which can be deleted."""

    @openapi.deletes
    def delete(self, request: Request, **_: str) -> HttpResponse:
        """Delete the resource, all below it, and the parents that become empty."""
        delete_at(self.entered_context, self.path)
        response = HttpResponse(status=204)
        del response["Content-Type"]
        return response
