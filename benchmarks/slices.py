"""Seeded DICOM files to upload: CT slices with a realistic header, and multi-frame files of any size.

pydicom makes a few templates; all other files are copies with a SOPInstanceUID and an InstanceNumber of the same
length: a gigabyte of slices takes a second or two, while it is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from orthancproxy.sandbox.datasets import (
    PatientModule,
    PlaneModule,
    SeriesModule,
    StudyModule,
    encode,
    fixed_uid,
    image,
    place,
    set_pixels,
)

FOLDER = "CT"
FRAME_BYTES = 512 * 512 * 2
_SEED = 20_260_101
_TEMPLATES = 6
_PRIVATE_ELEMENTS = 20  # in each of two groups
_NUMBER_LENGTH = 4  # digits of an InstanceNumber

_STUDY = StudyModule(
    patient=PatientModule("SCANNER-1", "Hong^Gildong=洪^吉洞=홍^길동", "19680415", "M", ("", "ISO 2022 IR 149")),
    study_id="1",
    accession_number="A26010101",
    date="20260101",
    time="101010",
    description="Brain CT",
    referring_physician="Kim^Yuna=金^由娜=김^유나",
    institution="샘플 병원",
    age="057Y",
)
_SERIES = SeriesModule(
    study=_STUDY,
    number=1,
    modality="CT",
    description="뇌 5.0 mm",
    protocol="Brain without contrast",
    body_part="HEAD",
    manufacturer="Benchmark Imaging",
    model="Noise CT",
    station="CT1",
)


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A file to upload: `size` is in bytes; `chunks` generates its bytes at each call."""

    name: str
    folder: str
    size: int
    chunks: Callable[[], Iterator[bytes]]


def ct_slices(count: int) -> Iterator[DicomFile]:
    """Return up to 9,999 CT slices of 512 × 512 × 16 bit with about 130 elements."""
    for number in range(1, count + 1):
        template = _templates()[number % _TEMPLATES]
        yield DicomFile(f"IM{number:05d}.dcm", FOLDER, template.size, template.numbered(number))


def multi_frames(count: int, frames: int) -> Iterator[DicomFile]:
    """Return files with a number of frames of 0.5 MB, whose pixels are generated while they are sent."""
    for number in range(1, count + 1):
        head = _multi_frame_head(number, frames)
        yield DicomFile(f"MF{number:05d}.dcm", FOLDER, len(head) + frames * FRAME_BYTES, _with_frames(head, frames))


class _Template:
    """A file whose copies differ in SOPInstanceUID and InstanceNumber."""

    def __init__(self, data: bytes) -> None:
        uid = _uid(0).encode()
        number = b"\x20\x00\x13\x00IS" + struct.pack("<H", _NUMBER_LENGTH)
        # the meta information repeats the SOPInstanceUID
        first = data.index(uid)
        self._uids = (first, data.index(uid, first + 1))
        self._number = data.index(number) + len(number)
        self._data = data
        self.size = len(data)

    def numbered(self, number: int) -> Callable[[], Iterator[bytes]]:
        """Yield the chunks of the copy with this number."""

        def chunks() -> Iterator[bytes]:
            copy = bytearray(self._data)
            uid = _uid(number).encode()
            for position in self._uids:
                copy[position : position + len(uid)] = uid
            copy[self._number : self._number + _NUMBER_LENGTH] = f"{number:0{_NUMBER_LENGTH}d}".encode()
            yield bytes(copy)

        return chunks


def _uid(number: int) -> str:
    """Return a SOPInstanceUID of the same length for every number."""
    return f"{fixed_uid('benchmark')[:50]}.{1_000_000 + number}"


@cache
def _noise() -> tuple[np.ndarray[tuple[int, int], np.dtype[np.uint16]], ...]:
    """Return 512 × 512 pixels around soft tissue in 12 bits, for each template."""
    generator = np.random.default_rng(_SEED)
    return tuple(np.clip(generator.normal(1000, 200, (512, 512)), 0, 4095).astype("<u2") for _ in range(_TEMPLATES))


@cache
def _templates() -> tuple[_Template, ...]:
    return tuple(_Template(encode(_slice(index))) for index in range(_TEMPLATES))


def _slice(index: int) -> Dataset:
    dataset = image(_SERIES, 0, CTImageStorage, ["ORIGINAL", "PRIMARY", "AXIAL"])
    _number(dataset, _uid(0), 0)
    place(dataset, _SERIES, PlaneModule(0.488, (-125.0, -125.0, 5.0 * index), thickness=5.0))
    _describe_scanner(dataset)
    _add_sequences(dataset)
    _add_private_elements(dataset)
    set_pixels(dataset, _noise()[index], bits_stored=12)
    return dataset


def _number(dataset: Dataset, uid: str, number: int) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    dataset.InstanceNumber = f"{number:0{_NUMBER_LENGTH}d}"


def _describe_scanner(dataset: Dataset) -> None:
    """Add the CT Image Module (PS3.3 C.8.2.1), and other elements that scanners write."""
    values = {
        "AcquisitionTime": "101010.250",
        "ContentTime": "101010.500",
        "InstitutionAddress": "Seoul",
        "InstitutionalDepartmentName": "Radiology",
        "OperatorsName": "Operator^One",
        "PatientSize": "1.75",
        "PatientWeight": "70",
        "ScanOptions": "AXIAL MODE",
        "KVP": "120",
        "DataCollectionDiameter": "500",
        "ReconstructionDiameter": "250",
        "DistanceSourceToDetector": "1085.6",
        "DistanceSourceToPatient": "595",
        "GantryDetectorTilt": "0",
        "TableHeight": "145.5",
        "RotationDirection": "CW",
        "ExposureTime": "1000",
        "XRayTubeCurrent": "200",
        "Exposure": "200",
        "FilterType": "BODY FILTER",
        "GeneratorPower": "50",
        "FocalSpots": "1.2",
        "DateOfLastCalibration": "20251231",
        "ConvolutionKernel": "H30s",
        "SingleCollimationWidth": 1.25,
        "TotalCollimationWidth": 20.0,
        "CTDIvol": 45.2,
        "PerformedProcedureStepStartDate": "20260101",
        "PerformedProcedureStepStartTime": "101000",
        "PerformedProcedureStepID": "PPS1",
        "RequestedProcedureID": "RP1",
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "WindowCenter": ["40", "600"],
        "WindowWidth": ["80", "2800"],
        "WindowCenterWidthExplanation": ["BRAIN", "BONE"],
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)


def _add_sequences(dataset: Dataset) -> None:
    step = Dataset()
    step.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.3"  # Modality Performed Procedure Step
    step.ReferencedSOPInstanceUID = fixed_uid("benchmark", "step")
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([step])
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24725-4", "LN", "CT Head"
    dataset.ProcedureCodeSequence = Sequence([code])


def _add_private_elements(dataset: Dataset) -> None:
    texts = dataset.private_block(0x0009, "BENCHMARK TEXTS", create=True)
    numbers = dataset.private_block(0x0019, "BENCHMARK NUMBERS", create=True)
    for element in range(_PRIVATE_ELEMENTS):
        texts.add_new(element, "LO", f"value {element}")
        numbers.add_new(element, "DS", "1.5")


def _multi_frame_head(number: int, frames: int) -> bytes:
    """Return a file up to the value of PixelData."""
    dataset = image(
        _SERIES, number, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, ["DERIVED", "SECONDARY", "AXIAL"]
    )
    dataset.PatientOrientation = ""
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "NO"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    _add_private_elements(dataset)
    set_pixels(dataset, _noise()[0], bits_stored=12)
    del dataset.PixelData
    dataset.NumberOfFrames = frames
    dataset.FrameIncrementPointer = 0x00181063  # FrameTime
    dataset.FrameTime = 40.0
    # its element in Explicit VR Little Endian (PS3.5 7.1.2): tag, VR, two bytes reserved, length
    return encode(dataset) + b"\xe0\x7f\x10\x00OW\x00\x00" + struct.pack("<I", frames * FRAME_BYTES)


def _with_frames(head: bytes, frames: int) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        yield head
        pixels = [frame.tobytes() for frame in _noise()]
        for number in range(frames):
            yield pixels[number % _TEMPLATES]

    return chunks
