"""The headers of downloads, also in a project without the gateway's middleware."""

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from orthancproxy.archive.storage import Content
from orthancproxy.http.streaming import stream
from orthancproxy.resolvers.downloads import Download

FILE = Download("Kim.dcm", '"u1"', Content.of(b"file", "application/dicom"), version="u1")


@pytest.mark.parametrize("method", ["get", "head"])
def test_browsers_do_not_interpret_a_download(method: str) -> None:
    response = stream(getattr(RequestFactory(), method)("/"), FILE)
    assert response["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "application/dicom"
    assert response["Content-Disposition"] == 'attachment; filename="Kim.dcm"'
    assert response["Content-Length"] == "4"
    assert response["ETag"] == '"u1"'


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "private, no-cache"),
        ("?v=u0", "private, no-cache"),
        ("?v=u1", "private, max-age=604800, immutable"),
    ],
)
def test_only_the_url_of_this_version_is_cached(query: str, expected: str) -> None:
    response = stream(RequestFactory().get(f"/{query}"), FILE)
    assert response["Cache-Control"] == expected
    assert ("Cookie" in response.get("Vary", "")) == ("immutable" in expected)


def test_a_download_without_a_version_is_never_immutable() -> None:
    download = Download("Kim.zip", None, Content.of(b"file", "application/zip"))
    assert stream(RequestFactory().get("/?v="), download)["Cache-Control"] == "private, no-cache"


def test_pages_of_other_origins_load_images_only_if_some_are_allowed(settings: Settings) -> None:
    assert stream(RequestFactory().get("/"), FILE)["Cross-Origin-Resource-Policy"] == "same-origin"
    settings.ORTHANC_CORS_ORIGINS = ["https://viewer.example.org"]
    assert stream(RequestFactory().get("/"), FILE)["Cross-Origin-Resource-Policy"] == "cross-origin"
