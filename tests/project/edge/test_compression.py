"""Long JSON is compressed where the client takes gzip, and nothing else is."""

import asyncio
import gzip

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from orthancproxy.project.edge.compression import MIN_BYTES, Compression

LONG = b'["' + b"0123456789" * (MIN_BYTES // 10) + b'"]'
JSON = "application/json"


def through(response: HttpResponseBase, accept_encoding: str | None = "gzip, deflate, br") -> HttpResponseBase:
    """The response as it leaves the middleware, which does the same on the event loop and without one."""
    headers = {} if accept_encoding is None else {"Accept-Encoding": accept_encoding}
    request = RequestFactory().get("/", headers=headers)

    async def respond(_: HttpRequest) -> HttpResponseBase:
        return response

    async def answer() -> HttpResponseBase:
        compressed: HttpResponseBase = await Compression(respond)(request)  # type: ignore[misc]
        return compressed

    return asyncio.run(answer())


@pytest.mark.parametrize(
    "media_type", [JSON, "application/graphql-response+json; charset=utf-8", "application/vnd.oai.openapi+json"]
)
def test_long_json_is_compressed(media_type: str) -> None:
    response = through(HttpResponse(LONG, content_type=media_type))
    assert isinstance(response, HttpResponse)
    assert gzip.decompress(response.content) == LONG
    assert response["Content-Encoding"] == "gzip"
    assert response["Content-Length"] == str(len(response.content))
    assert response["Vary"] == "Accept-Encoding"


def test_long_json_is_compressed_without_an_event_loop() -> None:
    request = RequestFactory().get("/", headers={"Accept-Encoding": "gzip"})
    response = Compression(lambda _: HttpResponse(LONG, content_type=JSON))(request)
    assert isinstance(response, HttpResponse)
    assert gzip.decompress(response.content) == LONG


@pytest.mark.parametrize("accepted", [None, "", "identity", "br", "gzip;q=0", "gzip; q=0.0, br", "x-gzipped"])
def test_response_is_not_compressed_unless_gzip_is_accepted(accepted: str | None) -> None:
    response = through(HttpResponse(LONG, content_type=JSON), accepted)
    assert isinstance(response, HttpResponse)
    assert response.content == LONG
    assert not response.has_header("Content-Encoding")
    # a cache may have it for others
    assert response["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["gzip", "br;q=1, GZIP;q=0.5", "gzip;q=0.05"])
def test_response_is_compressed_if_gzip_is_accepted(accepted: str) -> None:
    assert through(HttpResponse(LONG, content_type=JSON), accepted)["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(LONG[: MIN_BYTES - 1], content_type=JSON),
        HttpResponse(LONG, content_type="image/png"),
        HttpResponse(LONG, content_type="application/dicom"),
        HttpResponse(LONG, content_type="application/json", headers={"Content-Encoding": "br"}),
        StreamingHttpResponse([LONG], content_type=JSON),
        FileResponse([LONG], content_type="application/zip"),
    ],
    ids=["short", "picture", "file", "compressed", "stream", "archive"],
)
def test_other_responses_are_unchanged(response: HttpResponseBase) -> None:
    before = dict(response.headers)
    assert through(response) is response
    assert response.headers == before
