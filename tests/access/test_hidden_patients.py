"""A patient with a visible and a hidden study that disagree: only the visible one is shown, matched and sorted by."""

from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from tests.access.archive import LABEL, SmallArchive, Target
from tests.access.callers import CallerClient
from tests.corpus import instance, load

# labels
pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0")]

MIXED, OTHER = 90, 91
# the first file decides what Orthanc shows of a patient, and it is hidden
HIDDEN: dict[str, Any] = {"PatientName": "Aardvark^Hidden", "PatientBirthDate": "19010203", "PatientSex": "F"}
SHOWN: dict[str, Any] = {"PatientName": "Zebra^Shown", "PatientBirthDate": "20010203", "PatientSex": "M"}
FIELDS = 'patientName birthDate sex tag(keyword: "PatientName")'
PATIENT = {
    "patientName": "Zebra^Shown",
    "birthDate": "2001-02-03",
    "sex": "M",
    "tag": "Zebra^Shown",
}


@pytest.fixture
def mixed(archive: SmallArchive, scoped_callers: dict[str, CallerClient]) -> CallerClient:
    """A caller who sees the second study of patient 90, and both of patient 91, whose names would sort between."""
    load(
        archive.orthanc,
        [
            instance(MIXED, 1, PatientComments="hidden", **HIDDEN),
            instance(MIXED, 2, PatientComments="shown", **SHOWN),
            instance(OTHER, 1, PatientName="Middle^M", PatientSex="O"),
        ],
    )
    for study in ((MIXED, 2), (OTHER, 1)):
        archive.ask(f"/studies/{Target.at(*study).ids['studies']}/labels/{LABEL}", "PUT")
    return scoped_callers["Labelled (API token)"]


def nodes(answer: Any) -> list[Any]:
    [page] = answer.data.values()
    return list(page["nodes"])


def test_a_patient_is_shown_as_in_the_visible_study_whatever_the_way_to_it(mixed: CallerClient) -> None:
    target = Target.at(MIXED, 2)
    variables = {**target.ids, "pid": target.patient_id}
    alone = f"{{ {FIELDS} }}"
    answer = mixed.graphql(
        f"""query($patients: ID!, $studies: ID!, $series: ID!, $instances: ID!, $pid: String!) {{
          listed: patients(filter: {{patientId: $pid}}) {{ nodes {alone} }}
          byId: patient(orthancId: $patients) {alone}
          byIdentifier: patient(patientId: $pid) {alone}
          study(orthancId: $studies) {{ patient {alone} patientTag: tag(keyword: "PatientName") }}
          series(orthancId: $series) {{ study {{ patient {alone} }} tag(keyword: "PatientName") }}
          instance(orthancId: $instances) {{
            series {{ study {{ patient {alone} }} }} tag(keyword: "PatientName") }}
          studies(filter: {{patientId: $pid}}) {{ nodes {{ patient {{ patientName }} }} }}
          seriesList(filter: {{tags: [{{keyword: "PatientID", value: $pid}}]}}) {{ nodes {{ study {{ patient {{
            patientName }} }} }} }}
        }}""",
        variables,
    )
    data = answer.data
    assert data["listed"]["nodes"] == [PATIENT]
    assert data["byId"] == data["byIdentifier"] == data["study"]["patient"] == PATIENT
    assert data["series"]["study"]["patient"] == data["instance"]["series"]["study"]["patient"] == PATIENT
    assert data["series"]["tag"] == data["instance"]["tag"] == data["study"]["patientTag"] == PATIENT["tag"]
    assert b"Aardvark" not in answer.content


@pytest.mark.parametrize("path", ["patients/", "studies/?patient_id={patients}"])
def test_rest_shows_the_patient_of_the_visible_study(mixed: CallerClient, path: str) -> None:
    answer = mixed.rest(path.format(**Target.at(MIXED, 2).ids))
    assert answer.status == 200
    assert b"Aardvark" not in answer.content
    assert b"1901" not in answer.content


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ('patientName: "Aardvark*"', 'patientName: "Zebra*"'),
        ('birthDate: {to: "1999-12-31"}', 'birthDate: {from: "2001-02-03"}'),
        ('sex: "F"', 'sex: "M"'),
        ('tags: [{keyword: "PatientSex", value: "F"}]', 'tags: [{keyword: "PatientSex", value: "M"}]'),
    ],
)
def test_a_filter_matches_what_is_shown(mixed: CallerClient, hidden: str, shown: str) -> None:
    own = 'patientId: "P090"'
    query = f"{{ patients(filter: {{{own} %s}}) {{ totalCount nodes {{ patientId }} }} }}"
    assert nodes(mixed.graphql(query % hidden)) == []
    assert nodes(mixed.graphql(query % shown)) == [{"patientId": "P090"}]


def test_of_two_visible_studies_a_filter_matches_the_shown_one(mixed: CallerClient, archive: SmallArchive) -> None:
    archive.ask(f"/studies/{Target.at(MIXED, 1).ids['studies']}/labels/{LABEL}", "PUT")
    everyone = nodes(mixed.graphql('{ patients(filter: {patientId: "P090"}) { nodes { patientName } } }'))
    [name] = (one["patientName"] for one in everyone)
    found = {
        wanted: nodes(mixed.graphql(f'{{ patients(filter: {{patientName: "{wanted}"}}) {{ nodes {{ patientId }} }} }}'))
        for wanted in ("Aardvark^Hidden", "Zebra^Shown")
    }
    assert {wanted for wanted, matching in found.items() if matching} == {name}


def test_the_order_is_that_of_what_is_shown(mixed: CallerClient) -> None:
    query = """{ patients(filter: {patientId: "P09*"}, orderBy: [{field: PATIENT_NAME, direction: %s}]) {
      nodes { id: patientId } } }"""
    assert [one["id"] for one in nodes(mixed.graphql(query % "ASC"))] == ["P091", "P090"]
    assert [one["id"] for one in nodes(mixed.graphql(query % "DESC"))] == ["P090", "P091"]


@pytest.mark.parametrize("level", ["patients", "studies", "series"])
def test_the_folders_of_a_zip_are_named_after_the_visible_study(
    mixed: CallerClient, archive: SmallArchive, level: str
) -> None:
    # several files in a series, and a second series of the same name
    load(archive.orthanc, [instance(MIXED, 2, series, 2, SeriesDescription="Series 1", **SHOWN) for series in (1, 3)])
    answer = mixed.rest(f"{level}/{Target.at(MIXED, 2).ids[level]}/archive/")
    with ZipFile(BytesIO(answer.content)) as files:
        assert files.testzip() is None
        names = sorted(files.namelist())
        assert b"Aardvark" not in b"".join(map(files.read, names))
    folder = "P090 Zebra^Shown/A090-2 Brain study 2/CT Series 1"
    expected = [f"{folder}/000001.dcm", f"{folder}/000002.dcm"]
    assert names == sorted(expected if level == "series" else [*expected, f"{folder} (2)/000001.dcm"])
    assert b"Aardvark" not in answer.content
