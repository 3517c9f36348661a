"""Nested lists of more parents than fit into one call."""

from collections.abc import Callable

import pytest

from orthancproxy.archive import plain_find
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plain_find import PlainFind
from orthancproxy.archive.plan import Filter, LevelPlan, Needs
from orthancproxy.archive.scope import Scope
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load

pytestmark = pytest.mark.live


@pytest.mark.parametrize("patient_ids", [("*",), ("p*", "P*")])
def test_patient_ids_that_orthanc_normalises_to_one_value_are_kept_apart(
    patient_ids: tuple[str, ...], crowded: OrthancClient
) -> None:
    studies = LevelPlan(level=Level.STUDY, filter=Filter(tags=(("StudyDescription", "Brain*"),)))

    page = Hierarchy(crowded, Scope(patient_ids)).page(LevelPlan(level=Level.PATIENT, related={"studies": studies}))

    assert [len(patient.related["studies"]) for patient in page.resources] == [1] * 1001


def test_more_children_than_fit_into_one_call(crowded: OrthancClient, monkeypatch: pytest.MonkeyPatch) -> None:
    # newer versions page their finds
    find = PlainFind(crowded, ObjectBudget())
    patients = find.matching(Level.PATIENT, Filter(), Needs())
    monkeypatch.setattr(plain_find, "CHILDREN_PER_CALL", 400)

    with recording() as log:
        studies = find.children(Level.STUDY, patients, Filter(), Needs(), patients)

    assert len({study.orthanc_id for study in studies}) == len(studies) == 1001
    assert [one.template for one in log.calls] == ["/tools/bulk-content"] * 3


@pytest.fixture(scope="module")
def crowded(start_orthanc: Callable[..., LocalOrthanc]) -> OrthancClient:
    """An archive of 500 pairs of patients whose PatientIDs differ in case only, too many for one call."""
    orthanc = start_orthanc()
    # the first by its PatientID, so that a pair falls apart
    load(orthanc, [instance(1000, 1, PatientID="P")])
    load(orthanc, (instance(number, 1, PatientID=f"p{number:03d}") for number in range(500)))
    load(orthanc, (instance(number + 500, 1, PatientID=f"P{number:03d}") for number in range(500)))
    return OrthancClient(ConnectionOptions(orthanc.base_url))
