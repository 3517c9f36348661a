"""WADO-RS: files and frames as they are stored, or in the form that Accept asks for (PS3.18 section 10.4)."""

from io import BytesIO

import pytest
from django.test import Client
from pydicom import dcmread
from pydicom.encaps import get_frame

from orthancproxy.dicomweb.retrieve import MAX_FRAMES
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT as UIDS
from tests.dicomweb.conftest import EXPLICIT_LITTLE, PARTS, ROOT, STORED, Shelf, get, parts_of
from tests.orthancs import installed_version

pytestmark = pytest.mark.live

FILES = 'multipart/related; type="application/dicom"'
AS_STORED = f"{FILES}; transfer-syntax=*"
JPEG_LS = "1.2.840.10008.1.2.4.80"
CAN_TRANSCODE = installed_version() >= (1, 12, 2)


class TestFiles:
    @pytest.fixture(autouse=True)
    def _archive(self, shelf: Shelf, use_orthanc: UseOrthanc) -> None:
        use_orthanc(shelf.orthanc)

    @pytest.mark.parametrize("level", ["studies", "series", "instances"])
    def test_are_sent_as_they_are_stored(self, shelf: Shelf, level: str) -> None:
        response = get(shelf.url("MR_small_RLE", level), AS_STORED)

        assert response["Content-Type"].startswith('multipart/related; type="application/dicom"; boundary=')
        [part] = parts_of(response)
        assert part.content == shelf.files["MR_small_RLE"]
        assert part.media_type == "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"
        assert part.location == f"http://testserver{shelf.url('MR_small_RLE')}"

    def test_one_is_sent_without_parts_where_accept_says_so(self, shelf: Shelf) -> None:
        response = get(shelf.url("MR_small_RLE"), "application/dicom; transfer-syntax=*")

        assert response.getvalue() == shelf.files["MR_small_RLE"]
        assert response["Content-Type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"

    def test_several_are_not_sent_without_parts(self, shelf: Shelf) -> None:
        response = get(shelf.url("CT_small", "series"), "application/dicom")

        assert response.status_code == 406
        offer = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT_LITTLE}'
        assert response.json()["detail"] == f"The response is available as: {offer}."

    @pytest.mark.parametrize("accept", [None, "*/*", FILES, "multipart/related; type=application/dicom"])
    def test_are_explicit_little_endian_if_orthanc_can(self, shelf: Shelf, accept: str | None) -> None:
        [part] = parts_of(get(shelf.url("MR_small_RLE"), accept))

        received = dcmread(BytesIO(part.content))
        assert received.SOPInstanceUID == shelf.datasets["MR_small_RLE"].SOPInstanceUID
        assert part.media_type == f"application/dicom; transfer-syntax={received.file_meta.TransferSyntaxUID}"
        if CAN_TRANSCODE:
            assert received.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE
            assert received.PixelData == shelf.datasets["MR_small"].PixelData
        else:
            assert part.content == shelf.files["MR_small_RLE"]

    def test_are_transcoded(self, shelf: Shelf) -> None:
        response = get(shelf.url("CT_small"), f"{FILES}; transfer-syntax={JPEG_LS}")

        if not CAN_TRANSCODE:
            assert response.status_code == 406
            return
        [part] = parts_of(response)
        assert dcmread(BytesIO(part.content)).file_meta.TransferSyntaxUID == JPEG_LS

    @pytest.mark.parametrize(
        "accept",
        [
            f"{FILES}; transfer-syntax=1.2.3",
            # JPEG 2000, without the plugin that encodes it
            f"{FILES}; transfer-syntax=1.2.840.10008.1.2.4.90",
            f"{FILES}; transfer-syntax=1.2.840.10008.1.2.1&full",
            "image/png",
            "application/dicom+json",
        ],
    )
    def test_in_a_form_that_orthanc_cannot_make_are_not_acceptable(self, shelf: Shelf, accept: str) -> None:
        response = get(shelf.url("CT_small"), accept)

        assert response.status_code == 406
        assert response.json()["code"] == "NOT_ACCEPTABLE"

    def test_that_the_client_has_are_not_sent_again(self, shelf: Shelf) -> None:
        url = shelf.url("CT_small", "studies")
        first = get(url, AS_STORED)

        again = get(url, AS_STORED, **{"If-None-Match": first["ETag"]})

        assert again.status_code == 304
        assert get(url, AS_STORED).getvalue() == first.getvalue()

    def test_have_the_same_headers_for_head(self, shelf: Shelf) -> None:
        url = shelf.url("CT_small", "series")

        head = Client().head(url, headers={"Accept": AS_STORED, "X-Request-ID": "1"})
        assert head.getvalue() == b""

        got = get(url, AS_STORED, **{"X-Request-ID": "1"})
        got.close()
        # that of a short body is known once it is read
        assert {**head.headers} == {name: value for name, value in got.headers.items() if name != "Content-Length"}

    @pytest.mark.parametrize(
        "path",
        [
            "studies/1.2.3",
            "studies/{study}/series/1.2.3",
            "studies/1.2.3/series/{series}",
            "studies/{other}/series/{series}",
        ],
    )
    def test_of_another_path_are_not_found(self, shelf: Shelf, path: str) -> None:
        one, other = shelf.datasets["CT_small"], shelf.datasets["MR_small"]
        uids = {"study": one.StudyInstanceUID, "series": one.SeriesInstanceUID, "other": other.StudyInstanceUID}

        response = get(f"{ROOT}/{path.format_map(uids)}")

        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


def test_all_files_of_a_study_are_sent(archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(archive)

    parts = parts_of(get(f"{ROOT}/studies/{UIDS}.1.1", AS_STORED))

    received = [dcmread(BytesIO(part.content)) for part in parts]
    assert {(one.SeriesNumber, one.InstanceNumber) for one in received} == {
        (series, number) for series in (1, 2) for number in (1, 2, 3)
    }
    for one, part in zip(received, parts, strict=True):
        assert part.location.endswith(f"/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}")


class TestFrames:
    @pytest.fixture(autouse=True)
    def _archive(self, shelf: Shelf, use_orthanc: UseOrthanc) -> None:
        use_orthanc(shelf.orthanc)

    @pytest.mark.parametrize(
        ("name", "media_type", "syntax"),
        [
            ("MR_small_RLE", "image/dicom-rle", "1.2.840.10008.1.2.5"),
            ("MR_small_RLE", "image/x-dicom-rle", "1.2.840.10008.1.2.5"),
            ("MR_small_jpeg_ls_lossless", "image/jls", "1.2.840.10008.1.2.4.80"),
            ("MR_small_jp2klossless", "image/jp2", "1.2.840.10008.1.2.4.90"),
            ("SC_rgb_jpeg_dcmtk", "image/jpeg", "1.2.840.10008.1.2.4.50"),
            ("SC_rgb_jpeg_dcmtk", "application/octet-stream", "1.2.840.10008.1.2.4.50"),
        ],
    )
    def test_that_are_compressed_are_sent_as_they_are_stored(
        self, shelf: Shelf, name: str, media_type: str, syntax: str
    ) -> None:
        response = get(f"{shelf.url(name)}/frames/1", f'multipart/related; type="{media_type}"; transfer-syntax=*')

        [part] = parts_of(response)
        assert part.content == get_frame(shelf.datasets[name].PixelData, 0, number_of_frames=1)
        assert part.media_type == f"{media_type}; transfer-syntax={syntax}"
        assert part.location == f"http://testserver{shelf.url(name)}/frames/1"
        assert response["Content-Type"].startswith(f'multipart/related; type="{media_type}"')

    @pytest.mark.parametrize("accept", [None, "*/*", PARTS, STORED, f"{PARTS}; transfer-syntax={EXPLICIT_LITTLE}"])
    @pytest.mark.parametrize("name", ["CT_small", "MR_small", "MR_small_bigendian", "SC_rgb_small_odd"])
    def test_that_are_not_compressed_are_sent_in_little_endian(
        self, shelf: Shelf, name: str, accept: str | None
    ) -> None:
        [part] = parts_of(get(f"{shelf.url(name)}/frames/1", accept))

        dataset = shelf.datasets[name.removesuffix("_bigendian")]
        size = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8
        assert part.content == dataset.PixelData[:size]
        assert part.media_type == f"application/octet-stream; transfer-syntax={EXPLICIT_LITTLE}"

    @pytest.mark.parametrize("name", ["MR_small_RLE", "MR_small_jpeg_ls_lossless"])
    def test_are_decoded_if_orthanc_can(self, shelf: Shelf, name: str) -> None:
        response = get(f"{shelf.url(name)}/frames/1", f"{PARTS}; transfer-syntax={EXPLICIT_LITTLE}")

        if not CAN_TRANSCODE:
            assert response.status_code == 406
            return
        [part] = parts_of(response)
        assert part.content == shelf.datasets["MR_small"].PixelData
        assert part.media_type == f"application/octet-stream; transfer-syntax={EXPLICIT_LITTLE}"

    @pytest.mark.parametrize("frames", ["1", "15", "1,2,5", "5,1,15"])
    def test_of_several_are_sent_in_the_order_of_the_list(self, shelf: Shelf, frames: str) -> None:
        dataset = shelf.datasets["rtdose"]

        parts = parts_of(get(f"{shelf.url('rtdose')}/frames/{frames}", STORED))

        size = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
        numbers = [int(number) for number in frames.split(",")]
        assert [part.content for part in parts] == [dataset.PixelData[size * (n - 1) : size * n] for n in numbers]
        assert [part.location.rpartition("/")[2] for part in parts] == [str(number) for number in numbers]

    def test_of_a_compressed_file_are_sent_in_the_order_of_the_list(self, shelf: Shelf) -> None:
        dataset = shelf.datasets["examples_ybr_color"]

        parts = parts_of(get(f"{shelf.url('examples_ybr_color')}/frames/3,1", STORED))

        count = int(dataset.NumberOfFrames)
        assert [part.content for part in parts] == [
            get_frame(dataset.PixelData, number, number_of_frames=count) for number in (2, 0)
        ]

    @pytest.mark.since("1.12.2")
    def test_of_a_compressed_file_are_decoded_in_the_order_of_the_list(self, shelf: Shelf) -> None:
        url = shelf.url("examples_ybr_color")
        [file] = parts_of(get(url, f"{FILES}; transfer-syntax={EXPLICIT_LITTLE}"))

        parts = parts_of(get(f"{url}/frames/3,1,2", PARTS))

        decoded = dcmread(BytesIO(file.content))
        size = decoded.Rows * decoded.Columns * decoded.SamplesPerPixel
        assert [part.content for part in parts] == [
            decoded.PixelData[size * number : size * (number + 1)] for number in (2, 0, 1)
        ]

    def test_one_is_sent_without_parts_where_accept_says_so(self, shelf: Shelf) -> None:
        response = get(f"{shelf.url('CT_small')}/frames/1", "application/octet-stream")

        assert response.getvalue() == shelf.datasets["CT_small"].PixelData
        assert response["Content-Type"] == f"application/octet-stream; transfer-syntax={EXPLICIT_LITTLE}"
        assert response["Content-Length"] == str(len(shelf.datasets["CT_small"].PixelData))

    def test_several_are_not_sent_without_parts(self, shelf: Shelf) -> None:
        response = get(f"{shelf.url('rtdose')}/frames/1,2", "application/octet-stream")

        assert response.status_code == 406
        assert 'multipart/related; type="application/octet-stream"' in response.json()["detail"]

    def test_that_the_client_has_are_not_sent_again(self, shelf: Shelf) -> None:
        url = f"{shelf.url('CT_small')}/frames/1"
        first = get(url, PARTS)
        first.close()

        assert get(url, PARTS, **{"If-None-Match": first["ETag"]}).status_code == 304
        other = get(url, "application/octet-stream", **{"If-None-Match": first["ETag"]})
        other.close()
        assert other.status_code == 200

    @pytest.mark.parametrize(
        "frames",
        [
            *["0", "-1", "1,0", "1,1", "x", "1,", ",1", "01", "1.0", "+1", " 1", "٣", "2147483648", "9" * 5000],
            ",".join(["1"] * 10_000),
            ",".join(map(str, range(1, MAX_FRAMES + 2))),
        ],
    )
    def test_lists_that_are_invalid_are_rejected(self, shelf: Shelf, frames: str) -> None:
        response = get(f"{shelf.url('rtdose')}/frames/{frames}")

        assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")

    @pytest.mark.parametrize("frames", ["16", "1,16", "2147483647"])
    def test_beyond_the_last_are_not_found(self, shelf: Shelf, frames: str) -> None:
        assert get(f"{shelf.url('rtdose')}/frames/{frames}").status_code == 404

    @pytest.mark.parametrize("name", ["rtplan", "test-SR", "pdf"])
    def test_of_a_file_without_an_image_are_not_found(self, shelf: Shelf, name: str) -> None:
        assert get(f"{shelf.url(name)}/frames/1").status_code == 404
