"""A route that is marked as an upload or a download gets the limits of one, wherever it is mounted."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from pytest_django import Settings

from orthancproxy.project.edge.body_limit import limit_bodies
from orthancproxy.project.edge.download_slots import limit_downloads
from orthancproxy.project.edge.marks import is_marked
from orthancproxy.project.edge.rejections import REJECTION


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def new_route(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


new_route.is_upload = new_route.is_download = True  # type: ignore[attr-defined]
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
        assert is_marked(scope_of(url), "is_upload") is expected
        assert is_marked(scope_of(url), "is_download") is expected

    def test_is_found_below_a_root_path(self) -> None:
        assert is_marked(scope_of("/prefix/new/", root_path="/prefix"), "is_upload")

    def test_is_found_below_a_forced_script_name(self, settings: Settings) -> None:
        settings.FORCE_SCRIPT_NAME = "/prefix"
        assert is_marked(scope_of("/prefix/new/"), "is_upload")


@pytest.mark.parametrize("slash", ["", "/"])
class TestRoutesOfTheGateway:
    @pytest.mark.parametrize(
        "url",
        [
            f"instances/{INSTANCE}/file",
            f"series/{INSTANCE}/archive",
            f"studies/{INSTANCE}/archive",
            f"patients/{INSTANCE}/archive",
        ],
    )
    def test_that_stream_from_orthanc_are_downloads(self, url: str, slash: str) -> None:
        assert is_marked(scope_of(f"/api/orthanc/{url}{slash}"), "is_download")

    @pytest.mark.parametrize("url", ["/graphql", "/api/orthanc/upload-patient"])
    def test_that_take_files_are_uploads(self, url: str, slash: str) -> None:
        assert is_marked(scope_of(url + slash), "is_upload")

    @pytest.mark.parametrize("url", ["patients", f"instances/{INSTANCE}/preview", f"instances/{INSTANCE}"])
    def test_that_answer_small_content_are_neither(self, url: str, slash: str) -> None:
        scope = scope_of(f"/api/orthanc/{url}{slash}")
        assert not is_marked(scope, "is_download")
        assert not is_marked(scope, "is_upload")


class TestNewRoute:
    @pytest.fixture(autouse=True)
    def _small_limits(self, settings: Settings) -> None:
        settings.ROOT_URLCONF = __name__
        settings.ORTHANC_MAX_UPLOAD_BYTES = 100
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 20
        settings.ORTHANC_MAX_DOWNLOADS = 1

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

    @pytest.mark.parametrize(
        ("method", "url", "at_once"),
        [("GET", "/new/", 1), ("GET", "/mounted/here/new", 1), ("GET", "/other/", 2), ("HEAD", "/new/", 2)],
    )
    def test_takes_a_download_slot(self, method: str, url: str, at_once: int) -> None:
        assert asyncio.run(concurrency(scope_of(url, method))) == at_once


async def concurrency(scope: dict[str, Any]) -> int:
    """Return how many of two requests reach the application at once."""
    running = most = 0

    async def application(*_: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    limited = limit_downloads(application)
    await asyncio.gather(*(limited(scope, None, None) for _ in range(2)))  # type: ignore[arg-type]
    return most


def test_a_download_without_a_slot_in_time_is_rejected(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.ORTHANC_MAX_DOWNLOADS = 1
    scopes: list[Mapping[str, Any]] = []

    async def run() -> None:
        ends = asyncio.Event()

        async def application(scope: dict[str, Any], *_: Any) -> None:
            scopes.append(scope)
            if REJECTION not in scope:
                await ends.wait()

        limited: Any = limit_downloads(application, max_wait_seconds=0.01)
        first = asyncio.ensure_future(limited(scope_of("/new/"), None, None))
        await asyncio.sleep(0)
        await limited(scope_of("/new/"), None, None)
        ends.set()
        await first
        await limited(scope_of("/new/"), None, None)

    asyncio.run(run())
    reasons = [scope.get(REJECTION) for scope in scopes]
    assert [getattr(reason, "code", None) for reason in reasons] == [None, "GATEWAY_UNAVAILABLE", None]
