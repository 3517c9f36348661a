"""An archive for the tests of DICOMweb: what pydicom ships in many encodings, by name."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any

import pytest
from django.test import Client
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, generate_uid

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import load
from tests.rest.conftest import encoded, shipped

ROOT = "/dicom-web"
PARTS = 'multipart/related; type="application/octet-stream"'
STORED = f"{PARTS}; transfer-syntax=*"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
NAMES = """
    CT_small MR_small MR_small_bigendian MR_small_RLE MR_small_jpeg_ls_lossless MR_small_jp2klossless SC_rgb_small_odd
    examples_ybr_color SC_rgb_jpeg_dcmtk rtplan test-SR rtdose
""".split()


@dataclass(frozen=True)
class Shelf:
    """An archive of files: their data sets and bytes by name."""

    orthanc: LocalOrthanc
    datasets: Mapping[str, Dataset]
    files: Mapping[str, bytes] = field(repr=False)

    def url(self, name: str, level: str = "instances") -> str:
        one = self.datasets[name]
        url = f"{ROOT}/studies/{one.StudyInstanceUID}"
        if level != "studies":
            url += f"/series/{one.SeriesInstanceUID}"
        return f"{url}/instances/{one.SOPInstanceUID}" if level == "instances" else url


@pytest.fixture(scope="session")
def shelf(start_session_orthanc: Callable[..., LocalOrthanc]) -> Shelf:
    """CT, MR in five encodings, colour, several frames, and files without an image."""
    orthanc = start_session_orthanc()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = {name: shipped(name) for name in NAMES}
        datasets["pdf"] = shipped("rtplan", PatientID="pdf", SOPInstanceUID=generate_uid(entropy_srcs=["pdf"]))
        pdf = datasets["pdf"]
        pdf.SOPClassUID = pdf.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
        pdf.EncapsulatedDocument, pdf.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4\n%%EOF\n\0", "application/pdf"
        files = {name: encoded(dataset) for name, dataset in datasets.items()}
    load(orthanc, files.values())
    return Shelf(orthanc, datasets, files)


def get(url: str, accept: str | None = None, **headers: str) -> Any:
    if accept is not None:
        headers["Accept"] = accept
    return Client().get(url, headers=headers)


@dataclass(frozen=True)
class ReceivedPart:
    media_type: str
    location: str
    content: bytes


def parts_of(response: Any) -> list[ReceivedPart]:
    """The parts of a multipart/related response, read by the standard library."""
    assert response.status_code == 200, response.content
    content = response.getvalue()
    message = message_from_bytes(b"Content-Type: " + response["Content-Type"].encode() + b"\r\n\r\n" + content)
    boundary = message.get_boundary()
    assert boundary
    assert content.endswith(f"--{boundary}--\r\n".encode())
    parts = []
    for raw in content.split(f"--{boundary}\r\n".encode())[1:]:
        head, _, body = raw.partition(b"\r\n\r\n")
        headers = message_from_bytes(head)
        body = body.removesuffix(f"--{boundary}--\r\n".encode()).removesuffix(b"\r\n")
        if "Content-Length" in headers:
            assert headers["Content-Length"] == str(len(body))
        parts.append(ReceivedPart(headers["Content-Type"], headers["Content-Location"], body))
    return parts
