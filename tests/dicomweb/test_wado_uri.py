"""WADO-URI (PS3.18 section 9): the URLs of older viewers, and what cannot be done."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from orthancproxy.orthanc.calls import recording
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc
from tests.rest.conftest import encoded, shipped

pytestmark = pytest.mark.live

URL = "/dicom-web/wado"
FILE = instance(patient=7)
CLIP = encoded(shipped("examples_ybr_color"))
# what Java sends without being told otherwise, and so Weasis does
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.fixture(scope="module")
def orthanc(start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_session_orthanc()
    load(orthanc, [FILE, CLIP])
    return orthanc


@pytest.fixture(autouse=True)
def _archive(orthanc: LocalOrthanc, use_orthanc: UseOrthanc) -> Iterator[None]:
    cache.clear()
    use_orthanc(orthanc)
    yield
    cache.clear()


def named(file: bytes = FILE) -> dict[str, str]:
    dataset = dcmread(BytesIO(file), stop_before_pixels=True)
    return {
        "requestType": "WADO",
        "studyUID": dataset.StudyInstanceUID,
        "seriesUID": dataset.SeriesInstanceUID,
        "objectUID": dataset.SOPInstanceUID,
    }


def ask(file: bytes = FILE, accept: str = "*/*", /, **query: str) -> Any:
    return Client().get(URL, {**named(file), **query}, headers={"Accept": accept})


def picture(file: bytes = FILE, /, **query: str) -> Image.Image:
    response = ask(file, "*/*", contentType="image/png", **query)
    assert response.status_code == 200, response.content
    return Image.open(BytesIO(response.getvalue()), formats=["PNG"])


class TestFile:
    @pytest.mark.parametrize("query", [{}, {"transferSyntax": "*"}, {"imageQuality": "70"}, {"charset": "UTF-8"}])
    def test_is_as_stored(self, query: dict[str, str]) -> None:
        """Cornerstone's `wadouri:` URL, and what Weasis adds to it."""
        response = ask(contentType="application/dicom", **query)
        assert response.status_code == 200
        assert response["Content-Type"] == "application/dicom"
        assert response.getvalue() == FILE

    def test_is_in_the_transfer_syntax_that_is_asked_for_if_orthanc_converts_it(self) -> None:
        response = ask(contentType="application/dicom", transferSyntax=ImplicitVRLittleEndian)
        if connect().capabilities().is_since(1, 12, 2):
            assert dcmread(BytesIO(response.getvalue())).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        else:
            assert (response.status_code, set(response.json())) == (415, {"detail", "code"})

    @pytest.mark.parametrize("syntax", ["", "1.2.3", "x", "**"])
    def test_has_no_unknown_transfer_syntax(self, syntax: str) -> None:
        assert ask(contentType="application/dicom", transferSyntax=syntax).status_code in (400, 415)

    def test_is_what_is_accepted_only(self) -> None:
        assert ask(FILE, "application/dicom").getvalue() == FILE

    @pytest.mark.parametrize("name", ["frameNumber", "rows", "columns", "region", "windowCenter", "windowWidth"])
    def test_has_no_parameters_of_images(self, name: str) -> None:
        response = ask(contentType="application/dicom", **{name: "1"})
        assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")


class TestImage:
    @pytest.mark.parametrize("accept", ["*/*", JAVA, "image/webp,*/*;q=0.8", "image/jpeg"])
    def test_is_a_jpeg_unless_something_else_is_asked_for(self, accept: str) -> None:
        response = ask(FILE, accept)
        assert response["Content-Type"] == "image/jpeg"
        assert Image.open(BytesIO(response.getvalue())).size == (8, 8)

    def test_is_what_weasis_shows_of_a_series(self) -> None:
        response = ask(FILE, JAVA, contentType="image/jpeg", imageQuality="70", rows="256", columns="256")
        assert Image.open(BytesIO(response.getvalue()), formats=["JPEG"]).size == (256, 256)

    def test_has_the_content_type_that_is_asked_for_first(self) -> None:
        assert ask(contentType="image/gif,image/png,image/jpeg")["Content-Type"] == "image/png"

    def test_is_the_first_frame_or_that_of_a_number(self) -> None:
        first, last = picture(CLIP), picture(CLIP, frameNumber="30")
        assert first.tobytes() == picture(CLIP, frameNumber="1").tobytes() != last.tobytes()

    def test_has_the_window_that_is_asked_for(self) -> None:
        assert set(picture(windowCenter="100", windowWidth="1").tobytes()) <= {0, 255}

    def test_has_the_region_that_is_asked_for(self) -> None:
        part = picture(CLIP, region="0.5,0.25,1.0,0.75")
        assert part.tobytes() == picture(CLIP).crop((160, 60, 320, 180)).tobytes()

    @pytest.mark.parametrize(
        ("query", "size"), [({"rows": "120"}, (160, 120)), ({"columns": "640"}, (640, 480)), ({"rows": "48"}, (64, 48))]
    )
    def test_fits_into_rows_and_columns(self, query: dict[str, str], size: tuple[int, int]) -> None:
        assert picture(CLIP, **query).size == size


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"requestType": "wado"}, 400),
        ({"requestType": ""}, 400),
        ({"studyUID": ""}, 400),
        ({"objectUID": "../1"}, 400),
        ({"seriesUID": "1" * 65}, 400),
        ({"objectUID": "1.2.3"}, 404),
        ({"contentType": "text/html"}, 406),
        ({"contentType": "video/mpeg"}, 406),
        ({"contentType": "image"}, 400),
        ({"frameNumber": "0"}, 400),
        ({"frameNumber": "2"}, 404),
        ({"rows": "0"}, 400),
        ({"columns": "65536"}, 400),
        ({"rows": "60000"}, 400),
        ({"windowCenter": "1"}, 400),
        ({"windowCenter": "1", "windowWidth": ""}, 400),
        ({"windowCenter": "1", "windowWidth": "0.5"}, 400),
        ({"region": "0,0,1"}, 400),
        ({"region": "0,0,1,1,1"}, 400),
        ({"region": "0.5,0,0.5,1"}, 400),
        ({"region": "0,0,1,1.1"}, 400),
        ({"region": "0,0,1e-320,1e-320", "rows": "9", "columns": "9"}, 400),
        ({"imageQuality": "0"}, 400),
        ({"annotation": "patient"}, 400),
        ({"anonymize": "yes"}, 400),
        ({"presentationUID": "1.2"}, 400),
    ],
)
def test_invalid_or_unsupported_request_is_told_why(query: dict[str, str], status: int) -> None:
    with recording() as log:
        response = ask(**query)
    assert (response.status_code, set(response.json())) == (status, {"detail", "code"})
    assert not [call for call in log.calls if "frames" in call.template]


@pytest.mark.parametrize("name", ["requestType", "studyUID", "seriesUID", "objectUID"])
def test_missing_parameter_is_named(name: str) -> None:
    query = {key: value for key, value in named().items() if key != name}
    response = Client().get(URL, query)
    assert response.status_code == 400
    assert name in response.json()["detail"]
