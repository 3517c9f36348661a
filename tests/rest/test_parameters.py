"""Query parameters that a route does not know, or gets more than once."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.conftest import UseOrthanc
from tests.rest.conftest import Gallery

pytestmark = pytest.mark.live


@pytest.fixture
def ids(gallery: Gallery, use_orthanc: UseOrthanc) -> dict[str, str]:
    """Orthanc's ids of an instance and of the resources above it."""
    use_orthanc(gallery.orthanc)
    [patient] = [one for one in get("patients/") if one["patientId"] == "CT_small"]
    [study] = get("studies/", patient_id="CT_small")
    [series] = get("series/", study_id=study["orthancId"])
    return {
        "patient": patient["orthancId"],
        "study": study["orthancId"],
        "series": series["orthancId"],
        "instance": gallery.ids["CT_small"],
    }


def content(path: str, **query: str) -> bytes:
    response = Client().get(f"/api/orthanc/{path}", query)
    assert response.status_code == 200
    found: bytes = response.getvalue()
    return found


def get(path: str, **query: str) -> Any:
    return json.loads(content(path, **query))


LEGACY = [
    "patients/?",
    "studies/?patient_id=CT_small&",
    "series/?study_id={study}&",
    "instances/?series_id={series}&",
    "instances/{instance}/file/?",
]
OTHERS = [
    *("instances/{instance}/preview/", "instances/{instance}/thumbnail/", "series/{series}/thumbnail/"),
    *("patients/{patient}/archive/", "studies/{study}/archive/", "series/{series}/archive/"),
]
DELETED = ["patients/{patient}/", "studies/{study}/", "series/{series}/", "instances/{instance}/"]


@pytest.mark.parametrize("path", LEGACY)
@pytest.mark.parametrize("other", ["_=1764349200000", "format=json", "t=1&t=2", "="])
def test_legacy_routes_ignore_what_frontends_add(ids: dict[str, str], path: str, other: str) -> None:
    path = path.format(**ids)
    assert content(f"{path}{other}") == content(path)


@pytest.mark.parametrize("path", OTHERS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_other_routes_reject_unknown_parameters(ids: dict[str, str], path: str, method: str) -> None:
    path = f"/api/orthanc/{path.format(**ids)}"
    known = Client().generic(method, path)
    known.close()
    assert known.status_code == 200
    response = Client().generic(method, f"{path}?compress=1")
    assert response.status_code == 400
    if method == "GET":
        assert response.json() == {"detail": "There is no parameter 'compress'.", "code": "BAD_USER_INPUT"}


@pytest.mark.parametrize("path", DELETED)
def test_nothing_is_deleted_if_a_parameter_is_unknown(ids: dict[str, str], path: str) -> None:
    path = f"/api/orthanc/{path.format(**ids)}"
    response = Client().delete(f"{path}?dryRun=true")
    assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")
    assert "CT_small" in {one["patientId"] for one in get("patients/")}


def test_nothing_is_stored_if_a_parameter_is_unknown(ids: dict[str, str], gallery: Gallery) -> None:
    form = {"patient_id": "unknown", "files": SimpleUploadedFile("a.dcm", gallery.files["CT_small"])}
    response = Client().post("/api/orthanc/upload-patient/?study_description=x", form)
    assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")
    assert "unknown" not in {one["patientId"] for one in get("patients/")}


@pytest.mark.parametrize(
    "path",
    [
        "studies/?patient_id=CT_small&patient_id=MR_small",
        "series/?study_id={study}&study_id={study}",
        "instances/?series_id={series}&series_id=",
        "instances/{instance}/file/?v=1&v=2",
        "instances/{instance}/preview/?frame=0&frame=1",
    ],
)
def test_a_parameter_that_is_sent_twice_is_rejected(ids: dict[str, str], path: str) -> None:
    response = Client().get(f"/api/orthanc/{path.format(**ids)}")
    assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")
    assert response.json()["detail"].endswith(" was sent more than once.")
