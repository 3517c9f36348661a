"""Previews and thumbnails: drawn by Orthanc, of the right frame and size, cached, and refused with a reason."""

import re
import struct
import zlib
from datetime import timedelta
from io import BytesIO
from typing import Any

import matplotlib.image as mpimg
import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from orthancproxy.orthanc.calls import recording
from orthancproxy.resolvers import images
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.rest.conftest import Gallery

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def _archive(gallery: Gallery, use_orthanc: UseOrthanc) -> None:
    use_orthanc(gallery.orthanc)


def get(address: str, **options: Any) -> Any:
    response = Client().get(address, **options)
    assert response.status_code == 200, response.content
    return response


def size(png: bytes) -> tuple[int, int]:
    """Width and height (PNG specification, section 11.2.2)."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def shades(png: bytes) -> int:
    """How many different bytes the pixels are made of."""
    pixels, at = zlib.decompressobj(), 8
    found: set[int] = set()
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IDAT":
            found.update(pixels.decompress(png[at + 8 : at + 8 + length]))
        at += length + 12
    return len(found)


def pixels(png: bytes) -> list[bytes]:
    """The rows of an image of 8-bit greys."""
    image = mpimg.imread(BytesIO(png), format="png")
    return [bytes(round(float(value) * 255) for value in row) for row in image]


BLACK = 20
"""More shades than a picture has that is drawn with a wrong window."""


class TestPreview:
    def test_is_a_png_at_full_size(self, gallery: Gallery) -> None:
        response = get(gallery.address("MR_small", "preview"))
        assert response["Content-Type"] == "image/png"
        assert response["Cache-Control"] == "private, no-cache"
        assert response["Content-Disposition"].startswith("inline")
        assert response["Content-Length"] == str(len(response.content))
        assert "Accept" in response["Vary"]
        assert size(response.content) == (64, 64)

    @pytest.mark.parametrize("name", ["CT_small", "windowed", "MR_small"])
    def test_shows_something_with_and_without_a_window(self, gallery: Gallery, name: str) -> None:
        assert shades(get(gallery.address(name, "preview")).content) > BLACK

    def test_applies_the_window_of_the_file(self, gallery: Gallery) -> None:
        windowed, plain = (get(gallery.address(name, "preview")).content for name in ("windowed", "CT_small"))
        assert windowed != plain

    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            ("image/jpeg", "image/jpeg"),
            ("image/png;q=0.5, image/jpeg", "image/jpeg"),
            ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "image/png"),
            ("application/json", "image/png"),
        ],
    )
    def test_has_the_media_type_that_accept_prefers(self, gallery: Gallery, accept: str, media_type: str) -> None:
        response = get(gallery.address("CT_small", "preview"), headers={"Accept": accept})
        assert response["Content-Type"] == media_type
        assert response.content.startswith(b"\xff\xd8" if media_type == "image/jpeg" else b"\x89PNG")

    def test_shows_the_requested_frame(self, gallery: Gallery) -> None:
        address = gallery.address("examples_ybr_color", "preview")
        first, last = get(address), get(address, query_params={"frame": "29"})
        assert size(first.content) == size(last.content) == (320, 240)
        assert first.content != last.content
        assert first["ETag"] != last["ETag"]

    @pytest.mark.parametrize(
        ("name", "frame"), [("CT_small", "1"), ("examples_ybr_color", "30"), ("CT_small", "2147483647")]
    )
    def test_missing_frame_is_not_found(self, gallery: Gallery, name: str, frame: str) -> None:
        response = Client().get(gallery.address(name, "preview"), {"frame": frame})
        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")

    @pytest.mark.parametrize("frame", ["-1", "1.5", "one", "", "2147483648", "9" * 5000, "١"])
    def test_invalid_frame_is_rejected(self, gallery: Gallery, frame: str) -> None:
        response = Client().get(gallery.address("CT_small", "preview"), {"frame": frame})
        assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")


class TestThumbnail:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [("CT_small", (100, 100)), ("examples_ybr_color", (100, 75)), ("MR_small", (64, 64))],
    )
    def test_is_scaled_down_and_never_up(
        self, gallery: Gallery, settings: Settings, name: str, expected: tuple[int, int]
    ) -> None:
        settings.ORTHANC_THUMBNAIL_SIZE = 100
        response = get(gallery.address(name, "thumbnail"))
        assert size(response.content) == expected

    def test_shows_something_without_a_window(self, gallery: Gallery, settings: Settings) -> None:
        settings.ORTHANC_THUMBNAIL_SIZE = 64
        assert shades(get(gallery.address("CT_small", "thumbnail")).content) > BLACK

    def test_has_the_shades_of_the_preview(self, gallery: Gallery, settings: Settings) -> None:
        settings.ORTHANC_THUMBNAIL_SIZE = 64
        preview = pixels(get(gallery.address("CT_small", "preview")).content)
        thumbnail = pixels(get(gallery.address("CT_small", "thumbnail")).content)
        for y in range(64):
            for x in range(64):
                four = [preview[2 * y + row][2 * x + column] for row in (0, 1) for column in (0, 1)]
                assert abs(thumbnail[y][x] - sum(four) / 4) <= 1.5

    def test_is_a_jpeg_if_accept_prefers_it(self, gallery: Gallery) -> None:
        response = get(gallery.address("CT_small", "thumbnail"), headers={"Accept": "image/jpeg"})
        assert response.content.startswith(b"\xff\xd8")


def looking_up() -> list[tuple[str, str]]:
    """The calls that tell what an instance is, and of which patient and study, which the audit names."""
    if connect().capabilities().has_extended_find:
        return [("GET", "/{level}/{id}")]
    # the instance, its series and its study
    return [("POST", "/tools/bulk-content")] * 3


class TestCaching:
    @pytest.mark.parametrize("what", ["preview", "thumbnail"])
    def test_second_request_is_not_rendered_again(self, gallery: Gallery, what: str) -> None:
        first = get(gallery.address("CT_small", what))
        with recording() as log:
            second = get(gallery.address("CT_small", what))
        assert second.content == first.content
        assert [(call.method, call.template) for call in log.calls] == looking_up()

    def test_a_first_picture_takes_one_look_up_and_one_rendering(self, gallery: Gallery) -> None:
        cache.clear()
        connect().capabilities()
        with recording() as log:
            get(gallery.address("windowed", "thumbnail"))
        calls = [call.template for call in log.calls]
        assert calls[-1] == "/instances/{id}/frames/{frame}/rendered"
        if connect().capabilities().has_extended_find:
            assert calls[:-1] == ["/{level}/{id}"]

    @pytest.mark.parametrize("name", ["CT_small", "MR_small", "windowed"])
    def test_a_first_png_thumbnail_takes_one_call_besides_the_look_up(
        self, gallery: Gallery, settings: Settings, name: str
    ) -> None:
        settings.ORTHANC_THUMBNAIL_SIZE = 50
        connect().capabilities()
        with recording() as log:
            get(gallery.address(name, "thumbnail"))
        calls = [call.template for call in log.calls]
        assert [template for template in calls if "/frames/" in template] == calls[-1:]
        if connect().capabilities().has_extended_find:
            assert len(calls) == 2

    @pytest.mark.parametrize("what", ["preview", "thumbnail", "file"])
    def test_a_versioned_url_is_immutable(self, gallery: Gallery, graphql: GraphQL, what: str) -> None:
        query = f'{{ instance(orthancId: "{gallery.ids["CT_small"]}") {{ url: {what}Url }} }}'
        url = graphql(query)["instance"]["url"]
        response = get(url)
        assert response.getvalue()
        assert response["Cache-Control"] == "private, max-age=604800, immutable"
        assert {"Cookie", "Authorization"} <= set(response["Vary"].split(", "))
        unversioned, _, version = url.partition("?")
        for other in (unversioned, f"{unversioned}?{version[:-1]}"):
            response = get(other)
            assert response.getvalue()
            assert response["Cache-Control"] == "private, no-cache"

    @pytest.mark.parametrize("what", ["preview", "thumbnail", "file"])
    @pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
    def test_matching_etag_is_answered_with_304(self, gallery: Gallery, what: str, form: str) -> None:
        address = gallery.address("CT_small", what)
        whole = get(address)
        assert whole.getvalue()
        etag = whole["ETag"]
        with recording() as log:
            response = Client().get(address, headers={"If-None-Match": form.format(etag)})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)
        assert response["Cache-Control"] == "private, no-cache"
        assert [(call.method, call.template) for call in log.calls] == looking_up()

    def test_each_rendering_has_its_own_etag(self, gallery: Gallery, settings: Settings) -> None:
        preview, thumbnail = gallery.address("CT_small", "preview"), gallery.address("CT_small", "thumbnail")
        tags = [get(preview)["ETag"], get(thumbnail)["ETag"]]
        tags.append(get(preview, headers={"Accept": "image/jpeg"})["ETag"])
        settings.ORTHANC_THUMBNAIL_SIZE = 50
        tags.append(get(thumbnail)["ETag"])
        tags.append(get(gallery.address("windowed", "preview"))["ETag"])
        assert len(set(tags)) == len(tags)

    def test_other_etag_is_answered_with_the_image(self, gallery: Gallery) -> None:
        response = get(gallery.address("CT_small", "preview"), headers={"If-None-Match": '"other"'})
        assert size(response.content) == (128, 128)


CANNOT = "Orthanc cannot render this instance"


class TestNotRenderable:
    @pytest.mark.parametrize("what", ["preview", "thumbnail"])
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("rtplan", "This instance has no image (RT Plan Storage)."),
            ("test-SR", "This instance has no image (Comprehensive SR Storage)."),
            ("MR_small_jp2klossless", f"{CANNOT} (MR Image Storage, JPEG 2000 Image Compression (Lossless Only))."),
            ("rtdose", f"{CANNOT} (RT Dose Storage, Implicit VR Little Endian)."),
        ],
    )
    def test_error_says_why(self, gallery: Gallery, what: str, name: str, reason: str) -> None:
        response = Client().get(gallery.address(name, what))
        assert response.status_code == 415
        assert response.json() == {"detail": reason, "code": "NOT_RENDERABLE"}

    def test_unknown_instance_is_not_found(self, gallery: Gallery) -> None:
        unknown = "-".join(["01234567"] * 5)
        for what in ("preview", "thumbnail", "file"):
            response = Client().get(f"/api/orthanc/instances/{unknown}/{what}/")
            assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")

    def test_head_has_the_same_status_as_get(self, gallery: Gallery) -> None:
        assert Client().head(gallery.address("rtplan", "preview")).status_code == 415
        response = Client().head(gallery.address("CT_small", "preview"))
        assert (response.status_code, response.content) == (200, b"")
        assert int(response["Content-Length"]) > 1000


def test_thumbnail_of_a_series_is_that_of_its_middle_instance(
    archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(archive)
    query = "{ seriesList(first: 1) { nodes { thumbnailUrl instances { thumbnailUrl } } } }"
    [series] = graphql(query)["seriesList"]["nodes"]
    first, middle, last = (get(one["thumbnailUrl"]) for one in series["instances"])

    thumbnail = get(series["thumbnailUrl"])

    assert thumbnail.content == middle.content
    assert thumbnail["ETag"] == middle["ETag"]
    assert thumbnail["ETag"] not in (first["ETag"], last["ETag"])
    assert Client().get(series["thumbnailUrl"], headers={"If-None-Match": middle["ETag"]}).status_code == 304


@pytest.mark.since("1.12.5")
@pytest.mark.parametrize(
    ("settling_time", "policy"),
    [
        (timedelta(days=-1), "private, max-age=604800, immutable"),
        # two changes within one second have one LastUpdate
        (timedelta(days=1), "private, no-cache"),
    ],
)
def test_a_versioned_thumbnail_of_a_series_is_immutable_when_it_has_settled(
    settling_time: timedelta,
    policy: str,
    archive: LocalOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_orthanc(archive)
    monkeypatch.setattr(images, "SETTLING_TIME", settling_time)
    [series] = graphql("{ seriesList(first: 1) { nodes { thumbnailUrl lastUpdate } } }")["seriesList"]["nodes"]
    unversioned, _, version = series["thumbnailUrl"].partition("?v=")
    assert version == re.sub("[-:]", "", series["lastUpdate"].partition("+")[0])
    assert get(series["thumbnailUrl"])["Cache-Control"] == policy
    assert get(unversioned)["Cache-Control"] == "private, no-cache"
    assert get(f"{unversioned}?v=20200101T000000")["Cache-Control"] == "private, no-cache"
