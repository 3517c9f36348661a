"""What is no id is refused before Orthanc hears of it, on every route and parameter."""

from urllib.parse import quote

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.resolvers.context import connect
from tests.rest.conftest import HARMLESS_CALL, INSTANCE, FalseOrthanc

HOSTILE = (
    "../system",
    "..%2fsystem",
    "%2e%2e/tools/reset?x=",
    "..",
    ".",
    "/",
    "//evil.example/",
    "..\\system",
    "..;/system",
    "%00",
    "\0",
    f"{INSTANCE}\0",
    f"{INSTANCE}\n",
    f"{INSTANCE}/../../system",
    f"{INSTANCE}%2f..%2f..%2fsystem",
    f"{INSTANCE}?x=",
    f"{INSTANCE}#",
    INSTANCE.replace("2", "G"),
    INSTANCE.replace("2", "２"),
    "a" * 10_000,
    "9" * 10_000,
    "\ud7ff\U0010ffff",
    "' OR 1=1 --",
)
PATHS = (
    "instances/{}/file/",
    "instances/{}/preview/",
    "instances/{}/thumbnail/",
    "patients/{}/archive/",
    "studies/{}/archive/",
    "series/{}/archive/",
)
PARAMETERS = (("studies/", "patient_id"), ("series/", "study_id"), ("instances/", "series_id"))


@pytest.fixture(autouse=True)
def _archive(settings: Settings, false_orthanc: FalseOrthanc) -> None:
    settings.ORTHANC_BASE_URL = false_orthanc.base_url
    connect().capabilities()
    false_orthanc.asked.clear()


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: ascii(hostile)[:30])
class TestHostileIds:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("encode", [False, True])
    def test_hostile_id_in_a_path_does_not_reach_orthanc(
        self, path: str, encode: bool, hostile: str, false_orthanc: FalseOrthanc
    ) -> None:
        # the test client leaves a plain line break out
        written = quote(hostile, safe="") if encode else hostile.replace("\n", "%0a")
        response = Client().get("/api/orthanc/" + path.format(written))
        if not encode and hostile.startswith((f"{INSTANCE}?", f"{INSTANCE}#")):
            # the path ends there: it is that of the instance, which can only be deleted
            assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        else:
            assert response.status_code in (400, 404)
            assert response.json()["code"] in ("BAD_USER_INPUT", "NOT_FOUND")
        assert false_orthanc.asked == []

    @pytest.mark.parametrize("level", ["patients", "studies", "series", "instances"])
    def test_hostile_id_of_a_deletion_does_not_reach_orthanc(
        self, level: str, hostile: str, false_orthanc: FalseOrthanc
    ) -> None:
        response = Client().delete(f"/api/orthanc/{level}/{quote(hostile, safe='')}/")
        assert response.status_code in (400, 404)
        assert response.json()["code"] in ("BAD_USER_INPUT", "NOT_FOUND")
        assert false_orthanc.asked == []

    @pytest.mark.parametrize(("address", "parameter"), PARAMETERS)
    def test_hostile_id_in_a_parameter_does_not_reach_orthanc_urls(
        self, address: str, parameter: str, hostile: str, false_orthanc: FalseOrthanc
    ) -> None:
        response = Client().get(f"/api/orthanc/{address}", {parameter: hostile})
        assert response.status_code in (400, 404)
        assert response.json()["code"] in ("BAD_USER_INPUT", "NOT_FOUND")
        # an odd PatientID is looked for, in the body of a find and by a hash
        assert all(map(HARMLESS_CALL.fullmatch, false_orthanc.asked))
