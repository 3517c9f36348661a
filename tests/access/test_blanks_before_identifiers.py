"""A PatientID that begins with a blank is another one than that without: in a scope, lists and look-ups agree."""

import pytest

from tests.access.archive import SmallArchive, Target
from tests.access.callers import CallerClient
from tests.corpus import instance, load

pytestmark = pytest.mark.live

QUERY = """query($id: ID!, $patient: String!) {
  study(orthancId: $id) { patient { patientId } }
  patients(filter: {tags: [{keyword: "PatientID", value: $patient}]}) { totalCount }
  studies { nodes { orthancId } }
}"""


@pytest.mark.parametrize(("patient_id", "is_visible"), [("W7-1", True), (" W7-1", False)])
def test_lists_and_look_ups_agree(
    scoped_callers: dict[str, CallerClient], archive: SmallArchive, patient_id: str, is_visible: bool
) -> None:
    load(archive.orthanc, [instance(93, 1, PatientID=patient_id)])
    known = {Target.at(patient, study).ids["studies"] for patient in (1, 2, 3) for study in (1, 2)}
    [study] = set(archive.ask("/studies")) - known
    data = scoped_callers["Ward (API token)"].graphql(QUERY, {"id": study, "patient": patient_id}).data
    assert (data["study"] is not None) == is_visible
    assert data["patients"]["totalCount"] == is_visible
    assert (study in [one["orthancId"] for one in data["studies"]["nodes"]]) == is_visible
