"""OpenAPI descriptions of the DICOMweb routes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from orthancproxy.rest.openapi import IF_NONE_MATCH, RESPONSE_HEADERS, error_responses, in_query

View = TypeVar("View", bound=Callable[..., Any])

_UID = {"type": "string", "pattern": "^[0-9A-Za-z._-]{1,64}$"}
_UIDS = {
    name: OpenApiParameter(name, _UID, OpenApiParameter.PATH, description=f"The {keyword}.")
    for name, keyword in (
        ("study_uid", "StudyInstanceUID"),
        ("series_uid", "SeriesInstanceUID"),
        ("instance_uid", "SOPInstanceUID"),
    )
}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_ELEMENT = {
    "type": "object",
    "required": ["vr"],
    "properties": {"vr": {"type": "string", "minLength": 2, "maxLength": 2}, "Value": {"type": "array", "items": {}}},
}
DATA_SET: Mapping[str, Any] = {"type": "object", "additionalProperties": _ELEMENT}
"""A data set in the DICOM JSON model."""
DATA_SETS: Mapping[str, Any] = {"type": "array", "items": DATA_SET}
"""A list in the DICOM JSON model."""
FRAMES = OpenApiParameter(
    "frames",
    {"type": "string", "pattern": "^[1-9][0-9]*(,[1-9][0-9]*)*$"},
    OpenApiParameter.PATH,
    description="The numbers of frames, each once, in any order.",
)
ATTRIBUTE = OpenApiParameter(
    "attribute",
    {"type": "string", "pattern": "^([0-9A-Fa-f]{8}/[1-9][0-9]*/)*[0-9A-Fa-f]{8}$"},
    OpenApiParameter.PATH,
    description="The tag of an attribute, after the tags of the sequences that it is in and the numbers of the items.",
)
ACCEPT = in_query("accept", {"type": "string"}, "Media types that count instead of those in the header Accept.")


class OperationSchema(AutoSchema):
    """Adds the resource of a view to the id of its operation, `searchStudies`, and describes the UIDs in its path."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation: Any = super().get_operation(*args, **kwargs)
        view: Any = self.view
        operation["operationId"] += view.resource
        return operation

    def get_override_parameters(self) -> list[Any]:
        """Return the described parameters, and those of the path."""
        return [*super().get_override_parameters(), *(uid for name, uid in _UIDS.items() if f"{{{name}}}" in self.path)]


def searches(view: View) -> View:
    """Describe a route that searches."""
    headers = (
        OpenApiParameter(
            "X-Total-Count",
            _WHOLE,
            OpenApiParameter.HEADER,
            description="The number of all results, where the gateway knows it.",
            response=[200],
        ),
        OpenApiParameter(
            "Warning",
            OpenApiTypes.STR,
            OpenApiParameter.HEADER,
            description="299, for parameters that were ignored, and for results that the gateway has cut.",
            response=[200],
        ),
    )
    described: Callable[[View], View] = extend_schema(
        operation_id="search",
        summary="Search (PS3.18 section 10.6).",
        description="Attributes to match are further query parameters, by keyword or tag: `PatientID=`, `00100020=`.",
        tags=["search"],
        parameters=[
            in_query("includefield", {"type": "string"}, "Further attributes, separated by commas; or `all`."),
            in_query("limit", _WHOLE, "Maximum number of results; at most 10,000 are returned."),
            in_query("offset", _WHOLE, "Number of results to skip."),
            in_query("fuzzymatching", {"type": "boolean"}, "Not supported: a warning is returned for `true`."),
            ACCEPT,
            *headers,
            *RESPONSE_HEADERS,
        ],
        responses={
            **{
                (200, media_type): OpenApiResponse(dict(DATA_SETS), "The results.")
                for media_type in ("application/dicom+json", "application/json")
            },
            **error_responses((400, 406, 413)),
        },
    )
    return described(view)


def retrieves(
    operation_id: str, media_types: Iterable[str], summary: str, *parameters: OpenApiParameter
) -> Callable[[View], View]:
    """Describe a route that retrieves a resource in the form that Accept asks for."""
    sent = {(200, media_type): OpenApiResponse(OpenApiTypes.BINARY, summary) for media_type in media_types}
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description="Patient data: cache it privately only. HEAD returns the headers.",
        tags=["retrieval"],
        parameters=[*parameters, ACCEPT, IF_NONE_MATCH, *RESPONSE_HEADERS],
        responses={
            **sent,
            304: OpenApiResponse(description="If-None-Match matches."),
            **error_responses((400, 404, 406)),
        },
    )


def retrieves_metadata(view: View) -> View:
    """Describe a route that retrieves metadata."""
    described: Callable[[View], View] = extend_schema(
        operation_id="retrieveMetadata",
        summary="The attributes of all instances (PS3.18 section 10.4.1.1.2); binary values are URIs.",
        tags=["retrieval"],
        parameters=[ACCEPT, IF_NONE_MATCH, *RESPONSE_HEADERS],
        responses={
            **{
                (200, media_type): OpenApiResponse(dict(DATA_SETS), "The attributes of each instance.")
                for media_type in ("application/dicom+json", "application/json")
            },
            304: OpenApiResponse(description="If-None-Match matches."),
            **error_responses((400, 404, 406)),
        },
    )
    return described(view)


def deletes(view: View) -> View:
    """Describe a route that deletes a resource."""
    described: Callable[[View], View] = extend_schema(
        operation_id="deleteDicomweb",
        summary="Delete the resource, all below it, and the parents that become empty.",
        tags=["deletion"],
        parameters=list(RESPONSE_HEADERS),
        responses={204: OpenApiResponse(description="It is deleted."), **error_responses((400, 404))},
    )
    return described(view)


def stores(view: View) -> View:
    """Describe a route that stores files."""
    results = (
        (200, "All files are stored."),
        (202, "Some files are stored; others failed, or are stored already."),
        (409, "No file is stored."),
    )
    file = {"type": "string", "format": "binary"}
    described: Callable[[View], View] = extend_schema(
        operation_id="store",
        summary="Store DICOM files under their own UIDs (PS3.18 section 10.5).",
        tags=["storage"],
        parameters=[ACCEPT, *RESPONSE_HEADERS],
        request={"multipart/related": {"type": "object", "properties": {"file": file}}, "application/dicom": file},
        responses={
            **{
                (status, media_type): OpenApiResponse(dict(DATA_SET), description)
                for status, description in results
                for media_type in ("application/dicom+json", "application/json")
            },
            **error_responses((400, 406, 413, 415, 507)),
        },
    )
    return described(view)
