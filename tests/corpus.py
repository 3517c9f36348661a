"""DICOM files for the tests: small, with every tag of the contract, and with values that are hard to get right."""

import http.client
import json
from collections.abc import Iterable, Iterator
from functools import cache
from io import BytesIO
from typing import Any

from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.sandbox.studies import instances

ROOT = "1.2.826.0.1.3680043.8.498.1"


def instance(patient: int = 1, study: int = 1, series: int = 1, number: int = 1, **tags: Any) -> bytes:
    """One CT slice of 8 × 8 pixels as a DICOM file; `tags` replace what it would have, None leaves a tag out."""
    study_uid = f"{ROOT}.{patient}.{study}"
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientID": f"P{patient:03d}",
        "PatientName": f"Kim{patient:03d}^Minsu=金{patient}^民洙=김{patient}^민수",
        "PatientBirthDate": f"19{50 + patient % 50}0315",
        "PatientSex": "F" if patient % 2 else "M",
        "PatientAge": f"0{patient % 90 + 10}Y",
        "StudyInstanceUID": study_uid,
        "StudyDate": f"202{study % 10}0{patient % 9 + 1}11",
        "StudyTime": f"10{study:02d}30.5",
        "StudyDescription": f"Brain study {study}",
        "StudyID": f"S{study}",
        "AccessionNumber": f"A{patient:03d}-{study}",
        "ReferringPhysicianName": "Yamada^Tarou",
        "InstitutionName": "서울병원",
        "SeriesInstanceUID": f"{study_uid}.{series}",
        "SeriesNumber": str(series),
        "SeriesDescription": f"Series {series}",
        "SeriesDate": f"202{study % 10}0{patient % 9 + 1}11",
        "SeriesTime": "101500",
        "Modality": "CT" if series % 2 else "MR",
        "BodyPartExamined": "HEAD",
        "ProtocolName": f"Protocol {series}",
        "Manufacturer": "ACME",
        "StationName": "ST1",
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{study_uid}.{series}.{number}",
        "InstanceNumber": str(number),
        "KVP": "120",
        "PixelSpacing": ["0.5", "0.25"],
        "SliceThickness": "1.5",
        "SliceLocation": str(-10.0 + number),
        "ImagePositionPatient": ["-100", "-90.5", str(number)],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 8,
        "Columns": 8,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": bytes(range(128)),
    }
    values |= tags
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with config.disable_value_validation():
        for keyword, value in values.items():
            if value is None:
                continue
            try:
                setattr(dataset, keyword, value)
            except ValueError:
                dataset[keyword] = _raw(keyword, value)
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _raw(keyword: str, value: str) -> RawDataElement:
    """An element with a value that its VR does not allow, as some devices write it."""
    tag = Tag(keyword)
    content = value.encode().ljust(len(value) + len(value) % 2)
    return RawDataElement(
        tag, dictionary_VR(tag), len(content), content, 0, is_implicit_VR=False, is_little_endian=True
    )


@cache
def sample_studies() -> tuple[bytes, ...]:
    """Return the sample studies as DICOM files, rendered once in a session: that takes 9 s."""
    return tuple(map(encode, instances()))


def hierarchy(patients: int = 3, studies: int = 2, series: int = 2, instances: int = 3) -> Iterator[bytes]:
    """Files of so many patients, each with so many studies, and so on."""
    for patient in range(1, patients + 1):
        for study in range(1, studies + 1):
            for one_series in range(1, series + 1):
                for number in range(1, instances + 1):
                    yield instance(patient, study, one_series, number)


def load(orthanc: LocalOrthanc, files: Iterable[bytes]) -> None:
    """Store files in an Orthanc."""
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    for file in files:
        try:
            connection.request("POST", "/instances", file, orthanc.headers)
            response = connection.getresponse()
        except ConnectionError:
            # Orthanc closes a connection that was idle for a second, as on a busy machine
            connection.close()
            connection.request("POST", "/instances", file, orthanc.headers)
            response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
    connection.close()


def ask(orthanc: LocalOrthanc, path: str, method: str = "GET", content: bytes | None = None) -> bytes:
    """What Orthanc itself answers."""
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    connection.request(method, path, content, dict(orthanc.headers))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


def stored_files(orthanc: LocalOrthanc) -> Iterator[Any]:
    """Every file that Orthanc has, read by pydicom."""
    for name in json.loads(ask(orthanc, "/instances")):
        yield dcmread(BytesIO(ask(orthanc, f"/instances/{name}/file")))
