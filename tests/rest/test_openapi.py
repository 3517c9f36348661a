"""The OpenAPI schema describes every route, and its page works with no Internet."""

import re
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.urls import include
from django.urls import path as route
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, spectacular_settings
from pytest_django import Settings
from rest_framework.response import Response
from rest_framework.views import APIView

ROUTES = {
    "/api/orthanc/patients/",
    "/api/orthanc/studies/",
    "/api/orthanc/series/",
    "/api/orthanc/instances/",
    "/api/orthanc/instances/{orthanc_id}/file/",
    "/api/orthanc/instances/{orthanc_id}/preview/",
    "/api/orthanc/instances/{orthanc_id}/thumbnail/",
    "/api/orthanc/patients/{orthanc_id}/",
    "/api/orthanc/studies/{orthanc_id}/",
    "/api/orthanc/series/{orthanc_id}/",
    "/api/orthanc/instances/{orthanc_id}/",
    "/api/orthanc/patients/{orthanc_id}/archive/",
    "/api/orthanc/studies/{orthanc_id}/archive/",
    "/api/orthanc/studies/{orthanc_id}/anonymized/",
    "/api/orthanc/series/{orthanc_id}/archive/",
    "/api/orthanc/series/{orthanc_id}/thumbnail/",
    "/api/orthanc/changes/",
    "/api/orthanc/upload-patient/",
}


def test_openapi_document_is_valid() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


@pytest.mark.parametrize(("accept", "media_type"), [("*/*", "application/vnd.oai.openapi"), ("application/json",) * 2])
def test_openapi_document_is_rendered_once(accept: str, media_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Client().get("/api/orthanc/schema/", headers={"Accept": accept})
    assert first["Content-Type"] == media_type
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *_: pytest.fail("it is rendered again"))
    assert Client().get("/api/orthanc/schema/", headers={"Accept": accept}).content == first.content


class TestDocument:
    @pytest.fixture
    def schema(self) -> dict[str, Any]:
        response = Client().get("/api/orthanc/schema/")
        assert response.status_code == 200
        schema: dict[str, Any] = yaml.safe_load(response.content)
        return schema

    def test_has_every_route_once(self, schema: dict[str, Any]) -> None:
        assert set(schema["paths"]) == ROUTES

    def test_has_every_response(self, schema: dict[str, Any]) -> None:
        for path, operations in schema["paths"].items():
            [operation] = operations.values()
            answers = operation["responses"]
            expected = {"200", "401", "403", "500", "502", "503", "504"}
            if path.endswith("upload-patient/"):
                expected |= {"400", "413", "507"}
            elif path.endswith("changes/"):
                expected |= {"400", "410", "413"}
            elif path != "/api/orthanc/patients/":
                expected |= {"400", "404"}
            if path.endswith(("file/", "preview/", "thumbnail/")):
                expected |= {"304"}
            if path.endswith(("preview/", "thumbnail/")):
                expected |= {"415"}
            if path.endswith("file/"):
                expected |= {"206", "415", "416"}
            if path.endswith("archive/"):
                expected |= {"415"}
            assert set(answers) == expected, path

    def test_read_only_routes_have_only_get(self, schema: dict[str, Any]) -> None:
        methods = {path: set(operations) for path, operations in schema["paths"].items()}
        changes = {path.removeprefix("/api/orthanc/"): of for path, of in methods.items() if of != {"get"}}
        deleted = {f"{level}/{{orthanc_id}}/": {"delete"} for level in ("patients", "studies", "series", "instances")}
        assert changes == {"upload-patient/": {"post"}, **deleted}

    def test_has_the_parameters_of_the_contract(self, schema: dict[str, Any]) -> None:
        for path, name in (("studies", "patient_id"), ("series", "study_id"), ("instances", "series_id")):
            [parameter] = schema["paths"][f"/api/orthanc/{path}/"]["get"]["parameters"]
            assert (parameter["name"], parameter["in"], parameter["required"]) == (name, "query", True)

    def test_operation_ids_are_unique(self, schema: dict[str, Any]) -> None:
        names = [
            operation["operationId"] for operations in schema["paths"].values() for operation in operations.values()
        ]
        assert len(set(names)) == len(ROUTES)


@pytest.mark.parametrize("mount", ["/api/orthanc/", "/dicom-web/"])
def test_page_loads_nothing_from_other_hosts(mount: str) -> None:
    response = Client().get(f"{mount}docs/")
    assert response.status_code == 200
    page = response.content.decode()
    *files, script = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(files) >= 4
    assert all(re.fullmatch(r"/static/drf_spectacular_sidecar/.+", address) for address in files)
    assert not re.search(r"https?://", page)
    # the policy allows no script in the page
    assert script == f"{mount}docs/?script="
    answer = Client().get(script)
    assert answer["Content-Type"] == "application/javascript"
    # a script has another form of the hyphen
    assert f'"{mount}schema/"' in answer.text.replace(r"\u002D", "-")


class OfTheProject(APIView):
    def get(self, request: object) -> Response:
        return Response()


urlpatterns = [route("archive/", include("orthancproxy.urls")), route("other/", OfTheProject.as_view())]


class TestInAnotherProject:
    @pytest.fixture(autouse=True)
    def _project(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.ROOT_URLCONF = __name__
        # spectacular reads SPECTACULAR_SETTINGS once, at the start
        for name in ("TITLE", "DESCRIPTION", "VERSION", "SWAGGER_UI_DIST", "SWAGGER_UI_FAVICON_HREF"):
            monkeypatch.setattr(spectacular_settings, name, SPECTACULAR_DEFAULTS[name])

    def test_page_loads_nothing_from_other_hosts(self) -> None:
        page = Client().get("/archive/docs/").content.decode()
        assert not re.search(r"https?://", page)
        assert "<title>Orthanc gateway</title>" in page

    def test_document_describes_only_the_gateway(self) -> None:
        schema = yaml.safe_load(Client().get("/archive/schema/").content)
        assert set(schema["paths"]) == {address.replace("/api/orthanc/", "/archive/") for address in ROUTES}
        assert schema["info"]["title"] == "Orthanc gateway"


@pytest.mark.parametrize("mount", ["/api/orthanc/", "/dicom-web/"])
def test_mount_point_redirects_to_the_documentation(mount: str) -> None:
    answer = Client().get(mount)
    assert (answer.status_code, answer["Location"]) == (302, "docs/")
    assert Client().get(mount, follow=True).status_code == 200
