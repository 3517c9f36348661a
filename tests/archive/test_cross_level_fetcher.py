"""What is shown of a patient, or as the modalities of a study, is what matches and sorts at every level."""

from collections.abc import Callable
from typing import Any

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LevelPlan, Order
from orthancproxy.archive.records import Study
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ROOT, instance, load

pytestmark = pytest.mark.live

FIRST: dict[str, Any] = {"PatientName": "Alpha^A", "PatientBirthDate": "19500101", "PatientSex": "F"}
LATER: dict[str, Any] = {"PatientName": "Omega^O", "PatientBirthDate": "19600101", "PatientSex": None}
NAME = 'tag(keyword: "PatientName")'
SEX = 'tags(keywords: ["PatientSex", "PatientBirthDate"])'


@pytest.fixture(scope="module")
def renamed(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """A patient whose second study has another name, one whose name is between, and series of two modalities."""
    orthanc = start_orthanc()
    load(
        orthanc,
        [
            instance(1, 1, **FIRST, Modality="MR"),
            instance(1, 2, **LATER, Modality="PT\\CT"),
            instance(2, 1, PatientName="Middle^M", Modality="PT"),
            # of the same UID as the study of two modalities
            instance(2, 2, PatientName="Middle^M", StudyInstanceUID=f"{ROOT}.1.2", Modality="MR"),
            instance(3, 1, PatientName="Zeta^Z", Modality="RTSTRUCT"),
        ],
    )
    return orthanc


@pytest.mark.parametrize(("name", "patients", "studies"), [("alpha*", 1, 2), ("omega*", 0, 0), ("middle^m", 1, 2)])
def test_a_patients_name_as_shown_matches_at_every_level(
    name: str, patients: int, studies: int, renamed: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(renamed)
    tags = '{tags: [{keyword: "PatientName", value: $name}]}'
    data = graphql(
        f"""query($name: String!) {{
          patients(filter: {{patientName: $name}}) {{ totalCount }}
          studies(filter: {{patientName: $name}}) {{ totalCount nodes {{ {NAME} {SEX} patient {{ patientName }} }} }}
          seriesList(filter: {tags}) {{ totalCount nodes {{ {NAME} study {{ patient {{ patientName }} }} }} }}
          instances(filter: {tags}) {{ totalCount nodes {{ {NAME} }} }}
          all: patients {{ nodes {{ patientName
            studies(filter: {{patientName: $name}}) {{ {NAME} series(filter: {tags}) {{ {NAME} }} }} }} }}
        }}""",
        name=name,
    )
    assert data["patients"]["totalCount"] == patients
    assert [data[level]["totalCount"] for level in ("studies", "seriesList", "instances")] == [studies] * 3
    for node in data["studies"]["nodes"]:
        assert node["tag"] == node["patient"]["patientName"]
    for node in data["seriesList"]["nodes"]:
        assert node["tag"] == node["study"]["patient"]["patientName"]
    if name == "alpha*":
        assert [node["tags"] for node in data["studies"]["nodes"]] == [
            {"PatientSex": "F", "PatientBirthDate": "19500101"}
        ] * 2
    below = [study for patient in data["all"]["nodes"] for study in patient["studies"]]
    assert len(below) == studies
    assert all(series["tag"] == study["tag"] for study in below for series in study["series"])


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_studies_are_sorted_by_the_name_that_is_shown(
    direction: str, renamed: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(renamed)
    query = f"""query($after: String) {{ studies(first: 2, after: $after, orderBy: [{{field: PATIENT_NAME,
        direction: {direction}}}]) {{ totalCount nodes {{ patient {{ patientName }} }} pageInfo {{ endCursor }} }} }}"""
    found: list[str] = []
    after = None
    for _ in range(3):
        page = graphql(query, after=after)["studies"]
        assert page["totalCount"] == 5
        found += [node["patient"]["patientName"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    names = ["Alpha^A", "Alpha^A", "Middle^M", "Middle^M", "Zeta^Z"]
    assert found == (names if direction == "ASC" else names[::-1])


@pytest.mark.parametrize(
    ("modalities", "studies"),
    [
        (["PT"], {"P001": 1, "P002": 1}),
        (["CT"], {"P001": 1}),
        (["MR"], {"P001": 1, "P002": 1}),
        (["CT", "MR"], {"P001": 2, "P002": 1}),
        (["PT", "CT", "US", "XA"], {"P001": 1, "P002": 1}),
        (["RTSTRUCT"], {"P003": 1}),
        (["STRUCT"], {}),
    ],
)
def test_one_of_several_modalities_of_a_series_matches(
    modalities: list[str],
    studies: dict[str, int],
    renamed: LocalOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
) -> None:
    use_orthanc(renamed)
    data = graphql(
        """query($modalities: [String!]!) {
          studies(first: 1, filter: {modalities: $modalities}) { totalCount nodes { modalities } }
          patients { nodes { patientId studies(filter: {modalities: $modalities}) { modalities } } }
        }""",
        modalities=modalities,
    )
    below = {patient["patientId"]: patient["studies"] for patient in data["patients"]["nodes"]}
    assert {patient_id: len(found) for patient_id, found in below.items() if found} == studies
    assert data["studies"]["totalCount"] == sum(studies.values())
    for study in [*data["studies"]["nodes"], *(study for found in below.values() for study in found)]:
        assert set(study["modalities"]) & set(modalities)


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(("P*",))])
@pytest.mark.parametrize("order", ["StudyDate", "PatientName"])
def test_studies_that_are_sorted_or_found_by_several_levels_have_all_data(
    order: str, scope: Scope, renamed: LocalOrthanc
) -> None:
    plan = LevelPlan(
        level=Level.STUDY,
        needs=Study.last_update.needs,
        filter=Filter((("ModalitiesInStudy", "PT\\CT"),)),
        order=(Order(order),),
        first=5,
    )
    found = Hierarchy(OrthancClient(ConnectionOptions(renamed.base_url)), scope).page(plan).resources
    assert len(found) == 2
    assert all(isinstance(study, Study) and study.last_update for study in found)
