"""A route that is marked as an upload gets the limits of one, wherever it is mounted."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from pytest_django import Settings

from orthancproxy.http.asgi import is_upload_route
from orthancproxy.project.edge.body_limit import limit_bodies
from orthancproxy.project.edge.rejections import REJECTION


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def new_route(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


new_route.is_upload = True  # type: ignore[attr-defined]
routes = [path("new", new_route), path("new/", new_route), path("other/", view)]
urlpatterns = [*routes, path("mounted/<str:where>/", include(routes))]
INSTANCE = "22222222-22222222-22222222-22222222-22222222"


def scope_of(url: str, method: str = "GET", **scope: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": url, "headers": [], **scope}


class TestMark:
    @pytest.fixture(autouse=True)
    def _routes(self, settings: Settings) -> None:
        settings.ROOT_URLCONF = __name__

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("/new", True),
            ("/new/", True),
            ("/mounted/here/new", True),
            ("/mounted/here/new/", True),
            ("/other/", False),
            ("/new/er", False),
            ("/unknown/new", False),
            ("/", False),
            ("", False),
        ],
    )
    def test_is_that_of_the_view_at_the_path(self, url: str, expected: bool) -> None:
        assert is_upload_route(scope_of(url)) is expected

    def test_is_found_below_a_root_path(self) -> None:
        assert is_upload_route(scope_of("/prefix/new/", root_path="/prefix"))

    def test_is_found_below_a_forced_script_name(self, settings: Settings) -> None:
        settings.FORCE_SCRIPT_NAME = "/prefix"
        assert is_upload_route(scope_of("/prefix/new/"))


@pytest.mark.parametrize("slash", ["", "/"])
class TestRoutesOfTheGateway:
    @pytest.mark.parametrize("url", ["/graphql", "/api/orthanc/upload-patient"])
    def test_that_take_files_are_uploads(self, url: str, slash: str) -> None:
        assert is_upload_route(scope_of(url + slash))

    @pytest.mark.parametrize("url", ["patients", f"instances/{INSTANCE}/file", f"instances/{INSTANCE}"])
    def test_that_take_no_files_are_not(self, url: str, slash: str) -> None:
        assert not is_upload_route(scope_of(f"/api/orthanc/{url}{slash}"))


class TestNewRoute:
    @pytest.fixture(autouse=True)
    def _small_limits(self, settings: Settings) -> None:
        settings.ROOT_URLCONF = __name__
        settings.ORTHANC_MAX_UPLOAD_BYTES = 100
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 20

    @pytest.mark.parametrize(
        ("url", "is_rejected"), [("/new", False), ("/mounted/here/new/", False), ("/other/", True)]
    )
    def test_has_the_limit_of_an_upload(self, url: str, is_rejected: bool) -> None:
        seen: list[Mapping[str, Any]] = []

        async def application(scope: dict[str, Any], *_: Any) -> None:
            seen.append(scope)

        headers = [(b"content-type", b"multipart/form-data; boundary=b"), (b"content-length", b"90")]

        async def run() -> None:
            scope = scope_of(url, "POST", headers=headers)
            await limit_bodies(application)(scope, None, None)  # type: ignore[arg-type]

        asyncio.run(run())
        assert [REJECTION in scope for scope in seen] == [is_rejected]
