"""Files in another transfer syntax (`?transcode=`): converted by Orthanc, or 415 with the reason."""

from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.test import Client
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import (
    MPEG2MPML,
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ask, load
from tests.orthancs import StartOrthanc, installed_version
from tests.rest.conftest import Gallery, encoded, shipped

pytestmark = pytest.mark.live
CONVERTS_FILES = (1, 12, 2)


def get(address: str, transfer_syntax: str, **headers: str) -> Any:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().get(address, {"transcode": transfer_syntax}, headers=sent)


def parsed(file: bytes) -> FileDataset:
    return dcmread(BytesIO(file))


class TestFile:
    @pytest.fixture(autouse=True)
    def _archive(self, gallery: Gallery, use_orthanc: UseOrthanc) -> None:
        use_orthanc(gallery.orthanc)

    @pytest.mark.since("1.12.2")
    @pytest.mark.parametrize(
        ("name", "transfer_syntax"),
        [
            ("CT_small", ImplicitVRLittleEndian),
            ("CT_small", JPEGLosslessSV1),
            ("examples_ybr_color", ExplicitVRLittleEndian),
            ("rtplan", ExplicitVRLittleEndian),
        ],
    )
    def test_is_in_the_transfer_syntax(self, name: str, transfer_syntax: UID, gallery: Gallery) -> None:
        response = get(gallery.address(name, "file"), transfer_syntax)
        assert response.status_code == 200
        data = response.getvalue()
        found, stored = parsed(data), parsed(gallery.files[name])
        assert found.file_meta.TransferSyntaxUID == transfer_syntax
        assert found.SOPInstanceUID == stored.SOPInstanceUID
        if name == "CT_small" and transfer_syntax == ImplicitVRLittleEndian:
            assert found.PixelData == stored.PixelData
        assert response["Content-Length"] == str(len(data))
        assert response["Content-Type"] == "application/dicom"

    @pytest.mark.since("1.12.2")
    def test_has_an_etag_of_its_own_and_no_ranges(self, gallery: Gallery) -> None:
        address = gallery.address("CT_small", "file")
        stored = Client().head(address)["ETag"]
        response = get(address, ImplicitVRLittleEndian, Range="bytes=0-9", If_None_Match=stored)
        assert (response.status_code, response["Accept-Ranges"]) == (200, "none")
        assert len(response.getvalue()) > 10
        etag = response["ETag"]
        assert etag.startswith("W/")
        assert get(address, ImplicitVRLittleEndian, If_None_Match=etag).status_code == 304
        assert get(address, JPEGLosslessSV1, If_None_Match=etag).getvalue()
        head = Client().head(f"{address}?transcode={ImplicitVRLittleEndian}")
        assert (head["ETag"], head["Content-Length"]) == (etag, response["Content-Length"])

    @pytest.mark.parametrize(
        ("name", "own"), [("CT_small", ExplicitVRLittleEndian), ("MR_small_jp2klossless", JPEG2000Lossless)]
    )
    def test_in_its_own_transfer_syntax_is_as_stored(self, name: str, own: UID, gallery: Gallery) -> None:
        address = gallery.address(name, "file")
        response = get(address, own, Range="bytes=0-299")
        assert (response.status_code, response.getvalue()) == (206, gallery.files[name][:300])
        assert response["ETag"] == Client().head(address)["ETag"]

    @pytest.mark.parametrize("method", ["get", "head"])
    @pytest.mark.parametrize("transfer_syntax", [JPEG2000Lossless, MPEG2MPML, "1.2.840.10008.1.2.4.202", "1.2.3"])
    def test_that_orthanc_cannot_make_is_an_error(self, transfer_syntax: str, method: str, gallery: Gallery) -> None:
        address = f"{gallery.address('CT_small', 'file')}?transcode={transfer_syntax}"
        response = getattr(Client(), method)(address)
        assert response.status_code == 415
        if method == "get":
            assert response.json()["code"] == "NOT_TRANSCODABLE"
            is_old = installed_version() < CONVERTS_FILES and transfer_syntax != "1.2.3"
            assert ("1.12.2" in response.json()["detail"]) is is_old

    def test_of_a_file_that_orthanc_cannot_decode_is_an_error(self, gallery: Gallery) -> None:
        response = get(gallery.address("MR_small_jp2klossless", "file"), ExplicitVRLittleEndian)
        assert (response.status_code, response.json()["code"]) == (415, "NOT_TRANSCODABLE")

    @pytest.mark.parametrize(
        "malformed", ["", "x", "1.2%26x", "1" * 65, "1.2.840.10008.1.2&transcode=1.2.840.10008.1.2"]
    )
    def test_malformed_is_an_invalid_request(self, malformed: str, gallery: Gallery) -> None:
        response = Client().get(f"{gallery.address('CT_small', 'file')}?transcode={malformed}")
        assert (response.status_code, response.json()["code"]) == (400, "BAD_USER_INPUT")


@pytest.fixture(scope="module")
def mixed(start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    """An archive with a study of two files, of which Orthanc can decode one."""
    orthanc = start_session_orthanc()
    ids = {"PatientID": "mixed", "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.77"}
    load(orthanc, [encoded(shipped(name, **ids)) for name in ("CT_small", "MR_small_jp2klossless")])
    return orthanc


class TestZip:
    def test_has_every_file_converted_or_as_stored(self, mixed: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(mixed)
        study = ask(mixed, "/studies").decode().split('"')[1]
        response = get(f"/api/orthanc/studies/{study}/archive/", ImplicitVRLittleEndian)
        assert response.status_code == 200
        with ZipFile(BytesIO(response.getvalue())) as found:
            files = [parsed(found.read(name)) for name in found.namelist()]
        assert {file.Modality: file.file_meta.TransferSyntaxUID for file in files} == {
            "CT": ImplicitVRLittleEndian,
            "MR": JPEG2000Lossless,
        }

    @pytest.mark.parametrize(("unknown", "status"), [("x", 400), ("1.2.3", 415)])
    def test_without_a_transfer_syntax_is_an_error(
        self, unknown: str, status: int, mixed: LocalOrthanc, use_orthanc: UseOrthanc
    ) -> None:
        use_orthanc(mixed)
        study = ask(mixed, "/studies").decode().split('"')[1]
        assert get(f"/api/orthanc/studies/{study}/archive/", unknown).status_code == status
