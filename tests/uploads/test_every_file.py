"""Upload of a folder with every kind of file."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import data as pydicom_data

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.uploads.upload_client import REST, File, GraphQL, asked, count_instances

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

SHIPPED = Path(pydicom_data.__file__).parent


def mixed_folder() -> list[File]:
    """Every file that pydicom ships, DICOM or not, and some that are cut off or empty."""
    paths = sorted(
        path for folder in ("test_files", "charset_files") for path in (SHIPPED / folder).glob("**/*") if path.is_file()
    )
    files = [File(path.read_bytes(), str(path.parent.relative_to(SHIPPED)), path.name) for path in paths]
    assert len(files) > 150
    assert "DICOMDIR" in {file.name for file in files}
    whole = (SHIPPED / "test_files" / "CT_small.dcm").read_bytes()
    files += [File(whole[:length], "cut off", str(length)) for length in (0, 1, 127, 132, 400, 2000, len(whole) - 1)]
    return [*files, File(b"", "", "empty"), File("안녕하세요\n".encode(), "", "읽어보세요.txt")]


@pytest.mark.django_db(transaction=True)
def test_the_counts_of_a_mixed_folder_agree_with_orthanc(
    start_orthanc: Callable[..., LocalOrthanc], use_orthanc: UseOrthanc, patient_id: str
) -> None:
    orthanc = use_orthanc(start_orthanc())
    files = mixed_folder()
    before = count_instances(orthanc)
    first = REST()(files, patientId=patient_id, uploadKey=patient_id)
    assert sum(first.counts) == len(files)
    assert first.uploaded > 100
    assert {"NOT_DICOM", "UNREADABLE", "EMPTY"} == set(first.codes)
    assert len({failure.index for failure in first.failed}) == len(first.failed)
    assert all((files[one.index].name, files[one.index].folder) == (one.name, one.folder) for one in first.failed)
    after = asked(orthanc, "/statistics")
    assert after["CountInstances"] == before + first.uploaded
    assert (after["CountStudies"], after["CountPatients"]) == (1, 1)
    assert after["CountSeries"] == len(first.series_ids)

    second = GraphQL()(files, patientId=patient_id, uploadKey=patient_id)
    assert second.counts == (0, first.uploaded + first.already_stored, len(first.failed))
    assert second.failed == first.failed
    assert asked(orthanc, "/statistics") == after
