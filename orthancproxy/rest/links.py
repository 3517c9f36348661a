"""Links between operations in the OpenAPI document (OpenAPI 3.0.3, "Link Object")."""

from collections.abc import Mapping
from typing import Any

_FIRST_ID = "$response.body#/0/orthancId"  # of a list
_ID_PARAMETER = "orthanc_id"

LINKS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "listPatients": {
        "listStudies": ("patient_id", _FIRST_ID),
        "downloadPatient": (_ID_PARAMETER, _FIRST_ID),
        "deletePatient": (_ID_PARAMETER, _FIRST_ID),
    },
    "listStudies": {
        "listSeries": ("study_id", _FIRST_ID),
        "downloadStudy": (_ID_PARAMETER, _FIRST_ID),
        "deleteStudy": (_ID_PARAMETER, _FIRST_ID),
    },
    "listSeries": {
        "listInstances": ("series_id", _FIRST_ID),
        "downloadSeries": (_ID_PARAMETER, _FIRST_ID),
        "thumbnailSeries": (_ID_PARAMETER, _FIRST_ID),
        "deleteSeries": (_ID_PARAMETER, _FIRST_ID),
    },
    "listInstances": {
        "downloadInstance": (_ID_PARAMETER, _FIRST_ID),
        "previewInstance": (_ID_PARAMETER, _FIRST_ID),
        "thumbnailInstance": (_ID_PARAMETER, _FIRST_ID),
        "deleteInstance": (_ID_PARAMETER, _FIRST_ID),
    },
    "uploadPatient": {
        "listStudies": ("patient_id", "$response.body#/patientId"),
        "listSeries": ("study_id", "$response.body#/studyId"),
        "listInstances": ("series_id", "$response.body#/orthancSeriesIds/0"),
        "downloadStudy": (_ID_PARAMETER, "$response.body#/studyId"),
        "deleteStudy": (_ID_PARAMETER, "$response.body#/studyId"),
    },
}
"""The operations that can follow a response of 200: for each, its parameter, and where the response has the value."""


def with_links(paths: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Add the links to the paths of an OpenAPI document, and return the paths."""
    for operations in paths.values():
        for operation in operations.values():
            if followers := LINKS.get(operation["operationId"]):
                operation["responses"]["200"]["links"] = {
                    follower: {"operationId": follower, "parameters": {parameter: value}}
                    for follower, (parameter, value) in followers.items()
                }
    return paths
