"""An Orthanc with `PatientLevelEnabled: false`, which has no route of `/patients`, is served like any other."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.test import Client

from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, hierarchy, instance, load
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.11")]

# the last one is found by its id only
PATIENT_IDS = ["P001", "P002", "p*", None]
PATIENT = 'orthancId patientId patientName comments: tag(keyword: "PatientComments") studiesCount instancesCount labels'


def files() -> Iterator[bytes]:
    yield from hierarchy(patients=2, instances=1)
    for number, patient_id in enumerate(PATIENT_IDS[2:], 3):
        yield instance(number, PatientID=patient_id, PatientComments=f"comment {number}")


@pytest.fixture(scope="module")
def usual(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """An Orthanc with patients."""
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, files())
    return orthanc


@pytest.fixture
def without_patients(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """An Orthanc with the same archive, and without routes of patients."""
    orthanc = start_orthanc(configuration={**INDEXED_INSTANCE_TAGS, "PatientLevelEnabled": False})
    load(orthanc, files())
    return orthanc


def patients(graphql: GraphQL) -> list[dict[str, Any]]:
    """All patients, by Orthanc id."""
    nodes: list[dict[str, Any]] = graphql(f"{{ patients {{ nodes {{ {PATIENT} }} }} }}")["patients"]["nodes"]
    return sorted(nodes, key=lambda one: str(one["orthancId"]))


def shown(graphql: GraphQL) -> list[Any]:
    """What the gateway shows of patients: in lists, looked up, above and below others, and over REST."""
    every = patients(graphql)
    ids = [one["orthancId"] for one in every]
    one = f"query($id: ID!) {{ patient(orthancId: $id) {{ {PATIENT} studies {{ studyInstanceUID }} }} }}"
    by_patient_id = f"query($id: String!) {{ patient(patientId: $id) {{ {PATIENT} }} }}"
    dry_run = "mutation($id: ID!) { deletePatient(orthancId: $id, dryRun: true) { instancesCount } }"
    return [
        every,
        *(graphql(one, id=orthanc_id) for orthanc_id in ids),
        *(graphql(by_patient_id, id=patient_id) for patient_id in PATIENT_IDS if patient_id),
        *(graphql(dry_run, id=orthanc_id) for orthanc_id in ids),
        graphql(f"{{ studies {{ totalCount nodes {{ studyInstanceUID patient {{ {PATIENT} }} }} }} }}"),
        graphql("{ server { patientsCount studiesCount } }"),
        *(Client().get(f"/api/orthanc/patients/{orthanc_id}/").json() for orthanc_id in ids),
        [sorted(set(map(len, files_below(orthanc_id)))) for orthanc_id in ids],
    ]


def files_below(orthanc_id: str) -> list[bytes]:
    """The files in the ZIP of a patient."""
    response = Client().get(f"/api/orthanc/patients/{orthanc_id}/archive/")
    assert response.status_code == 200
    with ZipFile(BytesIO(response.getvalue())) as zipped:
        return [zipped.read(name) for name in zipped.namelist()]


def test_shows_the_same_patients(
    usual: LocalOrthanc, without_patients: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(usual)
    expected = shown(graphql)
    assert len(expected[0]) == len(PATIENT_IDS)
    use_orthanc(without_patients)
    assert shown(graphql) == expected


def test_deletes_a_patient_study_by_study(
    without_patients: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(without_patients)
    every = patients(graphql)
    [deleted] = [one["orthancId"] for one in every if one["patientId"] == "P001"]
    mutation = """mutation($id: ID!) {
        deletePatient(orthancId: $id) { deleted { level orthancId } instancesCount remainingAncestor { id } } }"""

    answer = graphql(mutation, id=deleted)["deletePatient"]

    assert answer == {
        "deleted": [{"level": "PATIENT", "orthancId": deleted}],
        "instancesCount": 4,
        "remainingAncestor": None,
    }
    assert patients(graphql) == [one for one in every if one["orthancId"] != deleted]
    assert json.loads(ask(without_patients, "/statistics"))["CountPatients"] == len(PATIENT_IDS) - 1
    assert graphql.error(mutation, id=deleted)["extensions"]["code"] == "NOT_FOUND"
