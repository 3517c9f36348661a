"""The modules that the DICOM data sets of the sample studies share.

Section numbers are those of DICOM PS3.3.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from orthancproxy.sandbox.phantoms.canvas import Pixels

_UID_SOURCE = "orthanc-graphql-gateway sandbox"


@dataclass(frozen=True, slots=True)
class PatientModule:
    """The Patient Module (C.7.1.1), and the SpecificCharacterSet of the patient's files (C.12.1.1.2)."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    character_set: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyModule:
    """The General Study Module (C.7.2.1) and the institution."""

    patient: PatientModule
    study_id: str
    accession_number: str
    date: str
    time: str
    description: str
    referring_physician: str
    institution: str
    age: str


@dataclass(frozen=True, slots=True)
class SeriesModule:
    """The General Series Module (C.7.3.1) and the equipment (C.7.5.1)."""

    study: StudyModule
    number: int
    modality: str
    description: str
    protocol: str
    body_part: str
    manufacturer: str
    model: str
    station: str
    patient_position: str = "HFS"


@dataclass(frozen=True, slots=True)
class PlaneModule:
    """The Image Plane Module (C.7.6.2) in mm; `position` is the centre of the first pixel."""

    spacing: float
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float] = (1, 0, 0, 0, 1, 0)
    thickness: float | None = None


def fixed_uid(*parts: object) -> UID:
    """Return a UID that is determined by the parts."""
    return generate_uid(entropy_srcs=[_UID_SOURCE, *map(str, parts)])


def encode(dataset: Dataset) -> bytes:
    """Return a data set as a DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def image(series: SeriesModule, number: int, sop_class: UID, image_type: list[str]) -> Dataset:
    """Return the modules of any image, without pixels."""
    study, patient = series.study, series.study.patient
    dataset = Dataset()
    dataset.SpecificCharacterSet = (
        patient.character_set if isinstance(patient.character_set, str) else list(patient.character_set)
    )
    dataset.ImageType = image_type
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = fixed_uid(study.study_id, series.number, number)
    for kind in ("Study", "Series", "Acquisition", "Content", "InstanceCreation"):
        setattr(dataset, f"{kind}Date", study.date)
        setattr(dataset, f"{kind}Time", study.time)
    dataset.AccessionNumber = study.accession_number
    dataset.Modality = series.modality
    dataset.Manufacturer = series.manufacturer
    dataset.ManufacturerModelName = series.model
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = "sandbox"
    dataset.InstitutionName = study.institution
    dataset.ReferringPhysicianName = study.referring_physician
    dataset.StationName = series.station
    dataset.StudyDescription = study.description
    dataset.SeriesDescription = series.description
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = patient.birth_date
    dataset.PatientSex = patient.sex
    dataset.PatientAge = study.age
    dataset.BodyPartExamined = series.body_part
    dataset.ProtocolName = series.protocol
    dataset.StudyInstanceUID = fixed_uid(study.study_id)
    dataset.SeriesInstanceUID = fixed_uid(study.study_id, series.number)
    dataset.StudyID = study.study_id
    dataset.SeriesNumber = series.number
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = number
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def place(dataset: Dataset, series: SeriesModule, plane: PlaneModule) -> None:
    """Add the modules Frame of Reference (C.7.4.1) and Image Plane (C.7.6.2)."""
    dataset.PatientPosition = series.patient_position
    dataset.FrameOfReferenceUID = fixed_uid(series.study.study_id, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.PixelSpacing = [plane.spacing, plane.spacing]
    dataset.ImagePositionPatient = [round(value, 4) for value in plane.position]
    dataset.ImageOrientationPatient = list(plane.orientation)
    dataset.SliceThickness = plane.thickness
    if plane.thickness is not None:
        dataset.SliceLocation = round(plane.position[2], 4)


def set_pixels(dataset: Dataset, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits_stored: int) -> None:
    """Add the Image Pixel Module (C.7.6.3) for grey values of shape ([frames,] rows, columns)."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits_stored
    dataset.HighBit = bits_stored - 1
    dataset.PixelRepresentation = 0
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"


def twelve_bits(pixels: Pixels) -> NDArray[np.uint16]:
    """Return the pixels rounded to whole numbers from 0 to 4095."""
    return np.clip(np.rint(pixels), 0, 4095).astype(np.uint16)
