"""OpenAPI descriptions of the routes."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers

from orthancproxy.access import signed_urls
from orthancproxy.rest.serializers import (
    ChangePageSerializer,
    DeletionSerializer,
    ErrorSerializer,
    FailureSerializer,
    UploadSerializer,
)

View = TypeVar("View", bound=Callable[..., Any])


class LevelSchema(AutoSchema):
    """Adds the level of a view to the id of its operation: `deletePatient`."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation: Any = super().get_operation(*args, **kwargs)
        view: Any = self.view
        operation["operationId"] += view.level.value
        return operation


_ORTHANC_ID = "[0-9a-f]{8}(-[0-9a-f]{8}){4}"
_PATTERNS = {
    # an LO (PS3.5 section 6.2), which Orthanc's ids match too
    "PatientID": r"^[^\\\u0000-\u001f\u007f-\u009f]{1,64}$",
    "UID": f"^([0-9.]{{1,64}}|{_ORTHANC_ID})$",
}
ORTHANC_ID = OpenApiParameter(
    "orthanc_id",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    pattern=f"^{_ORTHANC_ID}$",
    description="Orthanc's id: five groups of eight hex digits.",
)


def in_query(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    """Return a query parameter."""
    # not OpenApiTypes.INT: its schema has no bounds
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=description)


_SIDE = {"type": "integer", "minimum": 1, "maximum": 2**16 - 1}
RENDERING = (
    in_query("frame", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 0}, "The frame, from 0."),
    in_query(
        "window-center", {"type": "number"}, "The centre of the window, in rescaled values, instead of the file's."
    ),
    in_query("window-width", {"type": "number", "minimum": 0, "exclusiveMinimum": True}, "The width of the window."),
    in_query("width", _SIDE, "Maximum width. A frame is scaled down, never up, and keeps its aspect ratio."),
    in_query("height", _SIDE, "Maximum height."),
    in_query("quality", {"type": "integer", "minimum": 1, "maximum": 100}, "The quality of a JPEG."),
)
VERSION = in_query(
    "v",
    {"type": "string", "maxLength": 64},
    "The version, as in `fileUrl` and `thumbnailUrl`: if it is the current one, the response is immutable.",
)
SIGNATURE = in_query(
    signed_urls.PARAMETER,
    {"type": "string", "maxLength": 2048},
    "The end of a signed URL of GraphQL (`fileUrl(signed: true)`), which works without other credentials.",
)
TRANSCODE = in_query(
    "transcode",
    {"type": "string", "pattern": r"^[0-9.]{1,64}$"},
    "The UID of a transfer syntax: Orthanc converts the file. What it cannot convert is an error, or in a ZIP as it is "
    "stored.",
)
_PROJECT = {"type": "string", "minLength": 1, "maxLength": 64}
_PSEUDONYM = {"type": "string", "pattern": r"^[!-\[\]-~]([ -\[\]-~]{0,62}[!-\[\]-~])?$"}
_FLAG = {"type": "string", "enum": ["true", "false"]}
ANONYMIZATION = (
    in_query("project", _PROJECT, "A project, in which each patient has one pseudonym."),
    in_query("patient-id", _PSEUDONYM, "The new PatientID; a random one by default."),
    in_query("patient-name", _PSEUDONYM, "The new PatientName; by default the PatientID."),
    in_query("shift-dates", _FLAG, "Move dates instead of removing them, and keep times."),
    in_query("keep-series-descriptions", _FLAG, "Keep SeriesDescription."),
    in_query("keep-device", _FLAG, "Keep what identifies the device."),
    in_query("include-burned-in", _FLAG, "Do not leave out instances with BurnedInAnnotation YES."),
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ETag of an earlier response; the response is 304 if it still matches.",
)
RANGES = (
    OpenApiParameter(
        "Range",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="A range such as `bytes=0-1023`, `bytes=1024-` or `bytes=-1024`: the response is 206. Several "
        "ranges are ignored: the response is the whole file.",
    ),
    OpenApiParameter(
        "If-Range",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The ETag of the file whose range is wanted: if it has changed, the response is the whole file.",
    ),
)
RESPONSE_HEADERS = (
    OpenApiParameter(
        "WWW-Authenticate",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        required=True,
        description="How to authenticate (RFC 6750).",
        response=[401],
    ),
    OpenApiParameter(
        "Retry-After",
        {"type": "integer", "minimum": 1},
        OpenApiParameter.HEADER,
        required=True,
        description="Seconds after which to try again.",
        response=[503],
    ),
    OpenApiParameter(
        "Cache-Control",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        required=True,
        description="`private`: shared caches must not store patient data.",
        response=[200],
    ),
)
_DOWNLOAD_HEADERS = (
    OpenApiParameter(
        "Content-Disposition",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        required=True,
        description="The file name, and whether to save or show the file.",
        response=[200],
    ),
    OpenApiParameter(
        "ETag",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The version, for If-None-Match; ZIPs have none.",
        response=[200],
    ),
)

_ERRORS = {
    400: "BAD_USER_INPUT: the request is invalid.",
    401: "UNAUTHENTICATED: log in, or send a token; or the token is invalid, and `detail` says why.",
    403: "FORBIDDEN: the caller lacks the permission. CSRF_FAILED: the request lacks the session's X-CSRFToken.",
    404: "NOT_FOUND: there is no such resource.",
    406: "NOT_ACCEPTABLE: the response is not available in a media type that Accept names; `detail` has those.",
    410: "CURSOR_EXPIRED: the log no longer has all changes after the cursor: read the archive anew.",
    413: "LIMIT_EXCEEDED: more files or bytes than one request may upload.",
    415: "NOT_RENDERABLE, NOT_TRANSCODABLE: Orthanc cannot render or convert this instance; `detail` says why.",
    416: "RANGE_NOT_SATISFIABLE: the file is shorter; Content-Range says how long it is.",
    502: "ARCHIVE_ERROR: Orthanc rejected the call, or its response is unexpected.",
    503: "ARCHIVE_UNAVAILABLE: Orthanc is unreachable or busy; GATEWAY_UNAVAILABLE: the gateway's own database "
    "is, or all download slots are in use. Retry-After says when to try again.",
    504: "ARCHIVE_UNAVAILABLE: Orthanc did not answer in time.",
    507: "INSUFFICIENT_STORAGE: the gateway has no disk space left for the upload; send it again later.",
}
_ALWAYS = (401, 403, 502, 503, 504)


def identifier(name: str, keyword: str) -> OpenApiParameter:
    """Return a required `*_id` parameter."""
    return OpenApiParameter(
        name,
        {"type": "string", "pattern": _PATTERNS.get(keyword, _PATTERNS["UID"])},
        OpenApiParameter.QUERY,
        required=True,
        description=f"Orthanc's id, or else the {keyword}, matched exactly.",
    )


def lists(
    operation_id: str,
    serializer: type[serializers.Serializer[Any]],
    summary: str,
    parameter: OpenApiParameter | None = None,
) -> Callable[[View], View]:
    """Describe a route that returns a list."""
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description="DICOM values are text as stored, or null if they are absent or empty.",
        tags=["hierarchy"],
        parameters=[*([parameter] if parameter else []), *RESPONSE_HEADERS],
        responses={200: serializer(many=True), **error_responses((400, 404) if parameter else ())},
    )


def downloads(
    operation_id: str,
    media_types: Iterable[str],
    summary: str,
    *parameters: OpenApiParameter,
    errors: Iterable[int] = (),
) -> Callable[[View], View]:
    """Describe a route that returns a file or an image."""
    answers: dict[Any, Any] = {
        (200, media_type): OpenApiResponse(OpenApiTypes.BINARY, summary) for media_type in media_types
    }
    if RANGES[0] in parameters:
        answers |= {
            (206, media_type): OpenApiResponse(OpenApiTypes.BINARY, "The range, as Content-Range says.")
            for media_type in media_types
        }
    if IF_NONE_MATCH in parameters:
        answers[304] = OpenApiResponse(description="If-None-Match matches.")
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description="Patient data: cache it privately only. HEAD returns the headers.",
        tags=["downloads"],
        parameters=[ORTHANC_ID, *parameters, *_DOWNLOAD_HEADERS, *RESPONSE_HEADERS],
        responses={**answers, **error_responses((400, 404, *errors))},
    )


def changes(view: View) -> View:
    """Describe the route of changes."""
    described: Callable[[View], View] = extend_schema(
        operation_id="listChanges",
        summary="The changes of the archive, oldest first.",
        description="As text/event-stream, the changes as they happen: the data of each event is one change, and its "
        "id is the cursor, which browsers send as Last-Event-ID when they connect again. An event `error` is the last "
        "one. Without `after`, a page begins with the oldest change in the log, and a stream with the next one.",
        tags=["changes"],
        parameters=[
            in_query("after", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "The cursor of the change before."),
            in_query(
                "limit",
                {"type": "integer", "minimum": 0, "maximum": 1000, "default": 100},
                "Maximum number of changes on a page; a stream has none.",
            ),
            OpenApiParameter(
                "Last-Event-ID",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="The id of the last event of an earlier stream, which counts instead of `after`.",
            ),
            *RESPONSE_HEADERS,
        ],
        responses={
            (200, "application/json"): ChangePageSerializer,
            (200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, "Server-sent events."),
            **error_responses((400, 410, 413)),
        },
    )
    return described(view)


def deletes(view: View) -> View:
    """Describe a route that deletes a resource."""
    described: Callable[[View], View] = extend_schema(
        operation_id="delete",
        summary="Delete the resource, all below it, and the parents that become empty.",
        description="A resource that another request has already deleted is NOT_FOUND.",
        tags=["deletion"],
        parameters=[ORTHANC_ID, *RESPONSE_HEADERS],
        responses={200: DeletionSerializer, **error_responses((400, 404))},
    )
    return described(view)


def upload(view: View) -> View:
    """Describe the upload route."""
    form = {
        "type": "object",
        "required": ["patient_id", "files"],
        "properties": {
            "patient_id": {
                "type": "string",
                "minLength": 1,
                "maxLength": 64,
                "description": "PatientID (an LO) of the new study.",
            },
            "patient_name": {"type": "string", "description": "PatientName (a PN). Default: patient_id."},
            "study_description": {
                "type": "string",
                "maxLength": 64,
                "description": "StudyDescription (an LO). Default: that of the files, if they agree.",
            },
            "upload_key": {
                "type": "string",
                "maxLength": 128,
                "description": "The same key gives the same study and UIDs: send a folder in parts, or a part again.",
            },
            "files": {
                "type": "array",
                "items": {"type": "string", "format": "binary"},
                "minItems": 1,
                "description": "DICOM files, or ZIPs of them.",
            },
            "series_path": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The folder of each file, in their order; a folder becomes a series for each modality.",
            },
        },
    }
    described: Callable[[View], View] = extend_schema(
        operation_id="uploadPatient",
        summary="Store the files of a folder as one new study of a patient.",
        description="Each file is uploaded, already stored (by an earlier request with the same key), or failed.",
        tags=["upload"],
        parameters=list(RESPONSE_HEADERS),
        request={"multipart/form-data": form},
        responses={
            200: OpenApiResponse(UploadSerializer, "At least one file is stored."),
            (400, "application/json"): PolymorphicProxySerializer(
                component_name="UploadFailure",
                serializers=[UploadSerializer, ErrorSerializer],
                resource_type_field_name=None,
            ),
            **error_responses((413, 507)),
        },
    )
    return described(view)


def error_responses(statuses: Iterable[int]) -> dict[Any, OpenApiResponse]:
    """Return the responses of these statuses, and of those that every route has."""
    described = {
        (status, "application/json"): OpenApiResponse(ErrorSerializer, _ERRORS[status])
        for status in (*statuses, *_ALWAYS)
    }
    described[500, "application/json"] = OpenApiResponse(FailureSerializer, "INTERNAL: the gateway failed.")
    return described
