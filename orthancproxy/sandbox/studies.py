"""The sample studies: realistic images, with names, dates and character sets that are hard to get right.

- A Korean patient with a chest CT (UTF-8, a name with three component groups).
- A Japanese patient with two head MRs, a year apart (ISO 2022 IR 87, with escape sequences inside the values).
- A German patient with an ultrasound loop (Latin-1).
- An MR image and an RT plan that come with pydicom.

People and hospitals are fictitious. UIDs and pixels are the same in every run, so that loading them again changes
nothing.

Component groups of names: DICOM PS3.5 6.2.1; character sets: PS3.3 C.12.1.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, MRImageStorage, UltrasoundMultiFrameImageStorage

from orthancproxy.sandbox.datasets import (
    PatientModule,
    PlaneModule,
    SeriesModule,
    StudyModule,
    image,
    place,
    set_pixels,
    twelve_bits,
)
from orthancproxy.sandbox.phantoms import Contrast, chest_radiograph, chest_slice, head_slice, heart_frame
from orthancproxy.sandbox.phantoms.chest import FIELD_OF_VIEW as CHEST_WIDTH
from orthancproxy.sandbox.phantoms.head import FIELD_OF_VIEW as HEAD_WIDTH
from orthancproxy.sandbox.phantoms.heart import DEPTH as HEART_DEPTH

KOREAN = PatientModule("KR-0001", "Hong^Gildong=洪^吉洞=홍^길동", "19680415", "M", "ISO_IR 192")
JAPANESE = PatientModule("JP-0002", "Yamada^Tarou=山田^太郎=やまだ^たろう", "19750903", "M", ("", "ISO 2022 IR 87"))
GERMAN = PatientModule("DE-0003", "Müller^Jörg^^Dr.", "19540722", "M", "ISO_IR 100")

CHEST_SLICES = 60
HEAD_SLICES = 18
HEART_FRAMES = 20

_MANUFACTURER = "Sandbox Imaging"


def instances() -> Iterator[Dataset]:
    """Generate the sample instances, `INSTANCES_COUNT` in total."""
    yield from chest_ct()
    yield from head_mr()
    yield from heart_ultrasound()
    yield from shipped_with_pydicom()


def chest_ct() -> Iterator[Dataset]:
    """The Korean patient: a topogram, and 60 slices of 512 × 512 from the apex of the lungs down."""
    study = StudyModule(
        patient=KOREAN,
        study_id="CT240311",
        accession_number="A24031101",
        date="20240311",
        time="093214",
        description="흉부 CT (조영 증강)",
        referring_physician="Kim^Yuna=金^由娜=김^유나",
        institution="샘플 병원",
        age="055Y",
    )
    axial = SeriesModule(
        study=study,
        number=2,
        modality="CT",
        description="흉부 5.0 mm 연부조직",
        protocol="Chest with contrast",
        body_part="CHEST",
        manufacturer=_MANUFACTURER,
        model="Phantom CT",
        station="CT1",
    )
    yield _topogram(replace(axial, number=1, description="Topogram", protocol="Topogram"))
    size, thickness = 512, 5.0
    for index in range(CHEST_SLICES):
        z = (CHEST_SLICES - index - 0.5) * thickness
        dataset = image(axial, index + 1, CTImageStorage, ["ORIGINAL", "PRIMARY", "AXIAL"])
        place(dataset, axial, _axial_plane(CHEST_WIDTH, size, z, thickness))
        _describe_ct(dataset)
        dataset.RescaleType = "HU"
        dataset.ContrastBolusAgent = "Iodine"
        dataset.WindowCenter, dataset.WindowWidth = [40, -500], [400, 1500]
        dataset.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
        set_pixels(dataset, twelve_bits(chest_slice(z, size) + 1024), bits_stored=12)
        yield dataset


def head_mr() -> Iterator[Dataset]:
    """The Japanese patient: three contrasts of the head, and two of a year before, with a smaller lesion."""
    study = StudyModule(
        patient=JAPANESE,
        study_id="MR240522",
        accession_number="A24052207",
        date="20240522",
        time="141503",
        description="頭部MRI 経過観察",
        referring_physician="Suzuki^Hanako=鈴木^花子=すずき^はなこ",
        institution="東京サンプル病院",
        age="048Y",
    )
    former = replace(
        study,
        study_id="MR230516",
        accession_number="A23051603",
        date="20230516",
        time="101127",
        description="頭部MRI",
        age="047Y",
    )
    yield from _head_series(study, 1, "T1", lesion_radius=7.5)
    yield from _head_series(study, 2, "T2", lesion_radius=7.5)
    yield from _head_series(study, 3, "FLAIR", lesion_radius=7.5)
    yield from _head_series(former, 1, "T2", lesion_radius=4.5)
    yield from _head_series(former, 2, "FLAIR", lesion_radius=4.5)


def heart_ultrasound() -> Iterator[Dataset]:
    """The German patient: one heartbeat in 20 frames, in one instance."""
    study = StudyModule(
        patient=GERMAN,
        study_id="US240607",
        accession_number="A24060712",
        date="20240607",
        time="081950",
        description="Echokardiographie",
        referring_physician="Weiß^Käthe",
        institution="Musterklinik",
        age="069Y",
    )
    series = SeriesModule(
        study=study,
        number=1,
        modality="US",
        description="Apikaler Vierkammerblick",
        protocol="TTE",
        body_part="HEART",
        manufacturer=_MANUFACTURER,
        model="Phantom US",
        station="US1",
    )
    size = 480
    dataset = image(series, 1, UltrasoundMultiFrameImageStorage, ["ORIGINAL", "PRIMARY"])
    dataset.PatientOrientation = ""
    dataset.LossyImageCompression = "00"
    dataset.UltrasoundColorDataPresent = 0
    dataset.FrameTime = 45.0  # ms
    dataset.FrameIncrementPointer = 0x00181063  # FrameTime
    dataset.CineRate = dataset.RecommendedDisplayFrameRate = 22
    dataset.SequenceOfUltrasoundRegions = Sequence([_ultrasound_region(size)])
    frames = [heart_frame(number / HEART_FRAMES, size) for number in range(HEART_FRAMES)]
    set_pixels(dataset, np.stack(frames), bits_stored=8)
    yield dataset


def shipped_with_pydicom() -> Iterator[Dataset]:
    """Read two files that come with pydicom: a small MR image, and an RT plan, which has no pixels."""
    for name in SHIPPED:
        path = get_testdata_file(name, download=False)
        if not isinstance(path, str):
            raise FileNotFoundError(f"pydicom no longer contains {name}")
        yield dcmread(path)


SHIPPED = ("MR_small.dcm", "rtplan.dcm")
INSTANCES_COUNT = 1 + CHEST_SLICES + 5 * HEAD_SLICES + 1 + len(SHIPPED)


def _axial_plane(width: float, size: int, z: float, thickness: float) -> PlaneModule:
    spacing = width / size
    first = -width / 2 + spacing / 2
    return PlaneModule(spacing=round(spacing, 6), position=(first, first, z), thickness=thickness)


def _describe_ct(dataset: Dataset) -> None:
    """The CT Image Module (PS3.3 C.8.2.1); pixels are Hounsfield units + 1024."""
    dataset.KVP = 120
    dataset.ExposureTime = 500
    dataset.XRayTubeCurrent = 210
    dataset.ConvolutionKernel = "STANDARD"
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1


def _topogram(series: SeriesModule) -> Dataset:
    """Return the coronal overview of a CT (a localizer: PS3.3 C.8.2.1.1.1)."""
    size = 256
    spacing = CHEST_WIDTH / size
    dataset = image(series, 1, CTImageStorage, ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    plane = PlaneModule(
        spacing=round(spacing, 6),
        position=(-CHEST_WIDTH / 2 + spacing / 2, 0.0, 300.0),
        orientation=(1, 0, 0, 0, 0, -1),
    )
    place(dataset, series, plane)
    _describe_ct(dataset)
    dataset.WindowCenter, dataset.WindowWidth = 250, 2000
    set_pixels(dataset, twelve_bits(chest_radiograph(size) * 8), bits_stored=12)
    return dataset


_CONTRASTS = {
    "T1": Contrast(fluid=110, grey_matter=430, white_matter=640, lesion=330, fat=900, muscle=330),
    "T2": Contrast(fluid=1000, grey_matter=560, white_matter=390, lesion=830, fat=620, muscle=200),
    "FLAIR": Contrast(fluid=70, grey_matter=560, white_matter=440, lesion=920, fat=600, muscle=260),
}
_WINDOW_WIDTHS = {"T1": 950, "T2": 1150, "FLAIR": 950}
# ms: repetition, echo and inversion time
_TIMES: dict[str, tuple[int, int, int | None]] = {
    "T1": (550, 12, None),
    "T2": (4500, 95, None),
    "FLAIR": (9000, 110, 2500),
}


def _head_series(study: StudyModule, number: int, kind: str, *, lesion_radius: float) -> Iterator[Dataset]:
    """One contrast; 18 slices of 256 × 256, 6 mm apart."""
    series = SeriesModule(
        study=study,
        number=number,
        modality="MR",
        description=f"{kind} 横断像",
        protocol=f"Head {kind} axial",
        body_part="HEAD",
        manufacturer=_MANUFACTURER,
        model="Phantom MR",
        station="MR1",
    )
    size, step = 256, 6.0
    repetition, echo, inversion = _TIMES[kind]
    for index in range(HEAD_SLICES):
        z = index * step
        dataset = image(series, index + 1, MRImageStorage, ["ORIGINAL", "PRIMARY", "OTHER"])
        place(dataset, series, _axial_plane(HEAD_WIDTH, size, z, thickness=5.0))
        dataset.SpacingBetweenSlices = step
        dataset.ScanningSequence = ["SE", "IR"] if inversion else "SE"
        dataset.SequenceVariant = "SK" if kind != "T1" else "NONE"
        dataset.ScanOptions = ""
        dataset.MRAcquisitionType = "2D"
        dataset.RepetitionTime, dataset.EchoTime = repetition, echo
        dataset.EchoTrainLength = 1 if kind == "T1" else 15
        if inversion:
            dataset.InversionTime = inversion
        dataset.MagneticFieldStrength = 3
        dataset.FlipAngle = 90
        width = _WINDOW_WIDTHS[kind]
        dataset.WindowCenter, dataset.WindowWidth = width // 2, width
        seed = int(study.date) + number
        slice_ = head_slice(z, size, _CONTRASTS[kind], lesion_radius=lesion_radius, seed=seed)
        set_pixels(dataset, twelve_bits(slice_), bits_stored=12)
        yield dataset


def _ultrasound_region(size: int) -> Dataset:
    """Return the pixel size, for which ultrasound has no PixelSpacing (US Region Calibration, PS3.3 C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat = 1  # 2D
    region.RegionDataType = 1  # tissue
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1 = region.RegionLocationMaxY1 = size - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = HEART_DEPTH / 10 / size
    return region
