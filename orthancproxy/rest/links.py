"""Where an answer leads: links of the OpenAPI schema (OpenAPI 3.0.3, "Link Object"), by operation."""

from collections.abc import Mapping
from typing import Any

_FIRST = "$response.body#/0/orthancId"  # of a list
_OF_RESOURCE = "orthanc_id"

LINKS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "listPatients": {
        "listStudies": ("patient_id", _FIRST),
        "downloadPatient": (_OF_RESOURCE, _FIRST),
        "deletePatient": (_OF_RESOURCE, _FIRST),
    },
    "listStudies": {
        "listSeries": ("study_id", _FIRST),
        "downloadStudy": (_OF_RESOURCE, _FIRST),
        "deleteStudy": (_OF_RESOURCE, _FIRST),
    },
    "listSeries": {
        "listInstances": ("series_id", _FIRST),
        "downloadSeries": (_OF_RESOURCE, _FIRST),
        "thumbnailSeries": (_OF_RESOURCE, _FIRST),
        "deleteSeries": (_OF_RESOURCE, _FIRST),
    },
    "listInstances": {
        "downloadInstance": (_OF_RESOURCE, _FIRST),
        "previewInstance": (_OF_RESOURCE, _FIRST),
        "thumbnailInstance": (_OF_RESOURCE, _FIRST),
        "deleteInstance": (_OF_RESOURCE, _FIRST),
    },
    "uploadPatient": {
        "listStudies": ("patient_id", "$response.body#/patientId"),
        "listSeries": ("study_id", "$response.body#/studyId"),
        "listInstances": ("series_id", "$response.body#/orthancSeriesIds/0"),
        "downloadStudy": (_OF_RESOURCE, "$response.body#/studyId"),
        "deleteStudy": (_OF_RESOURCE, "$response.body#/studyId"),
    },
}
"""What can follow an operation that answered 200: the parameter of each, and where its value stands in the answer."""


def with_links(paths: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Put the links into the paths of a schema, and return them."""
    for operations in paths.values():
        for operation in operations.values():
            if followers := LINKS.get(operation["operationId"]):
                operation["responses"]["200"]["links"] = {
                    follower: {"operationId": follower, "parameters": {parameter: value}}
                    for follower, (parameter, value) in followers.items()
                }
    return paths
