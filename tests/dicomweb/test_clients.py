"""dicomweb-client and highdicom, which researchers use, search, retrieve and store."""

import secrets
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy
import pytest
from dicomweb_client.api import DICOMwebClient
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr.coding import CodedConcept
from pydicom import dcmread
from pydicom.dataset import Dataset

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ROOT, instance, load
from tests.orthancs import NOT_FOLLOWING

pytestmark = [pytest.mark.live, pytest.mark.once]

STUDY, SERIES = f"{ROOT}.1.1", f"{ROOT}.1.1.1"
ORGAN = CodedConcept("123037004", "SCT", "Anatomical Structure")
LIVER = CodedConcept("10200004", "SCT", "Liver")
SLICES = 3


@pytest.fixture(scope="module")
def client(
    start_orthanc: Callable[..., LocalOrthanc], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DICOMwebClient]:
    orthanc = start_orthanc()
    load(orthanc, [instance(number=n, FrameOfReferenceUID=f"{ROOT}.9") for n in range(1, SLICES + 1)])
    folder: Path = tmp_path_factory.mktemp("clients")
    anonymous = {"ORTHANC_ANONYMOUS_ACTIONS": "view,download,upload"}
    with serving(orthanc.base_url, folder, workers=1, settings={**NOT_FOLLOWING, **anonymous}) as gateway:
        yield DICOMwebClient(f"{gateway.address}/dicom-web")


def test_search_metadata_and_frames(client: DICOMwebClient) -> None:
    [study] = client.search_for_studies(search_filters={"PatientID": "P001"})
    assert Dataset.from_json(study).StudyInstanceUID == STUDY
    [series] = client.search_for_series(STUDY)
    assert Dataset.from_json(series).SeriesInstanceUID == SERIES
    found = client.search_for_instances(STUDY, SERIES, fields=["Rows"])
    uids = [Dataset.from_json(one).SOPInstanceUID for one in found]
    assert uids == [f"{SERIES}.{n}" for n in range(1, SLICES + 1)]
    metadata = [Dataset.from_json(one) for one in client.retrieve_series_metadata(STUDY, SERIES)]
    assert sorted(one.SOPInstanceUID for one in metadata) == uids
    [frame] = client.retrieve_instance_frames(STUDY, SERIES, uids[0], [1])
    assert frame == bytes(range(128))
    assert client.retrieve_instance_frames_rendered(STUDY, SERIES, uids[0], [1], ("image/png",))[:4] == b"\x89PNG"


def test_a_segmentation_is_stored_and_retrieved_as_it_is(client: DICOMwebClient) -> None:
    source = sorted(client.retrieve_series(STUDY, SERIES), key=lambda one: int(one.InstanceNumber))
    mask = numpy.zeros((SLICES, 8, 8), dtype=numpy.uint8)
    mask[1:, 2:5, 3:6] = 1
    segmentation = made_of(source, mask)

    result = client.store_instances([segmentation])
    [stored] = result.ReferencedSOPSequence
    assert stored.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
    assert "FailedSOPSequence" not in result

    back = client.retrieve_instance(STUDY, segmentation.SeriesInstanceUID, segmentation.SOPInstanceUID)
    sent = BytesIO()
    segmentation.save_as(sent)
    assert back == dcmread(BytesIO(sent.getvalue()))
    read = highdicom.seg.Segmentation.from_dataset(back)
    pixels = read.get_pixels_by_source_instance([one.SOPInstanceUID for one in source])
    assert (pixels[..., 0] == mask).all()
    frames = client.retrieve_instance_frames(STUDY, back.SeriesInstanceUID, back.SOPInstanceUID, [1])
    assert len(frames[0]) == 8


def made_of(source: list[Dataset], mask: Any) -> Segmentation:
    algorithm = highdicom.AlgorithmIdentificationSequence("threshold", ORGAN, "1.0")
    segment = SegmentDescription(
        segment_number=1,
        segment_label="liver",
        segmented_property_category=ORGAN,
        segmented_property_type=LIVER,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    return Segmentation(
        source_images=source,
        pixel_array=mask,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="ACME",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number=secrets.token_hex(4),
    )
