"""Tags outside Orthanc's index, of a series whose metadata the DICOMweb plugin keeps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pydicom.datadict import DicomDictionary, dictionary_VR  # type: ignore[attr-defined]
from pydicom.dataset import Dataset

from benchmarks import contents, queries
from benchmarks.measuring import BenchmarkError, Row, at_most, compare, tell, timed
from benchmarks.options import Options
from benchmarks.reading import Reader
from benchmarks.servers import Archive, dicomweb_plugin
from benchmarks.stored import LOADING_THREADS
from orthancproxy.sandbox.datasets import encode, fixed_uid
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc

INSTANCES = 400
TAGS = 257  # of each instance
_VALUES = {
    "CS": "ORIGINAL", "DA": "20260101", "DS": "123.456789", "FD": 1.5, "IS": "42", "LO": "Some text of a device",
    "SH": "Short text", "TM": "101010.5", "UI": "1.2.826.0.1.3680043.8.498.1234567890", "US": 512,
}  # fmt: skip
_WANTED = """FrameOfReferenceUID PositionReferenceIndicator PatientPosition ScanOptions ConvolutionKernel
AcquisitionDate AcquisitionTime SoftwareVersions DeviceSerialNumber ManufacturerModelName RescaleType
BitsStored""".split()
_STABLE_AGE_SECONDS = 6  # the shortest that proves anything for 400 instances
_TIMEOUT_SECONDS = 120.0
_QUERY = """query($id: ID!, $keywords: [String!]!) {
  series(orthancId: $id) { instances { tags(keywords: $keywords) } }
}"""


def rows(options: Options) -> Iterator[Row]:
    """Return the row on a dozen tags of a series, if the plugin is installed and Orthanc has extended find."""
    plugin = dicomweb_plugin()
    if plugin is None:
        tell("metadata: skipped, the DICOMweb plugin is not installed with this Orthanc")
        return
    with (
        LocalOrthanc(plugins=[plugin], configuration={"StableAge": _STABLE_AGE_SECONDS}) as orthanc,
        tempfile.TemporaryDirectory(prefix="gateway-") as folder,
        # with the cache, the tags would be fetched once
        serving(orthanc.base_url, Path(folder), settings={"ORTHANC_CACHE_BYTES": "0"}) as gateway,
        Reader(orthanc.base_url) as theirs,
        Reader(gateway.address) as ours,
    ):
        Archive(orthanc).post(list(map(encode, _files())), LOADING_THREADS)
        [series] = theirs.get("/series")
        _wait_for_attachment(theirs, series)
        body = {"query": _QUERY, "variables": {"id": series, "keywords": _WANTED}}
        instances = queries.data(ours.post(queries.PATH, body))["series"]["instances"]
        if len(instances) != INSTANCES or any(None in one["tags"].values() for one in instances):
            raise BenchmarkError("The gateway did not answer all tags of the series.")
        yield compare(
            f"{len(_WANTED)} unindexed tags, {INSTANCES} instances / instances-tags",
            ("gateway", lambda: timed(lambda: ours.post(queries.PATH, body))),
            ("Orthanc", lambda: timed(lambda: theirs.get(f"/series/{series}/instances-tags?short"))),
            options.rounds,
            at_most(0.1),
        )


def _files() -> Iterator[Dataset]:
    """Yield the slices of one series with TAGS elements each."""
    template = next(contents.files(0))
    of_images = range(0x0028_0000, 0x0029_0000)
    others = [
        one for tag, (vr, _, _, _, one) in sorted(DicomDictionary.items())
        if vr in _VALUES and tag >= 0x0008_0000 and tag not in of_images and one not in template
    ]  # fmt: skip
    for keyword in [*_WANTED, *others]:
        if len(template) < TAGS and keyword not in template:
            setattr(template, keyword, _VALUES[dictionary_VR(keyword)])
    for number in range(1, INSTANCES + 1):
        template.InstanceNumber = number
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = fixed_uid("metadata", number)
        yield template


def _wait_for_attachment(orthanc: Reader, series: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while "4301" not in orthanc.get(f"/series/{series}/attachments"):
        if time.monotonic() > deadline:
            raise BenchmarkError("The DICOMweb plugin did not write the metadata of the series.")
        time.sleep(0.5)
