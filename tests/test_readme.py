"""The README's commands do what it says, run as they stand there."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.corpus import ask, instance, load, stored_files
from tests.readme import example

pytestmark = pytest.mark.live

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def shared_orthanc() -> Iterator[LocalOrthanc]:
    with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(shared_orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(shared_orthanc.base_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway.address


@pytest.fixture
def orthanc(shared_orthanc: LocalOrthanc) -> LocalOrthanc:
    """It is empty."""
    for patient in json.loads(ask(shared_orthanc, "/patients")):
        ask(shared_orthanc, f"/patients/{patient}", "DELETE")
    return shared_orthanc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the examples name, of two patients."""
    for number, name in enumerate(("T1", "T2"), 1):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0001.dcm").write_bytes(instance(patient=number, StudyDescription="Head"))
    return tmp_path


def run(command: str, gateway: str, folder: Path) -> Any:
    """What an example prints, run where a user would; the gateway has another port."""
    assert ADDRESS in command
    result = subprocess.run(
        ["sh", "-euc", command.replace(ADDRESS, gateway)],
        cwd=folder,
        # neither a proxy nor a configuration of the developer's
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
        capture_output=True,
        timeout=120,
        check=True,
    )
    return json.loads(result.stdout)


def test_the_query_is_answered(orthanc: LocalOrthanc, gateway: str, tmp_path: Path) -> None:
    load(orthanc, [instance(StudyDescription="Head")])
    answer = run(example("The query", "sh"), gateway, tmp_path)
    [patient] = answer["data"]["patients"]["nodes"]
    assert patient == {"patientName": "Kim001^Minsu=金1^民洙=김1^민수", "studies": [{"description": "Head"}]}


def test_the_rest_upload_makes_one_study_with_a_series_for_each_folder(
    orthanc: LocalOrthanc, gateway: str, folder: Path
) -> None:
    answer = run(example("Uploading", "sh", "/api/orthanc/upload-patient/"), gateway, folder)
    documented = json.loads(example("Uploading", "json"))
    assert answer.keys() == documented.keys()
    counted = ("patientId", "studyDescription", "uploaded", "alreadyStored", "failedFiles", "warnings")
    assert {name: answer[name] for name in counted} == {name: documented[name] for name in counted}

    assert json.loads(ask(orthanc, "/studies")) == [answer["studyId"]]
    assert sorted(json.loads(ask(orthanc, "/series"))) == sorted(answer["orthancSeriesIds"])
    files = list(stored_files(orthanc))
    assert len(files) == 2
    assert {(str(file.PatientID), str(file.PatientName)) for file in files} == {("P2026-0001", "P2026-0001")}
    assert {file.StudyInstanceUID for file in files} == {answer["studyUid"]}
    assert len({file.SeriesInstanceUID for file in files}) == 2
    assert {file.StudyDescription for file in files} == {"Brain MRI Scan"}


def test_the_graphql_upload_makes_one_study_with_a_series_for_each_folder(
    orthanc: LocalOrthanc, gateway: str, folder: Path
) -> None:
    answer = run(example("Uploading", "sh", "/graphql/"), gateway, folder)
    [study] = json.loads(ask(orthanc, "/studies"))
    assert answer == {"data": {"uploadPatient": {"uploaded": 2, "failed": [], "study": {"orthancId": study}}}}

    files = list(stored_files(orthanc))
    assert len(files) == 2
    names = {(str(file.PatientID), str(file.PatientName)) for file in files}
    assert names == {("P2026-0001", "Hong^Gildong=洪^吉洞=홍^길동")}
    assert len({file.SeriesInstanceUID for file in files}) == 2
    # their own, since they agree
    assert {file.StudyDescription for file in files} == {"Head"}
