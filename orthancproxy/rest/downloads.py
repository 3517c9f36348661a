"""The REST routes for DICOM files, images and ZIPs."""

from collections.abc import Collection, Sequence
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from rest_framework.request import Request

from orthancproxy.archive.levels import Level
from orthancproxy.archive.rendering import MediaType
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.negotiation import preferred
from orthancproxy.resolvers import downloads
from orthancproxy.rest import openapi, streaming
from orthancproxy.rest.views import GatewayView

MEDIA_TYPES: Sequence[MediaType] = ("image/png", "image/jpeg")


class DownloadView(GatewayView):
    """A response that is streamed from Orthanc."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, which closes the response of Orthanc if the client disconnects before its own begins."""
        return streaming.closing_on_disconnect(super().as_view(**initkwargs))


class InstanceFileView(DownloadView):
    """The DICOM file of an instance."""

    @openapi.downloads(
        "downloadInstance",
        ("application/dicom",),
        "The DICOM file (PS3.10) as it is stored.",
        openapi.IF_NONE_MATCH,
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        download = downloads.get_file(
            self.entered_context,
            orthanc_id,
            if_none_match=_if_none_match(request),
            headers_only=request.method == "HEAD",
        )
        return streaming.stream(request._request, download)


class PreviewView(GatewayView):
    """A frame of an instance at full size."""

    @openapi.downloads(
        "previewInstance",
        MEDIA_TYPES,
        "A frame at full size, as PNG, or as JPEG if Accept prefers it.",
        openapi.FRAME,
        openapi.IF_NONE_MATCH,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        preview = downloads.get_preview(
            self.entered_context,
            orthanc_id,
            frame=_frame(request),
            media_type=_preferred(request),
            if_none_match=_if_none_match(request),
        )
        return _varying_by_accept(streaming.show(preview))


class ThumbnailView(GatewayView):
    """The thumbnail of an instance."""

    @openapi.downloads(
        "thumbnailInstance",
        MEDIA_TYPES,
        "The first frame, scaled down, as PNG, or as JPEG if Accept prefers it.",
        openapi.IF_NONE_MATCH,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        thumbnail = downloads.get_thumbnail(
            self.entered_context,
            orthanc_id,
            media_type=_preferred(request),
            if_none_match=_if_none_match(request),
        )
        return _varying_by_accept(streaming.show(thumbnail))


class SeriesThumbnailView(GatewayView):
    """The thumbnail of a series."""

    @openapi.downloads(
        "thumbnailSeries",
        MEDIA_TYPES,
        "The first frame of its middle instance, scaled down, as PNG, or as JPEG if Accept prefers it.",
        openapi.IF_NONE_MATCH,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        thumbnail = downloads.get_series_thumbnail(
            self.entered_context,
            orthanc_id,
            media_type=_preferred(request),
            if_none_match=_if_none_match(request),
        )
        return _varying_by_accept(streaming.show(thumbnail))


class ZipView(DownloadView):
    """A ZIP of all files below a resource of the level given to `as_view`."""

    level = Level.PATIENT
    schema = openapi.LevelSchema()

    @openapi.downloads(
        "download",
        ("application/zip",),
        "A ZIP of all DICOM files of the resource, created while it is sent.",
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        headers_only = request.method == "HEAD"
        download = downloads.get_zip(self.entered_context, self.level, orthanc_id, headers_only=headers_only)
        return streaming.stream(request._request, download)


def _frame(request: Request) -> int:
    value = request.query_params.get("frame", "0")
    if not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise InvalidRequest("The parameter frame must be a number from 0.")
    return int(value)


def _preferred(request: Request) -> MediaType:
    """Return PNG, unless Accept prefers JPEG: pages that fetch an image as JSON accept neither."""
    return preferred(request._request, MEDIA_TYPES)


def _if_none_match(request: Request) -> Collection[str]:
    return parse_etags(request.headers.get("If-None-Match", ""))


def _varying_by_accept(response: HttpResponseBase) -> HttpResponseBase:
    patch_vary_headers(response, ["Accept"])
    return response
