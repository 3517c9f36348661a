"""The REST routes for DICOM files, images and ZIPs."""

from collections.abc import Sequence
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from orthancproxy.archive import parsing
from orthancproxy.archive.levels import Level
from orthancproxy.archive.rendering import MediaType, Rendering
from orthancproxy.archive.windows import Window
from orthancproxy.errors import InvalidRequest
from orthancproxy.http import streaming
from orthancproxy.http.negotiation import preferred
from orthancproxy.resolvers import downloads, images
from orthancproxy.resolvers.images import MAX_FRAME
from orthancproxy.rest import openapi
from orthancproxy.rest.views import GatewayView

MAX_SIDE = 2**16 - 1  # Rows and Columns are 16-bit numbers
MEDIA_TYPES: Sequence[MediaType] = ("image/png", "image/jpeg")


class DownloadView(GatewayView):
    """A response that is streamed from Orthanc."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, which closes the response of Orthanc if the client disconnects before its own begins."""
        return streaming.closing_on_disconnect(super().as_view(**initkwargs))


class InstanceFileView(DownloadView):
    """The DICOM file of an instance."""

    parameters = (openapi.VERSION.name, openapi.SIGNATURE.name, openapi.TRANSCODE.name)
    ignores_others = True

    @openapi.downloads(
        "downloadInstance",
        ("application/dicom",),
        "The DICOM file (PS3.10) as it is stored.",
        openapi.VERSION,
        openapi.SIGNATURE,
        openapi.IF_NONE_MATCH,
        *openapi.RANGES,
        openapi.TRANSCODE,
        errors=(415, 416),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        wanted = streaming.download_request(request._request)
        transfer_syntax = request.query_params.get(openapi.TRANSCODE.name)
        download = downloads.get_file(self.entered_context, orthanc_id, wanted, transfer_syntax)
        return streaming.stream(request._request, download)


class PreviewView(DownloadView):
    """A frame of an instance."""

    parameters = (*(parameter.name for parameter in openapi.RENDERING), openapi.VERSION.name, openapi.SIGNATURE.name)

    @openapi.downloads(
        "previewInstance",
        MEDIA_TYPES,
        "A frame, at full size by default, as PNG, or as JPEG if Accept prefers it.",
        *openapi.RENDERING,
        openapi.VERSION,
        openapi.SIGNATURE,
        openapi.IF_NONE_MATCH,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        preview = images.get_preview(
            self.entered_context,
            orthanc_id,
            rendering=_rendering(request),
            wanted=streaming.download_request(request._request),
        )
        return varying_by_accept(streaming.stream(request._request, preview, is_saved=False))


class ThumbnailView(DownloadView):
    """The thumbnail of an instance."""

    parameters = (openapi.VERSION.name, openapi.SIGNATURE.name)

    @openapi.downloads(
        "thumbnailInstance",
        MEDIA_TYPES,
        "The first frame, scaled down, as PNG, or as JPEG if Accept prefers it.",
        openapi.VERSION,
        openapi.SIGNATURE,
        openapi.IF_NONE_MATCH,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        thumbnail = images.get_thumbnail(
            self.entered_context,
            orthanc_id,
            rendering=images.thumbnail(_preferred(request)),
            wanted=streaming.download_request(request._request),
        )
        return varying_by_accept(streaming.stream(request._request, thumbnail, is_saved=False))


class SeriesThumbnailView(DownloadView):
    """The thumbnail of a series."""

    parameters = (openapi.VERSION.name, openapi.SIGNATURE.name)

    @openapi.downloads(
        "thumbnailSeries",
        MEDIA_TYPES,
        "The first frame of its middle instance, scaled down, as PNG, or as JPEG if Accept prefers it.",
        openapi.VERSION,
        openapi.SIGNATURE,
        openapi.IF_NONE_MATCH,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        thumbnail = images.get_series_thumbnail(
            self.entered_context,
            orthanc_id,
            rendering=images.thumbnail(_preferred(request)),
            wanted=streaming.download_request(request._request),
        )
        return varying_by_accept(streaming.stream(request._request, thumbnail, is_saved=False))


class ZipView(DownloadView):
    """A ZIP of all files below a resource of the level given to `as_view`."""

    level = Level.PATIENT
    schema = openapi.LevelSchema()
    parameters = (openapi.SIGNATURE.name, openapi.TRANSCODE.name)

    @openapi.downloads(
        "download",
        ("application/zip",),
        "A ZIP of all DICOM files of the resource, created while it is sent.",
        openapi.SIGNATURE,
        openapi.TRANSCODE,
        errors=(415,),
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        wanted = streaming.download_request(request._request)
        transfer_syntax = request.query_params.get(openapi.TRANSCODE.name)
        download = downloads.get_zip(self.entered_context, self.level, orthanc_id, wanted, transfer_syntax)
        return streaming.stream(request._request, download)


def _rendering(request: Request) -> Rendering:
    center, width = _decimal(request, "window-center"), _decimal(request, "window-width")
    if (center is None) is not (width is None):
        raise InvalidRequest("Give both window-center and window-width.")
    if width is not None and width <= 0:
        raise InvalidRequest("The parameter window-width must be above 0.")
    return Rendering(
        _whole(request, "frame", 0, MAX_FRAME) or 0,
        _preferred(request),
        None if center is None or width is None else Window(center, width),
        _whole(request, "width", 1, MAX_SIDE),
        _whole(request, "height", 1, MAX_SIDE),
        _whole(request, "quality", 1, 100),
    )


def _whole(request: Request, name: str, least: int, most: int) -> int | None:
    value = request.query_params.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and least <= int(value) <= most):
        raise InvalidRequest(f"The parameter {name} must be a whole number from {least} to {most}.")
    return int(value)


def _decimal(request: Request, name: str) -> float | None:
    value = request.query_params.get(name)
    number = parsing.decimal(value)
    if value is not None and number is None:
        raise InvalidRequest(f"The parameter {name} must be a number.")
    return number


def _preferred(request: Request) -> MediaType:
    """Return PNG, unless Accept prefers JPEG: pages that fetch an image as JSON accept neither."""
    return preferred(request._request, MEDIA_TYPES)


def varying_by_accept(response: HttpResponseBase) -> HttpResponseBase:
    """Return the response, which caches must not give to a client that accepts something else."""
    patch_vary_headers(response, ["Accept"])
    return response
