"""WADO-RS: the metadata of instances, in the DICOM JSON model (PS3.18 annex F)."""

import json
import tracemalloc
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT as UIDS
from tests.corpus import instance, load
from tests.dicomweb.conftest import NAMES, PARTS, ROOT, STORED, Shelf, get, parts_of
from tests.orthancs import StartOrthanc
from tests.rest.conftest import encoded

pytestmark = pytest.mark.live


def metadata(url: str) -> Any:
    response = get(f"{url}/metadata", "application/dicom+json")
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/dicom+json"
    return json.loads(response.getvalue())


@pytest.mark.parametrize("name", NAMES)
def test_metadata_has_the_attributes_of_the_file(shelf: Shelf, use_orthanc: UseOrthanc, name: str) -> None:
    use_orthanc(shelf.orthanc)

    [found] = metadata(shelf.url(name))

    dataset = shelf.datasets[name]
    assert found["0020000D"] == {"vr": "UI", "Value": [dataset.StudyInstanceUID]}
    assert found["00100020"] == {"vr": "LO", "Value": [name]}
    own = {f"{element.tag:08X}" for element in dataset if element.tag.element}
    assert own == {tag for tag in found if not tag.startswith("0002")}
    assert {tag for tag, element in found.items() if "InlineBinary" in element} == set()
    received = Dataset.from_json(found, bulk_data_uri_handler=lambda *_: b"")
    assert received.SOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.parametrize("name", ["CT_small", "MR_small_bigendian", "pdf"])
def test_bulk_data_are_found_by_the_uris_in_the_metadata(shelf: Shelf, use_orthanc: UseOrthanc, name: str) -> None:
    use_orthanc(shelf.orthanc)
    [found] = metadata(shelf.url(name))
    uris = {tag: element["BulkDataURI"] for tag, element in found.items() if "BulkDataURI" in element}

    dataset = shelf.datasets[name.removesuffix("_bigendian")]
    for tag, uri in uris.items():
        assert uri == f"http://testserver{shelf.url(name)}/bulkdata/{tag}"
        [part] = parts_of(get(uri, PARTS))
        assert part.content == dataset[tag].value
        assert (part.location, part.media_type) == (uri, "application/octet-stream")
        assert get(uri, "application/octet-stream").getvalue() == dataset[tag].value
    assert uris.keys() & {"7FE00010", "00420011"}


def test_bulk_data_in_sequences_are_found(start_orthanc: StartOrthanc, use_orthanc: UseOrthanc) -> None:
    orthanc = use_orthanc(start_orthanc())
    first, inner, outer = Dataset(), Dataset(), Dataset()
    inner.EncapsulatedDocument = b"inner"
    first.PatientID = "first"  # of an empty item, 1.10.1 leaves the place out
    outer.ContentSequence = [first, inner]
    load(orthanc, [instance(ContentSequence=[outer])])
    url = f"{ROOT}/studies/{UIDS}.1.1/series/{UIDS}.1.1.1/instances/{UIDS}.1.1.1.1"

    [found] = metadata(url)

    [item] = found["0040A730"]["Value"]
    uri = item["0040A730"]["Value"][1]["00420011"]["BulkDataURI"]
    assert uri == f"http://testserver{url}/bulkdata/0040A730/1/0040A730/2/00420011"
    assert get(uri, "application/octet-stream").getvalue() == b"inner\0"
    assert get(f"{url}/bulkdata/0040a730/1/0040a730").status_code == 404
    assert parts_of(get(f"{url}/bulk/0040a730/1/0040a730/2/00420011"))[0].content == b"inner\0"


def test_large_binary_values_take_no_memory(start_orthanc: StartOrthanc, use_orthanc: UseOrthanc) -> None:
    size = 8 * 1024**2
    orthanc = use_orthanc(start_orthanc())
    text = r'"InlineBinary" : "a'
    load(orthanc, [instance(EncapsulatedDocument=bytes(size), ImageComments=text, PixelData=b"\1\2" * 64)])
    url = f"{ROOT}/studies/{UIDS}.1.1"
    get("/dicom-web/studies")

    tracemalloc.start()
    try:
        [found] = metadata(url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < size / 2
    assert found["00204000"]["Value"] == [text]
    assert {tag for tag, element in found.items() if "BulkDataURI" in element} == {"00420011", "7FE00010"}


def test_large_private_values_take_little_memory(start_orthanc: StartOrthanc, use_orthanc: UseOrthanc) -> None:
    """Orthanc 1.13.0 sends them as numbers."""
    size = 2 * 1024**2
    orthanc = use_orthanc(start_orthanc())
    dataset = dcmread(BytesIO(instance()))
    dataset.add_new(0x00090010, "LO", "ACME")
    dataset.add_new(0x00091001, "OW", bytes(size))
    load(orthanc, [encoded(dataset)])
    get("/dicom-web/studies")

    tracemalloc.start()
    try:
        [found] = metadata(f"{ROOT}/studies/{UIDS}.1.1")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 * size
    assert len(get(found["00091001"]["BulkDataURI"], "application/octet-stream").getvalue()) == size


def test_bulk_data_of_compressed_pixels_are_their_frames(shelf: Shelf, use_orthanc: UseOrthanc) -> None:
    use_orthanc(shelf.orthanc)

    parts = parts_of(get(f"{shelf.url('examples_ybr_color')}/bulkdata/7FE00010", STORED))

    dataset = shelf.datasets["examples_ybr_color"]
    assert [part.content for part in parts] == list(generate_frames(dataset.PixelData, number_of_frames=30))


@pytest.mark.parametrize(
    "attribute",
    [
        *["x", "7FE0001", "7FE000100", "7FE00010/0/00100010", "/7FE00010", "7FE00010/1"],
        *["00880200/x/7FE00010", "../../../tools/reset", "00880200/1/" * 30 + "7FE00010"],
    ],
)
def test_bulk_data_of_an_invalid_attribute_are_rejected(shelf: Shelf, use_orthanc: UseOrthanc, attribute: str) -> None:
    use_orthanc(shelf.orthanc)

    assert get(f"{shelf.url('CT_small')}/bulkdata/{attribute}").status_code in (400, 404)


@pytest.mark.parametrize("attribute", ["00420011", "00880200/1/7FE00010", "00081140"])
def test_bulk_data_that_do_not_exist_are_not_found(shelf: Shelf, use_orthanc: UseOrthanc, attribute: str) -> None:
    use_orthanc(shelf.orthanc)

    assert get(f"{shelf.url('CT_small')}/bulkdata/{attribute}").status_code == 404


def test_metadata_of_a_study_and_a_series_has_all_instances(archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(archive)
    study, series = f"{ROOT}/studies/{UIDS}.1.1", f"{ROOT}/studies/{UIDS}.1.1/series/{UIDS}.1.1.2"

    assert {one["00080018"]["Value"][0] for one in metadata(study)} == {
        f"{UIDS}.1.1.{number}.{instance}" for number in (1, 2) for instance in (1, 2, 3)
    }
    of_series = metadata(series)
    assert {one["00080018"]["Value"][0] for one in of_series} == {f"{UIDS}.1.1.2.{number}" for number in (1, 2, 3)}
    assert metadata(series) == of_series
    [one] = metadata(f"{series}/instances/{UIDS}.1.1.2.1")
    assert one in of_series
