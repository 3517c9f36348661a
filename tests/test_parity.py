"""GraphQL and REST return the same data, for every field of the REST contract."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import hierarchy, instance, load

pytestmark = pytest.mark.live

QUERY = """{ patients(first: 1000) { nodes { orthancId tags(keywords: ["PatientID", "PatientName"]) studiesCount
    studies { orthancId studyInstanceUID tags(keywords: ["StudyDescription", "StudyDate"]) seriesCount
        series { orthancId seriesInstanceUID instancesCount
            tags(keywords: ["SeriesDescription", "Modality", "SeriesNumber"])
            instances { orthancId sopInstanceUID instanceNumber tags(keywords: ["InstanceNumber", "Rows", "Columns",
                "PixelSpacing", "SliceThickness", "SliceLocation", "ImagePositionPatient"]) } } } } } }"""


def _rest_fields(tags: dict[str, Any]) -> dict[str, Any]:
    """Return the tags under the field names of the REST contract."""
    names = {"PatientID": "patientId", "StudyDescription": "description", "SeriesDescription": "description"}
    return {names.get(keyword, keyword[0].lower() + keyword[1:]): value for keyword, value in tags.items()}


@pytest.fixture(scope="module")
def mixed_archive(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """Return an Orthanc with files that have all tags of the REST contract, and files that lack most of them."""
    orthanc = start_orthanc()
    load(orthanc, hierarchy(patients=2))
    bare = dict.fromkeys(
        """StudyDescription StudyDate StudyTime SeriesDescription SeriesNumber Modality InstanceNumber PixelSpacing
        SliceThickness SliceLocation ImagePositionPatient PatientName""".split()
    )
    load(orthanc, [instance(9, 1, 1, 1, **bare), instance(9, 1, 1, 2, PatientName="홍^길동", InstanceNumber="x7")])
    return orthanc


def test_graphql_and_rest_return_the_same_data(
    mixed_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(mixed_archive)
    client = Client()

    def rest(route: str, **parameters: str) -> list[dict[str, Any]]:
        response = client.get(f"/api/orthanc/{route}/", parameters)
        assert response.status_code == 200, response.content
        answer: list[dict[str, Any]] = response.json()
        return answer

    patients = graphql(QUERY)["patients"]["nodes"]
    assert len(patients) == 3
    assert rest("patients") == [_rest_object(patient, "studiesCount") for patient in patients]
    for patient in patients:
        studies = rest("studies", patient_id=patient["orthancId"])
        assert studies == [_rest_object(study, "seriesCount", "studyInstanceUID") for study in patient["studies"]]
        for study in patient["studies"]:
            series_list = rest("series", study_id=study["studyInstanceUID"])
            assert series_list == [
                _rest_object(series, "instancesCount", "seriesInstanceUID") for series in study["series"]
            ]
            for series in study["series"]:
                above = {
                    "patientId": patient["tags"]["PatientID"],
                    "patientName": patient["tags"]["PatientName"],
                    "studyInstanceUID": study["studyInstanceUID"],
                    "seriesInstanceUID": series["seriesInstanceUID"],
                    "seriesNumber": series["tags"]["SeriesNumber"],
                }
                assert rest("instances", series_id=series["orthancId"]) == [
                    {**_rest_object(one, "sopInstanceUID"), "instanceNumberInt": one["instanceNumber"], **above}
                    for one in series["instances"]
                ]


def _rest_object(node: dict[str, Any], *fields: str) -> dict[str, Any]:
    own = {field: node[field] for field in ("orthancId", *fields)}
    return own | _rest_fields(node["tags"])
