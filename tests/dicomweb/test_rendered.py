"""Rendered resources and thumbnails (PS3.18 section 10.4.1.1.2): which images, how they are rendered, as what."""

import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from io import BytesIO
from math import exp
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from PIL import Image
from pydicom.dataset import Dataset

from orthancproxy.orthanc.calls import recording
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import load
from tests.orthancs import StartOrthanc
from tests.rest.conftest import encoded, shipped

pytestmark = pytest.mark.live

SIDE = 128  # of CT_small
EVERY_FRAME = 30  # of examples_ybr_color
TOO_MANY = 1001


def of(name: str, **tags: Any) -> Dataset:
    dataset = shipped(name)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _datasets() -> Iterator[tuple[str, Dataset]]:
    for name in ("CT_small", "MR_small", "examples_ybr_color", "MR_small_jp2klossless", "SC_rgb_small_odd"):
        yield name, of(name)
    yield "inverted", of("CT_small", PhotometricInterpretation="MONOCHROME1", SOPInstanceUID="1.2.3.1")
    yield "unsigned", of("MR_small", PixelRepresentation=0, SOPInstanceUID="1.2.3.2", StudyInstanceUID="1.2.3.20")
    plan = of("rtplan")
    yield "rtplan", plan
    # a report beside images
    study = of("MR_small")
    yield "report", of("test-SR", PatientID=study.PatientID, StudyInstanceUID=study.StudyInstanceUID, Modality="SR")
    many = of("CT_small", StudyInstanceUID="1.2.3.30", SeriesInstanceUID="1.2.3.31", SOPInstanceUID="1.2.3.32")
    many.NumberOfFrames, many.Rows, many.Columns, many.PixelData = TOO_MANY, 1, 2, bytes(4 * TOO_MANY)
    yield "many", many


class Images:
    """The archive: data sets by name."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self.orthanc = orthanc
        self.datasets = dict(_datasets())
        load(orthanc, map(encoded, self.datasets.values()))

    def url(self, name: str, what: str = "rendered", level: str = "instances") -> str:
        dataset = self.datasets[name]
        parts = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
        url = "/dicom-web"
        for collection, keyword in parts.items():
            url += f"/{collection}/{dataset[keyword].value}"
            if collection == level:
                break
        return f"{url}/{what}"


@pytest.fixture(scope="module")
def images(start_session_orthanc: StartOrthanc) -> Images:
    return Images(start_session_orthanc())


@pytest.fixture(autouse=True)
def _archive(images: Images, use_orthanc: UseOrthanc) -> Iterator[None]:
    cache.clear()
    use_orthanc(images.orthanc)
    yield
    cache.clear()


def get(url: str, accept: str = "image/png", **query: str) -> Any:
    response = Client().get(url, query, headers={"Accept": accept})
    assert response.status_code == 200, response.content
    return response


def picture(url: str, **query: str) -> Image.Image:
    return Image.open(BytesIO(get(url, **query).getvalue()), formats=["PNG"])


def rejected(url: str, accept: str = "image/png", **query: str) -> tuple[int, str]:
    response = Client().get(url, query, headers={"Accept": accept})
    content = response.json()
    assert set(content) == {"detail", "code"}
    assert content["detail"]
    return response.status_code, content["code"]


def parts(response: Any) -> list[tuple[str, bytes]]:
    head = f"Content-Type: {response['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + response.getvalue())
    assert message.get_content_type() == "multipart/related"
    found: list[Any] = message.get_payload()  # type: ignore[assignment]
    return [(part.get_content_type(), part.get_payload(decode=True)) for part in found]


class TestOneImage:
    def test_is_a_jpeg_at_full_size(self, images: Images) -> None:
        response = get(images.url("CT_small"), "*/*")
        assert response["Content-Type"] == "image/jpeg"
        assert response["Cache-Control"] == "private, no-cache"
        assert response["ETag"]
        assert "Accept" in response["Vary"]
        assert Image.open(BytesIO(response.getvalue())).size == (SIDE, SIDE)

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            ("image/png", "image/png"),
            ("image/png;q=0.5, image/jpeg", "image/jpeg"),
            ("image/*", "image/jpeg"),
            ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "image/jpeg"),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "image/jpeg"),
        ],
    )
    def test_has_the_media_type_that_is_accepted(self, images: Images, accept: str, media_type: str) -> None:
        assert get(images.url("CT_small"), accept)["Content-Type"] == media_type

    def test_accept_of_the_query_overrides_that_of_the_header(self, images: Images) -> None:
        url = f"{images.url('CT_small')}?accept=image/png"
        assert Client().get(url, headers={"Accept": "application/json"})["Content-Type"] == "image/png"

    @pytest.mark.parametrize("kind", ["png", "jpeg"])
    def test_is_a_part_where_a_message_is_accepted(self, images: Images, kind: str) -> None:
        response = get(images.url("CT_small"), f'multipart/related; type="image/{kind}"')
        [(media_type, content)] = parts(response)
        assert media_type == f"image/{kind}"
        assert Image.open(BytesIO(content)).size == (SIDE, SIDE)

    @pytest.mark.parametrize(
        "accept", ["application/dicom", "image/gif", "video/mp4", 'multipart/related; type="application/dicom"']
    )
    def test_cannot_be_of_another_media_type(self, images: Images, accept: str) -> None:
        with recording() as log:
            assert rejected(images.url("CT_small"), accept) == (406, "NOT_ACCEPTABLE")
        assert log.calls == []

    def test_is_not_sent_again(self, images: Images) -> None:
        etag = get(images.url("CT_small"))["ETag"]
        response = Client().get(images.url("CT_small"), headers={"Accept": "image/png", "If-None-Match": etag})
        assert (response.status_code, response.getvalue()) == (304, b"")

    def test_head_has_no_content(self, images: Images) -> None:
        response = Client().head(images.url("CT_small"))
        assert (response.status_code, response.content) == (200, b"")
        assert response["Content-Type"] == "image/jpeg"

    @pytest.mark.parametrize("name", ["MR_small", "SC_rgb_small_odd", "unsigned"])
    def test_shows_something(self, images: Images, name: str) -> None:
        found = picture(images.url(name))
        dataset = images.datasets[name]
        assert found.size == (dataset.Columns, dataset.Rows)
        assert len(set(found.convert("L").tobytes())) > 2

    def test_of_jpeg_2000_says_why_there_is_none_without_a_decoder(self, images: Images) -> None:
        response = Client().get(images.url("MR_small_jp2klossless"))
        assert response.status_code in (200, 415)
        if response.status_code == 415:
            assert "JPEG 2000" in response.json()["detail"]

    def test_of_monochrome_1_is_inverted(self, images: Images) -> None:
        plain, inverted = (picture(images.url(name)).tobytes() for name in ("CT_small", "inverted"))
        assert all(abs(255 - one - other) <= 1 for one, other in zip(plain, inverted, strict=True))

    @pytest.mark.parametrize("name", ["rtplan", "report"])
    def test_of_what_is_no_image_is_not_renderable(self, images: Images, name: str) -> None:
        assert rejected(images.url(name)) == (415, "NOT_RENDERABLE")

    @pytest.mark.parametrize("level", ["studies", "series", "instances"])
    def test_of_an_unknown_resource_is_not_found(self, images: Images, level: str) -> None:
        above = images.url("CT_small", "", level=level).rstrip("/").rpartition("/")[0]
        url = f"{above}/1.2.9/rendered"
        assert rejected(url) == (404, "NOT_FOUND")

    def test_of_an_instance_of_another_series_is_not_found(self, images: Images) -> None:
        series = images.url("MR_small", "instances", level="series")
        assert rejected(f"{series}/{images.datasets['CT_small'].SOPInstanceUID}/rendered") == (404, "NOT_FOUND")


class TestSeveralImages:
    def test_frames_of_an_instance_are_parts(self, images: Images) -> None:
        found = parts(get(images.url("examples_ybr_color"), "*/*"))
        assert len(found) == EVERY_FRAME
        assert {media_type for media_type, _ in found} == {"image/jpeg"}
        assert Image.open(BytesIO(found[-1][1])).size == (320, 240)

    def test_first_frame_stands_for_an_instance_where_only_one_image_is_accepted(self, images: Images) -> None:
        for accept in ("image/jpeg", "image/png", "image/gif, image/png;q=0.5"):
            response = get(images.url("examples_ybr_color"), accept)
            first = get(images.url("examples_ybr_color", "frames/1/rendered"), accept)
            assert response["Content-Type"] == first["Content-Type"]
            assert response.getvalue() == first.getvalue()

    def test_several_that_are_named_are_not_one_image(self, images: Images) -> None:
        for url in (
            images.url("examples_ybr_color", "frames/1,2/rendered"),
            images.url("examples_ybr_color", level="series"),
            images.url("examples_ybr_color", level="studies"),
        ):
            assert rejected(url, "image/jpeg") == (406, "NOT_ACCEPTABLE")

    def test_listed_frames_are_sent_in_the_order_of_the_list(self, images: Images) -> None:
        accept = 'multipart/related; type="image/png"'
        found = [content for _, content in parts(get(images.url("examples_ybr_color", "frames/3,1/rendered"), accept))]
        assert len(found) == 2
        for content, frame in zip(found, (3, 1), strict=True):
            assert content == get(images.url("examples_ybr_color", f"frames/{frame}/rendered")).getvalue()

    @pytest.mark.parametrize(("frames", "status"), [("31", 404), ("1,31", 404), ("0", 400), ("1,", 400), ("-1", 400)])
    def test_missing_and_invalid_frames_are_rejected(self, images: Images, frames: str, status: int) -> None:
        assert rejected(images.url("examples_ybr_color", f"frames/{frames}/rendered"), "*/*")[0] == status

    @pytest.mark.parametrize("level", ["studies", "series"])
    def test_of_a_study_or_series_are_those_of_its_instances(self, images: Images, level: str) -> None:
        found = parts(get(images.url("CT_small", level=level), 'multipart/related; type="image/png"'))
        expected = {get(images.url(name)).getvalue() for name in ("CT_small", "inverted")}
        assert {content for _, content in found} == expected

    def test_what_is_no_image_is_left_out(self, images: Images) -> None:
        response = get(images.url("MR_small", level="studies"))
        assert response["Content-Type"] == "image/png"

    def test_of_a_study_without_images_are_none(self, images: Images) -> None:
        assert rejected(images.url("rtplan", level="studies")) == (415, "NOT_RENDERABLE")

    def test_too_many_are_rejected_before_one_is_rendered(self, images: Images) -> None:
        with recording() as log:
            assert rejected(images.url("many", level="studies"), "*/*") == (413, "LIMIT_EXCEEDED")
        assert not [call for call in log.calls if "frames" in call.template]

    def test_are_not_sent_again(self, images: Images) -> None:
        url = images.url("examples_ybr_color")
        first = get(url, "*/*")
        assert first.getvalue()
        with recording() as log:
            response = Client().get(url, headers={"If-None-Match": first["ETag"]})
        assert (response.status_code, response.getvalue()) == (304, b"")
        assert not [call for call in log.calls if "frames" in call.template]

    def test_each_has_its_location(self, images: Images) -> None:
        body = get(images.url("examples_ybr_color"), "*/*").getvalue().decode("latin-1")
        found = re.findall(r"^Content-Location: (\S+)\r$", body, re.MULTILINE)
        assert found == [
            f"http://testserver{images.url('examples_ybr_color', f'frames/{frame}/rendered')}"
            for frame in range(1, EVERY_FRAME + 1)
        ]

    def test_head_renders_none(self, images: Images) -> None:
        with recording() as log:
            response = Client().head(images.url("examples_ybr_color"))
        assert response.status_code == 200
        assert response["Content-Type"].startswith("multipart/related")
        assert not [call for call in log.calls if "frames" in call.template]


def rescaled(dataset: Dataset) -> list[float]:
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    return [float(value) * slope + intercept for value in dataset.pixel_array.ravel()]


def linear(value: float, center: float, width: float) -> float:
    return ((value - (center - 0.5)) / (width - 1) + 0.5) * 255


def linear_exact(value: float, center: float, width: float) -> float:
    return ((value - center) / width + 0.5) * 255


def sigmoid(value: float, center: float, width: float) -> float:
    return 255 / (1 + exp(-4 * (value - center) / width))


class TestParameters:
    @pytest.mark.parametrize(
        ("function", "formula"), [("linear", linear), ("linear-exact", linear_exact), ("sigmoid", sigmoid)]
    )
    @pytest.mark.parametrize(("center", "width"), [(40.0, 400.0), (-500.0, 60.5)])
    def test_window_has_the_function_of_the_standard(
        self,
        images: Images,
        function: str,
        formula: Callable[[float, float, float], float],
        center: float,
        width: float,
    ) -> None:
        found = picture(images.url("CT_small"), window=f"{center},{width},{function}").tobytes()
        for value, grey in zip(rescaled(images.datasets["CT_small"]), found, strict=True):
            assert abs(min(max(formula(value, center, width), 0.0), 255.0) - grey) <= 1.5

    @pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "Linear-Exact", "SIGMOID"])
    def test_window_function_is_spelled_in_either_case(self, images: Images, function: str) -> None:
        found, expected = (
            picture(images.url("CT_small"), window=f"40,400,{name}").tobytes()
            for name in (function, function.lower().replace("_", "-"))
        )
        assert found == expected

    def test_window_of_one_value_is_black_and_white(self, images: Images) -> None:
        found = picture(images.url("CT_small"), window="0,1,linear").tobytes()
        assert set(found) == {0, 255}

    def test_window_of_monochrome_1_is_inverted(self, images: Images) -> None:
        for function in ("linear", "sigmoid"):
            plain, inverted = (
                picture(images.url(name), window=f"40,400,{function}").tobytes() for name in ("CT_small", "inverted")
            )
            assert all(abs(255 - one - other) <= 1 for one, other in zip(plain, inverted, strict=True))

    @pytest.mark.parametrize(
        ("viewport", "size"),
        [
            ("64,64", (64, 64)),
            ("64,1000", (64, 64)),
            ("300,200", (200, 200)),
            ("512,512,,,64,32", (512, 256)),
            ("64,64,100,100", (64, 64)),
        ],
    )
    def test_viewport_is_filled_without_distortion(self, images: Images, viewport: str, size: tuple[int, int]) -> None:
        for kind in ("png", "jpeg"):
            response = get(images.url("CT_small"), f"image/{kind}", viewport=viewport)
            assert Image.open(BytesIO(response.getvalue())).size == size

    def test_region_is_a_part_of_the_image(self, images: Images) -> None:
        whole = picture(images.url("CT_small"))
        part = picture(images.url("CT_small"), viewport="40,20,10,30,40,20")
        assert part.tobytes() == whole.crop((10, 30, 50, 50)).tobytes()

    def test_region_below_zero_is_flipped(self, images: Images) -> None:
        whole = picture(images.url("CT_small"))
        part = picture(images.url("CT_small"), viewport=f"{SIDE},{SIDE},0,0,-{SIDE},{SIDE}")
        assert part.tobytes() == whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
        part = picture(images.url("CT_small"), viewport=f"{SIDE},{SIDE},0,0,{SIDE},-{SIDE}")
        assert part.tobytes() == whole.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes()

    def test_colours_have_regions_too(self, images: Images) -> None:
        url = images.url("examples_ybr_color", "frames/2/rendered")
        part = picture(url, viewport="100,100,50,50,100,100")
        assert (part.mode, part.size) == ("RGB", (100, 100))
        assert part.tobytes() == picture(url).crop((50, 50, 150, 150)).tobytes()

    def test_quality_is_that_of_a_jpeg(self, images: Images) -> None:
        for viewport in ({}, {"viewport": "100,100,1,1,90,90"}):
            low, high = (
                len(get(images.url("CT_small"), "image/jpeg", quality=quality, **viewport).getvalue())
                for quality in ("10", "95")
            )
            assert low < high / 2

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(
                ("viewport", value)
                for value in (
                    "",
                    "1",
                    "0,1",
                    "1,65536",
                    "1,1,1,1,1,1,1",
                    "1,1,x",
                    "1,1,0,0,0,1",
                    "1,1,0,0,129,1",
                    "1,1,200",
                    "-1,1",
                    "1e3,1",
                    "60000,60000",
                    "1,1,0,0,1e-310,1e-310",
                    "9" * 5000,
                )
            ),
            *(
                ("window", value)
                for value in ("", "1,2", "1,2,", "1,2,cubic", "1,0.5,linear", "1,0,sigmoid", "1,-1,linear-exact")
            ),
            *(("window", value) for value in ("nan,1,linear", "1,inf,linear", "1e99,1,linear", "1,2,linear,3")),
            *(("quality", value) for value in ("0", "101", "x", "", "1.5")),
            ("annotation", "patient"),
            ("annotation", ""),
            ("iccprofile", "srgb"),
        ],
    )
    def test_invalid_and_unsupported_values_are_rejected(self, images: Images, name: str, value: str) -> None:
        assert rejected(images.url("CT_small"), **{name: value}) == (400, "BAD_USER_INPUT")

    def test_no_colour_profile_is_what_there_is(self, images: Images) -> None:
        assert get(images.url("CT_small"), iccprofile="no")

    def test_every_variant_has_an_entity_tag_of_its_own(self, images: Images) -> None:
        queries: list[dict[str, str]] = [
            {},
            {"window": "40,400,linear"},
            {"window": "40,400,sigmoid"},
            {"viewport": "64,64"},
            {"viewport": "64,64,1,1"},
            {"viewport": "64,64,1,1,9,9"},
            {"viewport": "64,64,1,1,-9,9"},
        ]
        tags = {get(images.url("CT_small"), **query)["ETag"] for query in queries}
        assert len(tags) == len(queries)
        assert all(re.fullmatch(r'"[!#-~]+"', tag) for tag in tags)


class TestThumbnail:
    @pytest.mark.parametrize("level", ["studies", "series", "instances"])
    def test_is_a_small_image_at_each_level(self, images: Images, settings: Any, level: str) -> None:
        settings.ORTHANC_THUMBNAIL_SIZE = 50
        response = get(images.url("MR_small", "thumbnail", level=level), "*/*")
        assert response["Content-Type"] == "image/jpeg"
        assert Image.open(BytesIO(response.getvalue())).size == (50, 50)

    def test_of_a_frame_shows_it(self, images: Images) -> None:
        first, last = (
            get(images.url("examples_ybr_color", f"frames/{frame}/thumbnail")).getvalue() for frame in (1, EVERY_FRAME)
        )
        assert first != last
        assert first == get(images.url("examples_ybr_color", "thumbnail")).getvalue()

    def test_fills_its_viewport(self, images: Images) -> None:
        assert picture(images.url("CT_small", "thumbnail"), viewport="30,40").size == (30, 30)

    def test_has_no_region(self, images: Images) -> None:
        assert rejected(images.url("CT_small", "thumbnail"), viewport="30,40,1,1")[0] == 400

    @pytest.mark.parametrize("level", ["studies", "series", "instances"])
    def test_of_what_is_no_image_is_not_renderable(self, images: Images, level: str) -> None:
        assert rejected(images.url("rtplan", "thumbnail", level=level)) == (415, "NOT_RENDERABLE")

    def test_of_two_frames_is_rejected(self, images: Images) -> None:
        assert rejected(images.url("examples_ybr_color", "frames/1,2/thumbnail"))[0] == 400
