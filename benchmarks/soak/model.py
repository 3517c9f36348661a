"""The expected archive: the studies that each client of the soak has uploaded and not deleted."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydicom.uid import CTImageStorage

from orthancproxy.sandbox import datasets

SHARED_PATIENTS = 2
OWN_PATIENTS = 2
MOST_STUDIES = 4  # per client, so that the archive keeps its size
_PLANE = datasets.PlaneModule(spacing=0.5, position=(-100, -100, 0), thickness=1.0)

Slot = tuple[int, int]
"""SeriesNumber and InstanceNumber."""
Contents = Mapping[tuple[str, Slot], str]
"""The Orthanc id of each instance, by study and slot."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to upload, and its pixels, which must not change."""

    slot: Slot
    content: bytes
    pixels: bytes

    @property
    def folder(self) -> str:
        """The folder of the series."""
        return f"series-{self.slot[0]}"


@dataclass(slots=True)
class Study:
    """A study that is uploaded in chunks under one key; `stored` is the part that should exist."""

    key: str
    patient_id: str
    chunks: Sequence[Sequence[Slot]]
    edge: int  # pixels
    orthanc_id: str = ""
    ids: dict[Slot, str] = field(default_factory=dict)
    series_ids: dict[int, str] = field(default_factory=dict)
    stored: set[Slot] = field(default_factory=set)

    def files(self, slots: Sequence[Slot]) -> list[File]:
        """Return the files of these slots, the same at each call."""
        return [slice_file(self.key, slot, self.edge) for slot in slots]

    def series(self) -> list[int]:
        """Return the series that should exist."""
        return sorted({series for series, _ in self.stored})

    def of_series(self, number: int) -> list[Slot]:
        """Return the slots of a series that should exist."""
        return sorted(slot for slot in self.stored if slot[0] == number)


@dataclass(frozen=True, slots=True)
class Owned:
    """The patients of one client, which no other changes."""

    studies: list[Study] = field(default_factory=list)

    def living(self) -> list[Study]:
        """Return the studies that should not be empty."""
        return [study for study in self.studies if study.stored]

    def of_patient(self, patient_id: str) -> list[Study]:
        """Return those of one patient."""
        return [study for study in self.living() if study.patient_id == patient_id]

    def contents(self) -> dict[tuple[str, Slot], str]:
        """Return all instances that should exist."""
        return {(study.orthanc_id, slot): study.ids[slot] for study in self.living() for slot in study.stored}

    def forget(self, study: Study, slots: Sequence[Slot]) -> list[tuple[str, str]]:
        """Remove these slots; return level and Orthanc id of each parent that becomes empty."""
        gone = []
        study.stored.difference_update(slots)
        gone += [
            ("SERIES", study.series_ids[number])
            for number in sorted({number for number, _ in slots})
            if not study.of_series(number)
        ]
        if not study.stored:
            gone.append(("STUDY", study.orthanc_id))
        if not self.of_patient(study.patient_id):
            gone.append(("PATIENT", patient_orthanc_id(study.patient_id)))
        return gone


def new_study(key: str, patient_id: str, rng: random.Random) -> Study:
    """Return a study of one to three series of one to five slices, in one to three chunks."""
    slots = [
        (series, number) for series in range(1, rng.randint(1, 3) + 1) for number in range(1, rng.randint(1, 5) + 1)
    ]
    rng.shuffle(slots)
    count = min(rng.randint(1, 3), len(slots))
    chunks = [slots[start::count] for start in range(count)]
    return Study(key, patient_id, chunks, edge=rng.choice((16, 64, 64, 256)))


def shared_study(number: int, seed: int) -> Study:
    """Return a study that all clients upload and delete."""
    slots = [(series, one) for series in (1, 2) for one in (1, 2, 3)]
    return Study(f"soak-{seed}-shared-{number}", f"SOAK-SHARED-{number}", [slots[::2], slots[1::2]], edge=32)


def patients_of(client: int) -> list[str]:
    """Return the PatientIDs that only this client uses."""
    return [f"SOAK-{client:02d}-{number}" for number in range(OWN_PATIENTS)]


def patient_orthanc_id(patient_id: str) -> str:
    """Return Orthanc's id of a patient: a SHA-1 in five groups."""
    digest = hashlib.sha1(patient_id.encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def slice_file(key: str, slot: Slot, edge: int) -> File:
    """Return a CT slice of noise, the same for the same arguments."""
    number_of_series, number = slot
    seed = hashlib.sha256(f"{key} {slot}".encode()).digest()
    noise = np.random.default_rng(int.from_bytes(seed[:8])).integers(0, 4096, (edge, edge), dtype=np.uint16)
    patient = datasets.PatientModule("SOAK", "Soak^Model", "19700101", "O", "ISO_IR 192")
    study = datasets.StudyModule(
        patient,
        hashlib.sha256(key.encode()).hexdigest()[:16],
        "A1",
        "20260101",
        "101010",
        "Soak",
        "Kim^Yuna",
        "샘플 병원",
        "056Y",
    )
    series = datasets.SeriesModule(
        study, number_of_series, "CT", f"Series {number_of_series}", "Soak", "HEAD", "Benchmark", "Noise", "CT1"
    )
    dataset = datasets.image(series, number, CTImageStorage, ["ORIGINAL", "PRIMARY", "AXIAL"])
    datasets.place(dataset, series, _PLANE)
    datasets.set_pixels(dataset, noise, bits_stored=12)
    return File(slot, datasets.encode(dataset), noise.astype("<u2").tobytes())


def differences(expected: Contents, found: Contents) -> Iterator[str]:
    """Return a line for each instance that is missing, unexpected or different."""
    for place in sorted(expected.keys() - found.keys()):
        yield f"{place} should be there: {expected[place]}"
    for place in sorted(found.keys() - expected.keys()):
        yield f"{place} should not be there: {found[place]}"
    for place in sorted(expected.keys() & found.keys()):
        if expected[place] != found[place]:
            yield f"{place} is {found[place]}, and should be {expected[place]}"
