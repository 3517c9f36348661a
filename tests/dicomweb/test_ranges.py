"""Ranges over DICOMweb: a file has them by WADO-URI, and what is made for a request has none."""

import pytest
from django.test import Client

from tests.conftest import UseOrthanc
from tests.dicomweb.conftest import PARTS, STORED, Shelf, get

pytestmark = pytest.mark.live

FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.fixture(autouse=True)
def _archive(shelf: Shelf, use_orthanc: UseOrthanc) -> None:
    use_orthanc(shelf.orthanc)


class TestFileByWadoURI:
    @pytest.fixture
    def file(self, shelf: Shelf) -> bytes:
        return shelf.files["CT_small"]

    @pytest.fixture
    def url(self, shelf: Shelf) -> str:
        one = shelf.datasets["CT_small"]
        uids = f"studyUID={one.StudyInstanceUID}&seriesUID={one.SeriesInstanceUID}&objectUID={one.SOPInstanceUID}"
        return f"/dicom-web/wado?requestType=WADO&{uids}&contentType=application/dicom"

    @pytest.mark.parametrize(
        ("wanted", "part"),
        [
            ("bytes=128-131", slice(128, 132)),
            ("bytes=1000-", slice(1000, None)),
            ("bytes=-100", slice(-100, None)),
            ("bytes=0-99999999", slice(None)),
        ],
    )
    def test_has_ranges(self, url: str, file: bytes, wanted: str, part: slice) -> None:
        response = get(url, Range=wanted)
        first, end, _ = part.indices(len(file))
        assert (response.status_code, response.getvalue()) == (206, file[part])
        assert response["Content-Range"] == f"bytes {first}-{end - 1}/{len(file)}"
        assert response["Accept-Ranges"] == "bytes"

    def test_range_beyond_its_end_is_an_error_with_its_length(self, url: str, file: bytes) -> None:
        response = get(url, Range=f"bytes={len(file)}-")
        assert (response.status_code, response.json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert response["Content-Range"] == f"bytes */{len(file)}"

    def test_range_of_another_version_is_the_whole_file(self, url: str, file: bytes) -> None:
        etag = Client().head(url)["ETag"]
        assert get(url, **{"Range": "bytes=0-9", "If-Range": etag}).getvalue() == file[:10]
        response = get(url, **{"Range": "bytes=0-9", "If-Range": '"another"'})
        assert (response.status_code, response.getvalue()) == (200, file)

    def test_image_has_none(self, url: str) -> None:
        _assert_whole(url.replace("application/dicom", "image/png"))


@pytest.mark.parametrize(
    ("below", "accept"),
    [
        ("", FILES),
        ("", "application/dicom; transfer-syntax=*"),
        ("/frames/1", STORED),
        ("/frames/1", "application/octet-stream; transfer-syntax=*"),
        ("/bulkdata/7FE00010", PARTS),
        ("/bulkdata/7FE00010", "application/octet-stream"),
        ("/metadata", "application/dicom+json"),
        ("/rendered", "image/png"),
        ("/thumbnail", "image/png"),
    ],
)
def test_resources_have_none(shelf: Shelf, below: str, accept: str) -> None:
    _assert_whole(f"{shelf.url('CT_small')}{below}", accept)


@pytest.mark.parametrize("level", ["studies", "series"])
def test_files_of_several_instances_have_none(shelf: Shelf, level: str) -> None:
    _assert_whole(shelf.url("CT_small", level), FILES)


def _assert_whole(url: str, accept: str | None = None) -> None:
    expected: bytes = get(url, accept).getvalue()
    for wanted in ("bytes=0-9", "bytes=-1", "bytes=99999999-", "bytes=0-1,5-6"):
        response = get(url, accept, Range=wanted)
        assert (response.status_code, response.getvalue()) == (200, expected)
        assert response["Accept-Ranges"] == "none"
        assert "Content-Range" not in response
