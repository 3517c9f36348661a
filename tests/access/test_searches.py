"""Searches over DICOMweb by callers with a scope: what is hidden looks as if it were not in the archive."""

import pytest

from tests.access.archive import LABELLED, UNKNOWN_TARGET, SmallArchive, Target
from tests.access.callers import CallerClient
from tests.access.test_scopes import observable_parts

pytestmark = pytest.mark.live

HIDDEN = Target.at(3)
ADDRESSES = (
    "studies?PatientID={0.patient_id}",
    "studies?StudyInstanceUID={0.study_uid}&includefield=all",
    "series?StudyInstanceUID={0.study_uid}",
    "series?SeriesInstanceUID={0.series_uid}",
    "instances?StudyInstanceUID={0.study_uid}&Modality=CT",
    "instances?SOPInstanceUID={0.sop_uid}",
    "studies/{0.study_uid}/instances?Modality=CT",
    "studies/{0.study_uid}/series/{0.series_uid}/instances?includefield=PatientName",
)


@pytest.fixture(params=["Ward (API token)", "Labelled (API token)"])
def caller(request: pytest.FixtureRequest, scoped_callers: dict[str, CallerClient]) -> CallerClient:
    return scoped_callers[request.param]


@pytest.mark.parametrize("address", ADDRESSES)
def test_hidden_resource_has_the_response_of_an_unknown_one(
    address: str, caller: CallerClient, archive: SmallArchive
) -> None:
    hidden = caller.send("GET", f"/dicom-web/{address.format(HIDDEN)}")
    unknown = caller.send("GET", f"/dicom-web/{address.format(UNKNOWN_TARGET)}")
    assert (hidden.status, hidden.json) == (200, [])
    assert observable_parts(hidden) == observable_parts(unknown)


@pytest.mark.parametrize("path", ["studies", "series", "instances", "instances?Modality=CT", "series?PatientName=Kim*"])
def test_lists_have_what_is_visible_only(path: str, caller: CallerClient, archive: SmallArchive) -> None:
    labelled = LABELLED if archive.has_labels else ()
    visible = {Target.at(*study).study_uid for study in (((1, 1), (1, 2)) if "Ward" in caller.name else labelled)}
    found = caller.send("GET", f"/dicom-web/{path}")
    assert {data_set["0020000D"]["Value"][0] for data_set in found.json} == visible
    assert int(found.headers["X-Total-Count"]) == len(found.json)
