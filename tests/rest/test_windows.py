"""Which values of a picture are black and white, whatever the file says about its window."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from django.test import Client
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, generate_uid

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import instance
from tests.orthancs import StartOrthanc
from tests.rest.conftest import encoded, id_of, shipped

pytestmark = pytest.mark.live

SIDE = 32
RAMP = range(SIDE * SIDE)

Render = Callable[..., bytes]


@pytest.fixture(scope="module")
def orthanc(start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_session_orthanc()


@pytest.fixture
def ask_for(orthanc: LocalOrthanc, use_orthanc: UseOrthanc) -> Callable[..., Any]:
    """Store a file and get a picture of it."""
    use_orthanc(orthanc)

    def ask(file: bytes, what: str = "preview", headers: dict[str, str] | None = None, **query: Any) -> Any:
        orthanc_id = id_of(orthanc, file, "Success")
        return Client().get(f"/api/orthanc/instances/{orthanc_id}/{what}/", query, headers=headers)

    return ask


@pytest.fixture
def rendered(ask_for: Callable[..., Any]) -> Render:
    """The grey levels of a picture of a frame."""

    def render(file: bytes, what: str = "preview", **query: Any) -> bytes:
        response = ask_for(file, what, **query)
        assert response.status_code == 200, response.content
        return greys(response.content)

    return render


def image(values: Sequence[int] = RAMP, **tags: Any) -> bytes:
    signed = min(values) < 0
    pixels = struct.pack(f"<{len(values)}{'h' if signed else 'H'}", *values)
    return instance(
        SOPInstanceUID=generate_uid(),
        Rows=SIDE,
        Columns=SIDE,
        PixelRepresentation=int(signed),
        PixelData=pixels,
        **tags,
    )


def items(**tags: Any) -> list[Dataset]:
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return [item]


def enhanced(**tags: Any) -> bytes:
    return image([*RAMP, *RAMP], NumberOfFrames=2, SOPClassUID=EnhancedMRImageStorage, **tags)


def window(center: float, width: float) -> dict[str, Any]:
    return {"FrameVOILUTSequence": items(WindowCenter=str(center), WindowWidth=str(width))}


def transformation(slope: float, intercept: float) -> dict[str, Any]:
    values = items(RescaleSlope=str(slope), RescaleIntercept=str(intercept), RescaleType="US")
    return {"PixelValueTransformationSequence": values}


def greys(png: bytes) -> bytes:
    """The pixels of a greyscale PNG of 8 bits (PNG specification, section 9.2)."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) == (8, 0)
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    above, pixels = bytes(width), b""
    lines = zlib.decompress(data)
    for start in range(0, len(lines), width + 1):
        filter_type, *row = lines[start : start + width + 1]
        line = bytearray()
        for column, value in enumerate(row):
            left, up, corner = (line[-1], above[column], above[column - 1]) if column else (0, above[0], 0)
            paeth = min((abs(left + up - corner - near), rank, near) for rank, near in enumerate((left, up, corner)))[2]
            line.append((value + (0, left, up, (left + up) // 2, paeth)[filter_type]) % 256)
        above = bytes(line)
        pixels += above
    assert len(pixels) == width * height
    return pixels


def edges(pixels: bytes) -> tuple[int, int]:
    """The last black and the first white value of a ramp."""
    return max((value for value in RAMP if pixels[value] == 0), default=-1), pixels.index(255)


def is_near(found: tuple[int, int], low: float, high: float) -> bool:
    return abs(found[0] - low) <= 8 and abs(found[1] - high) <= 8


@pytest.mark.parametrize(
    ("file", "frame", "low", "high"),
    [
        (enhanced(SharedFunctionalGroupsSequence=items(**window(500, 200))), 1, 400, 600),
        (enhanced(PerFrameFunctionalGroupsSequence=items(**window(1, 2)) + items(**window(500, 200))), 1, 400, 600),
        (enhanced(SharedFunctionalGroupsSequence=items(**window(0, 200), **transformation(0.5, -250))), 0, 300, 700),
        (
            enhanced(
                SharedFunctionalGroupsSequence=items(**window(0, 200)),
                PerFrameFunctionalGroupsSequence=items(**transformation(0.5, -250)) * 2,
            ),
            1,
            300,
            700,
        ),
        (
            enhanced(
                SharedFunctionalGroupsSequence=items(**transformation(0.5, -250)),
                PerFrameFunctionalGroupsSequence=items(**window(0, 200)) * 2,
            ),
            1,
            300,
            700,
        ),
        (enhanced(SharedFunctionalGroupsSequence=items(**transformation(0.5, -250))), 1, 0, 1023),
        (enhanced(), 0, 0, 1023),
        (enhanced(WindowCenter="500", WindowWidth="200", RescaleSlope="1", RescaleIntercept="0"), 1, 400, 600),
        (image(WindowCenter=["500", "1"], WindowWidth=["200", "2"]), 0, 400, 600),
        (image(RescaleSlope="1e-6", RescaleIntercept="0"), 0, 0, 1023),
        (image(RescaleSlope="1e-6", RescaleIntercept="0", WindowCenter="5e-4", WindowWidth="2e-4"), 0, 400, 600),
        (image(RescaleSlope="1e6", RescaleIntercept="0"), 0, 0, 1023),
        (image([value - 512 for value in RAMP], RescaleSlope="1e-6", RescaleIntercept="-3"), 0, 0, 1023),
        (image([value - 512 for value in RAMP]), 0, 0, 1023),
    ],
    ids=[
        "shared window",
        "window of the frame",
        "shared window and transformation",
        "shared window, transformation of the frame",
        "window of the frame, shared transformation",
        "no window, shared transformation",
        "multi-frame without either",
        "window of the data set",
        "two windows",
        "tiny slope",
        "tiny slope and window",
        "huge slope",
        "tiny slope, signed",
        "signed",
    ],
)
def test_a_frame_is_rendered_in_its_window(rendered: Render, file: bytes, frame: int, low: float, high: float) -> None:
    assert is_near(edges(rendered(file, frame=frame)), low, high)


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": "-2", "RescaleIntercept": "7"},
        {"RescaleSlope": "-2e-6", "RescaleIntercept": "7"},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "2e-6", "RescaleIntercept": "7"},
    ],
)
def test_an_inverted_frame_begins_white(rendered: Render, tags: dict[str, Any]) -> None:
    pixels = rendered(image(**tags))
    assert (pixels[0], pixels[-1], len(set(pixels))) == (255, 0, 256)


@pytest.mark.parametrize("value", [0, 1000])
@pytest.mark.parametrize("slope", ["1", "-1", "1e-6", "-1e-6"])
@pytest.mark.parametrize("what", ["preview", "thumbnail"])
def test_a_frame_of_one_value_is_black(rendered: Render, value: int, slope: str, what: str) -> None:
    file = image([value] * len(RAMP), RescaleSlope=slope, RescaleIntercept="0")
    assert set(rendered(file, what)) == {0}


def test_a_thumbnail_in_a_narrow_window_is_small(rendered: Render, settings: Any) -> None:
    settings.ORTHANC_THUMBNAIL_SIZE = 16
    pixels = rendered(image(RescaleSlope="1e-6", RescaleIntercept="0"), "thumbnail")
    assert len(pixels) == 16 * 16
    assert len(set(pixels)) > 100


def test_a_picture_in_a_narrow_window_is_a_jpeg_if_accept_prefers_it(ask_for: Callable[..., Any]) -> None:
    response = ask_for(image(RescaleSlope="1e-6", RescaleIntercept="0"), headers={"Accept": "image/jpeg"})
    assert response["Content-Type"] == "image/jpeg"
    assert response.content.startswith(b"\xff\xd8")


def test_eight_bits_with_a_slope_are_not_black(rendered: Render) -> None:
    file = instance(
        SOPInstanceUID=generate_uid(), BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=bytes(range(64)),
        RescaleSlope="0.001", RescaleIntercept="0",
    )  # fmt: skip
    assert len(set(rendered(file))) == 64


def test_a_dose_of_32_bits_is_rendered_where_orthanc_decodes_it(rendered: Render) -> None:
    dose = shipped("rtdose_rle_1frame", SOPInstanceUID=generate_uid())
    pixels = rendered(encoded(dose))
    assert (min(pixels), max(pixels)) == (0, 255)


def test_a_large_picture_is_streamed(ask_for: Callable[..., Any]) -> None:
    side = 1200
    depth = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    noise = Random(1).randbytes(side * side)
    file = instance(SOPInstanceUID=generate_uid(), Rows=side, Columns=side, PixelData=noise, **depth)
    response = ask_for(file)
    chunks = list(response)
    assert len(chunks) > 1
    assert sum(map(len, chunks)) == int(response["Content-Length"]) > side * side
    head = Client().head(response.request["PATH_INFO"])
    assert (head.status_code, head["Content-Length"]) == (200, response["Content-Length"])


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 0},
        {"Columns": 0},
        {"PixelData": None},
        {"PixelData": b"short"},
        {"BitsAllocated": 7},
        {"SamplesPerPixel": 0},
        {"NumberOfFrames": 5},
        {"PhotometricInterpretation": None},
        {"Rows": 8000, "Columns": 8000},
    ],
    ids=str,
)
@pytest.mark.parametrize("what", ["preview", "thumbnail"])
def test_a_broken_image_is_not_renderable(ask_for: Callable[..., Any], tags: dict[str, Any], what: str) -> None:
    response = ask_for(instance(SOPInstanceUID=generate_uid(), **tags), what)
    assert (response.status_code, response.json()["code"]) == (415, "NOT_RENDERABLE")


class TestParameters:
    def test_the_window_that_is_asked_for_takes_the_place_of_the_file_s(self, rendered: Render) -> None:
        file = image(WindowCenter="500", WindowWidth="1000")
        query = {"window-center": "500", "window-width": "200"}
        assert is_near(edges(rendered(file, **query)), 400, 600)

    def test_a_window_is_in_rescaled_values(self, rendered: Render) -> None:
        file = image(RescaleSlope="2", RescaleIntercept="-1000")
        query = {"window-center": "0", "window-width": "200"}
        assert is_near(edges(rendered(file, **query)), 450, 550)

    @pytest.mark.parametrize(
        ("query", "pixels"),
        [
            ({"width": "16"}, 256),
            ({"height": "8"}, 64),
            ({"width": "16", "height": "8"}, 64),
            ({"width": "65535", "height": "8"}, 64),
            ({"width": "1000"}, 1024),
        ],
    )
    def test_a_frame_fits_and_is_never_enlarged(self, rendered: Render, query: dict[str, str], pixels: int) -> None:
        assert len(rendered(image(), **query)) == pixels

    def test_a_jpeg_has_the_quality_that_is_asked_for(self, ask_for: Callable[..., Any]) -> None:
        path = ask_for(image()).request["PATH_INFO"]
        jpegs = [
            Client().get(path, query, headers={"Accept": "image/jpeg"})
            for query in ({"quality": "5"}, {"quality": "95"})
        ]
        assert 0 < len(jpegs[0].content) < len(jpegs[1].content)
        assert jpegs[0]["ETag"] != jpegs[1]["ETag"]

    @pytest.mark.parametrize(
        "query",
        [
            {"window-center": "1"},
            {"window-width": "1"},
            {"window-center": "1", "window-width": "0"},
            {"window-center": "1", "window-width": "-1"},
            {"window-center": "nan", "window-width": "1"},
            {"window-center": "1", "window-width": "1e999"},
            {"width": "0"},
            {"height": "65536"},
            {"quality": "101"},
            {"quality": ""},
            {"unknown": "1"},
            {"windowCenter": "1"},
        ],
        ids=str,
    )
    def test_invalid_and_unknown_parameters_are_rejected(
        self, ask_for: Callable[..., Any], query: dict[str, str]
    ) -> None:
        response = ask_for(image(), **query)
        assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")

    def test_a_thumbnail_takes_none(self, ask_for: Callable[..., Any]) -> None:
        assert ask_for(image(), "thumbnail", width="5").status_code == 400
