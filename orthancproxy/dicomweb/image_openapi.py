"""OpenAPI descriptions of the DICOMweb routes that return images."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from orthancproxy.dicomweb.openapi import ACCEPT
from orthancproxy.dicomweb.rendering_parameters import MAX_SIDE
from orthancproxy.rest.openapi import IF_NONE_MATCH, RANGES, RESPONSE_HEADERS, error_responses, in_query

View = TypeVar("View", bound=Callable[..., Any])

IMAGES = ("image/jpeg", "image/png")

_SIDE = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
_QUALITY = {"type": "integer", "minimum": 1, "maximum": 100}
_UID = {"type": "string", "pattern": "^[0-9A-Za-z._-]{1,64}$"}
_VIEWPORT = in_query(
    "viewport",
    {"type": "string", "pattern": "^[1-9][0-9]{0,3},[1-9][0-9]{0,3}$"},
    "Width and height that the image fills without distortion; of rendered images, also a region of the source: "
    "`vw,vh,sx,sy,sw,sh` (PS3.18 section 8.3.5.1.3).",
)
_RENDERED = (
    _VIEWPORT,
    in_query(
        "window",
        {"type": "string", "pattern": "^-?[0-9]{1,4},[1-9][0-9]{0,4},(linear|linear-exact|sigmoid)$"},
        "Center, width and function of the window, instead of the file's (PS3.18 section 8.3.5.1.4).",
    ),
    in_query("quality", _QUALITY, "The quality of a JPEG."),
    in_query("iccprofile", {"type": "string", "enum": ["no"]}, "Images have no colour profile."),
    ACCEPT,
)
_WADO_URI = (
    *(
        OpenApiParameter(name, schema, OpenApiParameter.QUERY, required=True, description=description)
        for name, schema, description in (
            ("requestType", {"type": "string", "enum": ["WADO"]}, "Always `WADO`."),
            ("studyUID", _UID, "The StudyInstanceUID."),
            ("seriesUID", _UID, "The SeriesInstanceUID."),
            ("objectUID", _UID, "The SOPInstanceUID."),
        )
    ),
    in_query("contentType", {"type": "string", "enum": [*IMAGES, "application/dicom"]}, "Default: by Accept, a JPEG."),
    in_query("frameNumber", {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, "The frame; 1 by default."),
    in_query("rows", _SIDE, "The height into which the image is scaled, up or down, without distortion."),
    in_query("columns", _SIDE, "The width likewise."),
    in_query(
        "region",
        {"type": "string", "pattern": r"^0\.[0-4],0\.[0-4],0\.[5-9],0\.[5-9]$"},
        "Left, top, right and bottom of the part to show, from 0.0 to 1.0.",
    ),
    in_query("windowCenter", {"type": "number"}, "The center of a linear window, instead of the file's."),
    in_query("windowWidth", {"type": "number", "minimum": 1}, "Its width."),
    in_query("imageQuality", _QUALITY, "The quality of a JPEG."),
    in_query(
        "transferSyntax",
        {"type": "string", "pattern": r"^(\*|1\.2\.840\.10008\.1\.2(\.1)?)$"},
        "The transfer syntax of a file (Orthanc 1.12.2); default: as it is stored, as for `*`.",
    ),
)


def renders(view: View) -> View:
    """Describe a route of rendered images."""
    summary = "Rendered images (PS3.18 section 10.4.1.1.2): one, or several as the parts of a message."
    return _images("render", summary, _RENDERED, (*IMAGES, "multipart/related"), (400, 404, 406, 413, 415))(view)


def thumbnails(view: View) -> View:
    """Describe a route of a thumbnail."""
    summary = "A small image that stands for the resource (PS3.18 section 10.4.1.1.3)."
    return _images("retrieveThumbnail", summary, (_VIEWPORT, ACCEPT), IMAGES, (400, 404, 406, 415))(view)


def wado_uri(view: View) -> View:
    """Describe the route of WADO-URI."""
    summary = "An instance, or an image of one of its frames (WADO-URI, PS3.18 section 9)."
    media_types = (*IMAGES, "application/dicom")
    return _images("wadoURI", summary, (*_WADO_URI, *RANGES), media_types, (400, 404, 406, 415, 416))(view)


def _images(
    operation_id: str,
    summary: str,
    parameters: Collection[OpenApiParameter],
    media_types: Iterable[str],
    errors: Iterable[int],
) -> Callable[[View], View]:
    answers = {(200, media_type): OpenApiResponse(OpenApiTypes.BINARY, summary) for media_type in media_types}
    if RANGES[0] in parameters:
        answers[206, "application/dicom"] = OpenApiResponse(OpenApiTypes.BINARY, "The range of the file.")
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description="HEAD returns the headers.",
        tags=["images"],
        parameters=[*parameters, IF_NONE_MATCH, *RESPONSE_HEADERS],
        responses={
            **answers,
            304: OpenApiResponse(description="If-None-Match matches."),
            **error_responses(tuple(errors)),
        },
    )
