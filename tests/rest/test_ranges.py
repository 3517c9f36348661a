"""Ranges of files (RFC 9110, section 14): the same bytes from every Orthanc, also from those that have no ranges."""

from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from pytest_django import Settings

from orthancproxy.audit.models import AuditEvent, Viewing
from tests.conftest import UseOrthanc
from tests.log_capture import logged
from tests.rest.conftest import INSTANCE, FalseOrthanc, Gallery, send


def get(address: str, **headers: str) -> Any:
    return Client().get(address, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.live
class TestRange:
    @pytest.fixture(autouse=True)
    def _archive(self, gallery: Gallery, use_orthanc: UseOrthanc) -> None:
        use_orthanc(gallery.orthanc)

    @pytest.fixture
    def file(self, gallery: Gallery) -> bytes:
        return gallery.files["CT_small"]

    @pytest.fixture
    def address(self, gallery: Gallery) -> str:
        return gallery.address("CT_small", "file")

    @pytest.mark.parametrize(
        ("wanted", "part"),
        [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=128-131", slice(128, 132)),
            ("Bytes= 1000-", slice(1000, None)),
            ("bytes=-100", slice(-100, None)),
            ("bytes=-99999999", slice(None)),
            ("bytes=0-99999999999999999999", slice(None)),
        ],
    )
    def test_is_a_part_of_the_file(self, wanted: str, part: slice, file: bytes, address: str) -> None:
        response = get(address, Range=wanted)
        expected = file[part]
        first = part.indices(len(file))[0]
        assert (response.status_code, response.getvalue()) == (206, expected)
        assert response["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(file)}"
        assert response["Content-Length"] == str(len(expected))
        assert response["Content-Type"] == "application/dicom"
        assert response["ETag"] == Client().head(address)["ETag"]

    @pytest.mark.parametrize("beyond", ["bytes={}-", "bytes={}-99999999", "bytes=-0"])
    def test_beyond_the_end_is_an_error_with_the_length(self, beyond: str, file: bytes, address: str) -> None:
        response = get(address, Range=beyond.format(len(file)))
        assert (response.status_code, response.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert response["Content-Range"] == f"bytes */{len(file)}"

    @pytest.mark.parametrize(
        "wanted",
        ["bytes=0-1,5-6", "bytes=9-2", "bytes=-", "bytes=", "bytes=a-b", "bytes=1", "lines=0-1", "bytes=٣-٤", "0-1"],
    )
    def test_that_is_malformed_or_several_is_ignored(self, wanted: str, file: bytes, address: str) -> None:
        response = get(address, Range=wanted)
        assert (response.status_code, response.getvalue()) == (200, file)
        assert "Content-Range" not in response

    def test_of_another_file_is_ignored(self, file: bytes, address: str) -> None:
        etag = Client().head(address)["ETag"]
        assert get(address, Range="bytes=0-9", If_Range=etag).getvalue() == file[:10]
        for other in ('"another"', f"W/{etag}", "Sat, 28 Nov 2026 10:00:00 GMT"):
            response = get(address, Range="bytes=0-9", If_Range=other)
            assert (response.status_code, response.getvalue()) == (200, file)

    def test_of_what_the_client_has_is_not_sent(self, address: str) -> None:
        etag = Client().head(address)["ETag"]
        assert get(address, Range="bytes=0-9", If_None_Match=etag).status_code == 304

    def test_is_ignored_by_head(self, file: bytes, address: str) -> None:
        response = Client().head(address, headers={"Range": "bytes=0-9"})
        assert (response.status_code, response["Content-Length"]) == (200, str(len(file)))
        assert response["Accept-Ranges"] == "bytes"

    def test_is_sent_by_asgi(self, file: bytes, address: str) -> None:
        async def part() -> bytes:
            response: Any = await AsyncClient().get(address, headers={"Range": "bytes=5-2000"})
            assert response.is_async
            return b"".join([piece async for piece in response])

        assert async_to_sync(part)() == file[5:2001]

    @pytest.mark.django_db(transaction=True)
    def test_many_of_one_file_are_one_viewing(self, file: bytes, address: str) -> None:
        for first in range(0, 500, 100):
            assert get(address, Range=f"bytes={first}-{first + 99}").getvalue() == file[first : first + 100]
        assert [(event.event, event.outcome) for event in AuditEvent.objects.all()] == [("TRANSFERRED", "INTENDED")]
        assert Viewing.objects.get().transfers == 5


class TestFalseOrthanc:
    """What Orthancs do on their own only: its file is `bytes`."""

    @pytest.fixture
    def data(self, false_orthanc: FalseOrthanc, settings: Settings) -> FalseOrthanc:
        settings.ORTHANC_BASE_URL = false_orthanc.base_url
        return false_orthanc

    def _serve(self, data: FalseOrthanc, body: bytes, content_range: str) -> list[str | None]:
        asked: list[str | None] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            asked.append(handler.headers["Range"])
            if not content_range:
                send(handler, body)
                return
            handler.send_response(206)
            handler.send_header("Content-Length", str(len(body)))
            handler.send_header("Content-Range", content_range)
            handler.end_headers()
            handler.wfile.write(body)

        data.answers[f"/instances/{INSTANCE}/attachments/dicom/data"] = answer
        return asked

    @pytest.mark.parametrize(("body", "content_range"), [(b"te", "bytes 2-3/5"), (b"bytes", "")])
    def test_only_the_range_is_requested_of_orthanc(self, body: bytes, content_range: str, data: FalseOrthanc) -> None:
        asked = self._serve(data, body, content_range)
        response = get(f"/api/orthanc/instances/{INSTANCE}/file/", Range="bytes=2-3")
        assert (response.status_code, response.getvalue()) == (206, b"te")
        assert asked == ["bytes=2-3"]

    @pytest.mark.parametrize(
        ("body", "content_range"),
        [(b"te", "bytes 2-3/6"), (b"yt", "bytes 1-2/5"), (b"longer", ""), (b"tes", "bytes 2-3/5")],
    )
    def test_part_of_another_file_is_an_error(self, body: bytes, content_range: str, data: FalseOrthanc) -> None:
        self._serve(data, body, content_range)
        with logged():
            response = get(f"/api/orthanc/instances/{INSTANCE}/file/", Range="bytes=2-3")
        assert (response.status_code, response.json()["code"]) == (502, "ARCHIVE_ERROR")
