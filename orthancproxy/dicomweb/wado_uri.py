"""WADO-URI (PS3.18 section 9): the file of an instance, or a rendered frame, by query parameters."""

from collections.abc import Mapping

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from orthancproxy.archive.pictures import MediaType
from orthancproxy.archive.rendering import Region, Rendering
from orthancproxy.archive.uid_path import UIDPath, check_uid
from orthancproxy.archive.windows import Window
from orthancproxy.dicomweb import image_openapi
from orthancproxy.dicomweb.rendering_parameters import MAX_SIDE, MEDIA_TYPES, decimal, whole, window
from orthancproxy.dicomweb.views import DicomwebView, accept_of
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.media_types import best, parse_accept
from orthancproxy.http.streaming import download_request, stream
from orthancproxy.resolvers import downloads, images
from orthancproxy.resolvers.images import MAX_FRAME
from orthancproxy.rest.downloads import DownloadView, varying_by_accept

DICOM = "application/dicom"
UIDS = ("studyUID", "seriesUID", "objectUID")
OF_IMAGES = ("frameNumber", "rows", "columns", "region", "windowCenter", "windowWidth")
"""The parameters that a file cannot have."""
UNSUPPORTED = ("annotation", "anonymize", "presentationUID", "presentationSeriesUID")


class WadoURIView(DownloadView, DicomwebView):
    """The file of an instance, or a frame of it."""

    parameters = ("requestType", *UIDS, "contentType", *OF_IMAGES, "imageQuality", "transferSyntax", *UNSUPPORTED)

    @image_openapi.wado_uri
    def get(self, request: Request) -> HttpResponseBase:
        query = request.query_params
        if query.get("requestType") != "WADO":
            raise InvalidRequest("The parameter requestType must be WADO.")
        for name in UNSUPPORTED:
            if name in query:
                raise InvalidRequest(f"The parameter {name} is not supported.")
        path = UIDPath(*(check_uid(_required(query, name)) for name in UIDS))
        # browsers and Java send media types in Accept that they know nothing of
        chosen = best(parse_accept(query.get("contentType") or accept_of(request._request)), [*MEDIA_TYPES, DICOM])
        wanted = download_request(request._request)
        if chosen == DICOM:
            for name in OF_IMAGES:
                if name in query:
                    raise InvalidRequest(f"The parameter {name} is for images: ask for one by contentType.")
            syntax = query.get("transferSyntax")
            download = downloads.get_file(self.entered_context, path, wanted, None if syntax == "*" else syntax)
            return varying_by_accept(stream(request._request, download))
        rendering = _rendering(query, "image/png" if chosen == "image/png" else "image/jpeg")
        download = images.get_preview(self.entered_context, path, rendering=rendering, wanted=wanted)
        return varying_by_accept(stream(request._request, download, is_saved=False))


def _required(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise InvalidRequest(f"The parameter {name} is missing.")
    return query[name]


def _rendering(query: Mapping[str, str], media_type: MediaType) -> Rendering:
    center, width = query.get("windowCenter"), query.get("windowWidth")
    chosen: Window | None = None
    if center is not None and width is not None:
        chosen = window(decimal("windowCenter", center), decimal("windowWidth", width))
    elif center is not None or width is not None:
        raise InvalidRequest("Give both windowCenter and windowWidth.")
    columns, rows = (whole(name, query.get(name), 1, MAX_SIDE) for name in ("columns", "rows"))
    return Rendering(
        (whole("frameNumber", query.get("frameNumber"), 1, MAX_FRAME) or 1) - 1,
        media_type,
        chosen,
        columns,
        rows,
        whole("imageQuality", query.get("imageQuality"), 1, 100),
        region=_region(query.get("region")),
        is_enlarged=columns is not None or rows is not None,
    )


def _region(text: str | None) -> Region | None:
    """Parse `left,top,right,bottom` from 0.0 to 1.0 (PS3.18 section 9.5.1.2.4)."""
    if text is None:
        return None
    values = [decimal("region", value) for value in text.split(",")[:5]]
    if len(values) != 4 or not (0 <= values[0] < values[2] <= 1 and 0 <= values[1] < values[3] <= 1):
        raise InvalidRequest("The parameter region must be left,top,right,bottom: numbers from 0 to 1.")
    left, top, right, bottom = values
    return Region(left, top, right - left, bottom - top, is_relative=True)
