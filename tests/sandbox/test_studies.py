"""The sample studies are valid and reproducible, and survive a round trip through Orthanc."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom.dataset import Dataset

from orthancproxy.sandbox import studies
from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.loading import is_empty, load
from orthancproxy.sandbox.orthanc import LocalOrthanc

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def instances() -> list[Dataset]:
    return list(studies.instances())


@pytest.fixture(scope="module")
def orthanc(instances: list[Dataset]) -> Iterator[LocalOrthanc]:
    with LocalOrthanc() as running:
        assert is_empty(running.base_url, {})
        assert len(list(load(instances, running.base_url, {}))) == len(instances)
        yield running


def get(orthanc: LocalOrthanc, path: str) -> Any:
    return requests.get(orthanc.base_url + path, timeout=10).json()


def test_the_number_of_sample_instances_is_that_of_the_progress_bar(instances: list[Dataset]) -> None:
    assert len(instances) == studies.INSTANCES_COUNT
    assert len({dataset.SOPInstanceUID for dataset in instances}) == len(instances)


def test_sample_instances_are_reproducible(instances: list[Dataset]) -> None:
    assert encode(next(studies.chest_ct())) == encode(instances[0])
    assert encode(next(studies.heart_ultrasound())) == encode(
        next(dataset for dataset in instances if dataset.Modality == "US")
    )


def test_synthetic_instances_conform_to_their_information_objects(instances: list[Dataset], tmp_path: Path) -> None:
    of_each_series = {dataset.SeriesInstanceUID: dataset for dataset in instances if dataset.PatientID[2:3] == "-"}
    assert len(of_each_series) == 8
    for uid, dataset in of_each_series.items():
        file = tmp_path / f"{uid}.dcm"
        file.write_bytes(encode(dataset))
        report = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False).stderr
        assert [line for line in report.splitlines() if line.startswith("Error")] == []


@pytest.mark.live
class TestInOrthanc:
    def test_loading_samples_again_changes_nothing(self, orthanc: LocalOrthanc, instances: list[Dataset]) -> None:
        before = get(orthanc, "/statistics")
        list(load(instances[::20], orthanc.base_url, {}))
        assert get(orthanc, "/statistics") == before
        assert not is_empty(orthanc.base_url, {})

    def test_names_survive_their_character_sets(self, orthanc: LocalOrthanc) -> None:
        names = {patient["MainDicomTags"]["PatientName"] for patient in get(orthanc, "/patients?expand")}
        assert {studies.KOREAN.name, studies.JAPANESE.name, studies.GERMAN.name} < names

    def test_descriptions_survive_their_character_sets(self, orthanc: LocalOrthanc) -> None:
        described = {study["MainDicomTags"].get("StudyDescription") for study in get(orthanc, "/studies?expand")}
        assert {"흉부 CT (조영 증강)", "頭部MRI 経過観察", "Echokardiographie"} < described

    def test_orthanc_has_the_series_of_the_sample_studies(self, orthanc: LocalOrthanc) -> None:
        series = get(orthanc, "/series?expand")
        sizes = Counter((one["MainDicomTags"]["Modality"], len(one["Instances"])) for one in series)
        assert sizes == {
            ("CT", 1): 1,
            ("CT", studies.CHEST_SLICES): 1,
            ("MR", studies.HEAD_SLICES): 5,
            ("US", 1): 1,
            ("MR", 1): 1,
            ("RTPLAN", 1): 1,
        }

    def test_orthanc_renders_every_sample_image(self, orthanc: LocalOrthanc) -> None:
        images = [one for one in get(orthanc, "/series?expand") if one["MainDicomTags"]["Modality"] != "RTPLAN"]
        assert {one["MainDicomTags"]["Modality"] for one in images} >= {"CT", "MR", "US"}
        for series in images:
            url = f"{orthanc.base_url}/instances/{series['Instances'][0]}/preview"
            assert requests.get(url, timeout=10).content.startswith(b"\x89PNG")
