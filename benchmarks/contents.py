"""Seeded archives: patients × 5 studies × 4 series × 25 small instances, with all tags of the contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from orthancproxy.sandbox.datasets import (
    PatientModule,
    PlaneModule,
    SeriesModule,
    StudyModule,
    image,
    place,
    set_pixels,
)

STUDIES = 5  # of each patient
SERIES = 4  # of each study
INSTANCES = 25  # of each series
OF_PATIENT = STUDIES * SERIES * INSTANCES
OF_STUDY = SERIES * INSTANCES
SIDE = 16  # pixels
SPACING = 0.5  # mm, between pixels
THICKNESS = 2.5  # mm, and the distance of one slice from the next

_SEED = 20_260_201
_NAMES = (
    ("Bench^Anna", "ISO_IR 100"),
    ("Hong^Gildong=洪^吉洞=홍^길동", ("", "ISO 2022 IR 149")),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87")),
    ("Müller^Jörg", "ISO_IR 100"),
    ("김^민준", "ISO_IR 192"),
)
_PROTOCOLS = (("HEAD", "Brain"), ("CHEST", "Thorax"), ("ABDOMEN", "Abdomen"), ("PELVIS", "Pelvis"))


@dataclass(frozen=True, slots=True)
class Contents:
    """An archive with a number of patients."""

    patients: int

    @property
    def studies(self) -> int:
        """The number of studies."""
        return self.patients * STUDIES

    @property
    def series(self) -> int:
        """The number of series."""
        return self.studies * SERIES

    @property
    def instances(self) -> int:
        """The number of instances."""
        return self.series * INSTANCES

    @property
    def digest(self) -> str:
        """A digest of the generated data, which changes with the generator."""
        samples = [next(files(0)), next(files(len(_NAMES) - 1))]
        text = "".join(sample.to_json() for sample in samples)
        return hashlib.sha256(f"{self.patients} {STUDIES} {SERIES} {INSTANCES} {text}".encode()).hexdigest()[:12]


def files(patient: int) -> Iterator[Dataset]:
    """Yield the data sets of the patient with this number, from 0."""
    random = np.random.default_rng((_SEED, patient))
    for study in range(STUDIES):
        for number in range(1, SERIES + 1):
            series = _series(_study(patient, study), number)
            for instance in range(1, INSTANCES + 1):
                yield _instance(series, instance, random.integers(0, 256, (SIDE, SIDE), np.uint8))


def first_files(patient: int) -> Iterator[Dataset]:
    """Yield a data set of each study of the patient with this number."""
    for study in range(STUDIES):
        yield _instance(_series(_study(patient, study), 1), 1, np.zeros((SIDE, SIDE), np.uint8))


def patient_id(patient: int) -> str:
    """The PatientID of the patient with this number."""
    return f"BENCH{patient:04d}"


def patient_name(patient: int) -> str:
    """The PatientName of the patient with this number."""
    return _NAMES[patient % len(_NAMES)][0]


def slice_position(series: int, instance: int) -> tuple[float, float, float]:
    """ImagePositionPatient (mm) of an instance, by the SeriesNumber and the InstanceNumber, from 1."""
    return (-4.0, -4.0 - series, -30.0 + THICKNESS * instance)


def _study(patient: int, study: int) -> StudyModule:
    name, character_set = _NAMES[patient % len(_NAMES)]
    return StudyModule(
        patient=PatientModule(
            patient_id(patient),
            name,
            f"19{40 + patient % 60}{1 + patient % 12:02d}15",
            "FM"[patient % 2],
            character_set,
        ),
        study_id=f"B{patient:04d}-{study}",
        accession_number=f"A{patient:04d}{study}",
        date=f"20{20 + study}{1 + patient % 12:02d}{1 + patient % 28:02d}",
        time="101010",
        description=f"Follow-up {study + 1}",
        referring_physician="Referring^Rita",
        institution="Benchmark Hospital",
        age="045Y",
    )


def _series(study: StudyModule, number: int) -> SeriesModule:
    body_part, protocol = _PROTOCOLS[number - 1]
    return SeriesModule(
        study=study,
        number=number,
        modality="CT",
        description=f"{body_part} {THICKNESS} mm",
        protocol=protocol,
        body_part=body_part,
        manufacturer="Benchmark Imaging",
        model="Noise CT",
        station="CT1",
    )


def _instance(series: SeriesModule, number: int, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Dataset:
    dataset = image(series, number, CTImageStorage, ["ORIGINAL", "PRIMARY", "AXIAL"])
    place(dataset, series, PlaneModule(SPACING, slice_position(series.number, number), thickness=THICKNESS))
    set_pixels(dataset, pixels, bits_stored=8)
    dataset.NumberOfFrames = 1
    return dataset
