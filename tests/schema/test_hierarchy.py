"""What a frontend reads: the whole hierarchy, filtered, sorted and paged, the same from every Orthanc."""

import base64
import re
from typing import Any

import pytest

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ROOT

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def _on_either_archive(any_archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(any_archive)


def _nodes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    [connection] = answer.values()
    nodes: list[dict[str, Any]] = connection["nodes"]
    return nodes


def test_values_are_typed(graphql: GraphQL) -> None:
    query = """{ patients(first: 1) { nodes { patientId patientName birthDate sex isStable labels lastUpdate
        name { formatted family given ideographic phonetic ideographicGroup { family given formatted } } studiesCount instancesCount
        studies(first: 1) { studyInstanceUID description studyDate studyTime studyId accessionNumber modalities
            referringPhysicianName institutionName seriesCount instancesCount
            series(first: 1) { seriesInstanceUID description modality seriesNumber bodyPartExamined protocolName
                manufacturer stationName seriesDate seriesTime instancesCount
                instances(first: 1) { sopInstanceUID sopClassUID instanceNumber rows columns numberOfFrames pixelSpacing
                    sliceThickness sliceLocation imagePositionPatient imageOrientationPatient transferSyntaxUID
                } } } } } }"""
    [patient] = _nodes(graphql(query))
    [study] = patient.pop("studies")
    [series] = study.pop("series")
    [instance] = series.pop("instances")
    assert patient.pop("labels") in (None, [])
    assert patient.pop("lastUpdate").endswith("+00:00")
    assert patient.pop("isStable") in (True, False)
    assert patient == {
        "patientId": "P001",
        "patientName": "Kim001^Minsu=金1^民洙=김1^민수",
        "birthDate": "1951-03-15",
        "sex": "F",
        "name": {
            "formatted": "Kim001, Minsu",
            "family": "Kim001",
            "given": "Minsu",
            "ideographic": "金1^民洙",
            "phonetic": "김1^민수",
            "ideographicGroup": {"family": "金1", "given": "民洙", "formatted": "金1 民洙"},
        },
        "studiesCount": 2,
        "instancesCount": 12,
    }
    assert study == {
        "studyInstanceUID": f"{ROOT}.1.2",
        "description": "Brain study 2",
        "studyDate": "2022-02-11",
        "studyTime": "10:02:30.500000",
        "studyId": "S2",
        "accessionNumber": "A001-2",
        "modalities": ["CT", "MR"],
        "referringPhysicianName": "Yamada^Tarou",
        "institutionName": "서울병원",
        "seriesCount": 2,
        "instancesCount": 6,
    }
    assert series == {
        "seriesInstanceUID": f"{ROOT}.1.2.1",
        "description": "Series 1",
        "modality": "CT",
        "seriesNumber": 1,
        "bodyPartExamined": "HEAD",
        "protocolName": "Protocol 1",
        "manufacturer": "ACME",
        "stationName": "ST1",
        "seriesDate": "2022-02-11",
        "seriesTime": "10:15:00",
        "instancesCount": 3,
    }
    assert instance == {
        "sopInstanceUID": f"{ROOT}.1.2.1.1",
        "sopClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "instanceNumber": 1,
        "rows": 8,
        "columns": 8,
        "numberOfFrames": None,
        "pixelSpacing": [0.5, 0.25],
        "sliceThickness": 1.5,
        "sliceLocation": -9.0,
        "imagePositionPatient": [-100.0, -90.5, 1.0],
        "imageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "transferSyntaxUID": "1.2.840.10008.1.2.1",
    }


def test_every_level_is_whole_and_in_its_default_order(graphql: GraphQL) -> None:
    patients = _nodes(
        graphql(
            "{ patients { nodes { patientId studies { studyDate series { seriesNumber instances { instanceNumber } } } } } }"
        )
    )
    assert [patient["patientId"] for patient in patients] == ["P001", "P002", "P003"]
    for patient in patients:
        assert [study["studyDate"][:4] for study in patient["studies"]] == ["2022", "2021"]
        for study in patient["studies"]:
            assert [series["seriesNumber"] for series in study["series"]] == [1, 2]
            for series in study["series"]:
                assert [instance["instanceNumber"] for instance in series["instances"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("level", "condition", "expected"),
    [
        ("patients", '{patientId: "P00?"}', 3),
        ("patients", '{patientId: "p002"}', 1),
        ("patients", '{patientName: "kim00*"}', 3),
        ("patients", '{patientName: "*김2^*"}', 1),
        ("patients", '{patientName: "nobody"}', 0),
        ("patients", '{sex: "F"}', 2),
        ("patients", '{birthDate: {from: "1952-01-01"}}', 2),
        ("patients", '{birthDate: {from: "1952-01-01", to: "1952-12-31"}}', 1),
        ("patients", '{tags: [{keyword: "PatientSex", value: "M"}]}', 1),
        ("patients", '{patientId: ""}', 3),
        ("studies", '{patientId: "P001"}', 2),
        ("studies", f'{{studyInstanceUIDs: ["{ROOT}.1.1", "{ROOT}.2.2", "1.2.3"]}}', 2),
        ("studies", "{studyInstanceUIDs: []}", 0),
        ("studies", '{modalities: ["MR", "US"]}', 6),
        ("studies", '{modalities: ["US"]}', 0),
        ("studies", '{description: "*study 1"}', 3),
        ("studies", '{accessionNumber: "A002-*", studyDate: {to: "2021-12-31"}}', 1),
        ("studies", '{referringPhysicianName: "yamada*"}', 6),
        ("studies", '{tags: [{keyword: "PatientAge", value: "012Y"}]}', 2),
        ("seriesList", '{modality: "MR"}', 6),
        ("seriesList", '{modality: "MR", bodyPartExamined: "HEAD", description: "series*"}', 6),
        ("seriesList", '{tags: [{keyword: "SeriesNumber", value: "2"}, {keyword: "PatientID", value: "P003"}]}', 2),
        ("instances", f'{{sopInstanceUIDs: ["{ROOT}.1.1.1.1"]}}', 1),
        ("instances", '{sopClassUIDs: ["1.2.840.10008.5.1.4.1.1.2"]}', 36),
        ("instances", '{tags: [{keyword: "KVP", value: "120"}, {keyword: "InstanceNumber", value: "3"}]}', 12),
        ("instances", '{tags: [{keyword: "Rows", value: "9"}]}', 0),
    ],
)
def test_filters(level: str, condition: str, expected: int, graphql: GraphQL) -> None:
    connection = graphql(f"{{ {level}(filter: {condition}, first: 100) {{ totalCount nodes {{ id }} }} }}")[level]
    assert connection["totalCount"] == expected
    assert len(connection["nodes"]) == expected


@pytest.mark.parametrize(
    ("level", "order", "field", "descending"),
    [
        ("patients", "PATIENT_ID", "patientId", False),
        ("patients", "PATIENT_NAME", "patientName", True),
        ("patients", "BIRTH_DATE", "birthDate", True),
        ("patients", "LAST_UPDATE", "lastUpdate", True),
        ("studies", "STUDY_DATE", "studyDate", False),
        ("studies", "DESCRIPTION", "description", True),
        ("studies", "ACCESSION_NUMBER", "accessionNumber", True),
        ("studies", "LAST_UPDATE", "lastUpdate", False),
        ("seriesList", "SERIES_NUMBER", "seriesNumber", True),
        ("seriesList", "MODALITY", "modality", False),
        ("seriesList", "DESCRIPTION", "description", True),
        ("seriesList", "LAST_UPDATE", "lastUpdate", True),
        ("instances", "INSTANCE_NUMBER", "instanceNumber", True),
        ("instances", "SLICE_LOCATION", "sliceLocation", True),
        ("instances", "SOP_INSTANCE_UID", "sopInstanceUID", False),
    ],
)
def test_orders(level: str, order: str, field: str, descending: bool, graphql: GraphQL) -> None:
    direction = "DESC" if descending else "ASC"
    nodes = _nodes(
        graphql(
            f"{{ {level}(orderBy: [{{field: {order}, direction: {direction}}}], first: 100) {{ nodes {{ {field} }} }} }}"
        )
    )
    found = [node[field] for node in nodes]
    assert found == sorted(found, reverse=descending)
    assert len(found) > 1


def test_several_order_keys(graphql: GraphQL) -> None:
    query = """{ studies(orderBy: [{field: DESCRIPTION, direction: DESC}, {field: PATIENT_NAME}, {field: DESCRIPTION}]) {
        nodes { description patient { patientId } } } }"""
    assert [(node["description"][-1], node["patient"]["patientId"]) for node in _nodes(graphql(query))] == [
        ("2", "P001"),
        ("2", "P002"),
        ("2", "P003"),
        ("1", "P001"),
        ("1", "P002"),
        ("1", "P003"),
    ]


@pytest.mark.parametrize(
    ("level", "order"),
    [("instances", "INSTANCE_NUMBER"), ("instances", "SLICE_LOCATION"), ("seriesList", "MODALITY")],
)
def test_pages_add_up_to_the_list_in_its_order(level: str, order: str, graphql: GraphQL) -> None:
    query = f"""query ($first: Int!, $after: String) {{
        {level}(first: $first, after: $after, orderBy: [{{field: {order}, direction: DESC}}]) {{
        totalCount nodes {{ orthancId }} edges {{ cursor node {{ orthancId }} }}
        pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"""
    whole = graphql(query, first=1000)[level]
    assert not whole["pageInfo"]["hasNextPage"]
    assert not whole["pageInfo"]["hasPreviousPage"]

    paged: list[str] = []
    after = None
    while True:
        page = graphql(query, first=5, after=after)[level]
        assert page["totalCount"] == whole["totalCount"] == len(whole["nodes"])
        assert page["nodes"] == [edge["node"] for edge in page["edges"]]
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        paged += [node["orthancId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert paged == [node["orthancId"] for node in whole["nodes"]]

    beyond = graphql(query, first=5, after=after)[level]
    assert beyond["nodes"] == []
    assert beyond["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


def test_nested_lists_are_cut_for_each_parent(graphql: GraphQL) -> None:
    query = """{ patients { nodes { studies(first: 1, offset: 1) { studyDate
        series(orderBy: [{field: SERIES_NUMBER, direction: DESC}], first: 1) { seriesNumber
            instances(offset: 2) { instanceNumber } none: instances(first: 0) { id } } } } } }"""
    patients = _nodes(graphql(query))
    assert len(patients) == 3
    for patient in patients:
        [study] = patient["studies"]
        assert study["studyDate"].startswith("2021")
        assert study["series"] == [{"seriesNumber": 2, "instances": [{"instanceNumber": 3}], "none": []}]


def test_nested_filters(graphql: GraphQL) -> None:
    query = """query ($modality: String) { patients { nodes { patientId
        studies(filter: {description: "*2", patientId: "P00[12]\\\\P002"}) {
            series(filter: {modality: $modality}) { modality instances(filter: {tags: [
                {keyword: "InstanceNumber", value: "2"}]}) { instanceNumber } } } } } }"""
    found = {patient["patientId"]: patient["studies"] for patient in _nodes(graphql(query, modality="MR"))}
    assert found["P001"] == found["P003"] == []
    assert found["P002"] == [{"series": [{"modality": "MR", "instances": [{"instanceNumber": 2}]}]}]


def test_aliases_fragments_and_directives(graphql: GraphQL) -> None:
    query = """query Q($yes: Boolean!, $number: Int = 1) {
        one: patients(first: $number) { nodes { ...who a: studies(first: 1) { d: description } b: studies { description } } }
        two: patients(first: 2) { nodes { ... on Patient { who: patientId } ... @include(if: $yes) { sex }
            ... @skip(if: $yes) { studies { id } } } edges { node { who: patientName ...nested } } }
        page: patients(first: 1) { nodes { studies { description } } n: nodes { studies(first: 1) { studyId } }
            edges { e: node { studies(offset: 1) { seriesCount } } } }
    }
    fragment who on Patient { patientId ...more }
    fragment more on Node { id __typename }
    fragment nested on Patient { studies(first: 1) { patient { studies { series { study { studyId } } } } } }
    """
    answer = graphql(query, yes=True)
    [first] = answer["one"]["nodes"]
    assert first["patientId"] == "P001"
    assert first["__typename"] == "Patient"
    assert first["a"] == [{"d": "Brain study 2"}]
    assert first["b"] == [{"description": "Brain study 2"}, {"description": "Brain study 1"}]
    assert answer["two"]["nodes"] == [{"who": "P001", "sex": "F"}, {"who": "P002", "sex": "M"}]
    [edge, _] = answer["two"]["edges"]
    assert edge["node"]["who"].startswith("Kim001")
    assert [study["series"][0]["study"]["studyId"] for study in edge["node"]["studies"][0]["patient"]["studies"]] == [
        "S2",
        "S1",
    ]
    assert answer["page"]["nodes"] == [
        {"studies": [{"description": "Brain study 2"}, {"description": "Brain study 1"}]}
    ]
    assert answer["page"]["n"] == [{"studies": [{"studyId": "S2"}]}]
    assert answer["page"]["edges"] == [{"e": {"studies": [{"seriesCount": 2}]}}]


def test_links_upward(graphql: GraphQL) -> None:
    query = """{ instances(filter: {tags: [{keyword: "InstanceNumber", value: "1"}]}, first: 100) { nodes { sopInstanceUID
        series { seriesInstanceUID modality study { studyInstanceUID modalities patient { patientId studiesCount } } } } } }"""
    nodes = _nodes(graphql(query))
    assert len(nodes) == 12
    for node in nodes:
        series_uid = node["sopInstanceUID"].rsplit(".", 1)[0]
        study_uid = series_uid.rsplit(".", 1)[0]
        assert node["series"]["seriesInstanceUID"] == series_uid
        assert node["series"]["study"]["studyInstanceUID"] == study_uid
        assert node["series"]["study"]["modalities"] == ["CT", "MR"]
        assert node["series"]["study"]["patient"] == {
            "patientId": f"P{int(study_uid.split('.')[-2]):03d}",
            "studiesCount": 2,
        }


def test_any_tag_is_readable_at_every_level(graphql: GraphQL) -> None:
    query = """{ patients(first: 1) { nodes {
        tag(keyword: "PatientAge") tags(keywords: ["PatientID", "PatientAge", "PatientComments", "PixelData"])
        studies(first: 1) { tag(keyword: "KVP") tags(keywords: ["StudyID", "PatientSex"])
            series(first: 1) { tag(keyword: "KVP") tags(keywords: ["Modality", "StudyDate"])
                instances(first: 1) { kvp: tag(keyword: "KVP") spacing: tag(keyword: "PixelSpacing")
                    tags(keywords: ["SOPClassUID", "BitsStored", "ReferencedImageSequence"]) main: tags } } } } } }"""
    [patient] = _nodes(graphql(query))
    [study] = patient.pop("studies")
    [series] = study.pop("series")
    [instance] = series.pop("instances")
    assert patient == {
        "tag": "011Y",
        "tags": {"PatientID": "P001", "PatientAge": "011Y", "PatientComments": None, "PixelData": None},
    }
    assert study == {"tag": "120", "tags": {"StudyID": "S2", "PatientSex": "F"}}
    assert series == {"tag": "120", "tags": {"Modality": "CT", "StudyDate": "20220211"}}
    assert instance == {
        "kvp": "120",
        "spacing": "0.5\\0.25",
        "tags": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "BitsStored": "16", "ReferencedImageSequence": None},
        "main": {
            "ImageOrientationPatient": "1\\0\\0\\0\\1\\0",
            "ImagePositionPatient": "-100\\-90.5\\1",
            "InstanceNumber": "1",
            "SOPInstanceUID": f"{ROOT}.1.2.1.1",
        },
    }


@pytest.mark.parametrize(
    ("level", "identifier", "value", "field"),
    [
        ("patient", "patientId", "P002", "patientId"),
        ("study", "studyInstanceUID", f"{ROOT}.1.1", "studyInstanceUID"),
        ("series", "seriesInstanceUID", f"{ROOT}.1.1.2", "seriesInstanceUID"),
        ("instance", "sopInstanceUID", f"{ROOT}.1.1.2.3", "sopInstanceUID"),
    ],
)
def test_one_resource_by_each_of_its_ids(level: str, identifier: str, value: str, field: str, graphql: GraphQL) -> None:
    found = graphql(f'{{ {level}({identifier}: "{value}") {{ id orthancId {field} }} }}')[level]
    assert found[field] == value
    assert graphql(f'{{ {level}(orthancId: "{found["orthancId"]}") {{ id orthancId {field} }} }}')[level] == found

    node = graphql(f'{{ node(id: "{found["id"]}") {{ __typename id }} }}')["node"]
    assert node == {"__typename": level.capitalize(), "id": found["id"]}


@pytest.mark.parametrize(
    "query",
    [
        '{ found: patient(patientId: "p002") { id } }',
        '{ found: patient(patientId: "P00*") { id } }',
        '{ found: patient(patientId: "nobody") { id } }',
        '{ found: study(studyInstanceUID: "1.2.3") { id patient { id } } }',
        '{ found: series(orthancId: "00000000-00000000-00000000-00000000-00000000") { modality } }',
    ],
)
def test_what_is_not_there_is_null(query: str, graphql: GraphQL) -> None:
    assert graphql(query)["found"] is None


def test_nodes_keep_their_order_and_leave_holes(graphql: GraphQL) -> None:
    answer = graphql("{ patients(first: 2) { nodes { id studies(first: 1) { id series { id instances { id } } } } } }")
    [one, two] = answer["patients"]["nodes"]
    series = one["studies"][0]["series"][1]["id"]
    instance = two["studies"][0]["series"][0]["instances"][2]["id"]
    missing = base64.b64encode(b"Study:00000000-00000000-00000000-00000000-00000000").decode()
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Patient { patientId studies { studyId } }
        ... on Instance { instanceNumber rows tag(keyword: "KVP") transferSyntaxUID series { modality } }
        ... on Series { instancesCount } } }"""
    wanted = [instance, two["id"], missing, series, one["id"], instance]
    found = graphql(query, ids=wanted)["nodes"]
    assert [node and node["id"] for node in found] == [instance, two["id"], None, series, one["id"], instance]
    assert [node and node["__typename"] for node in found] == [
        "Instance",
        "Patient",
        None,
        "Series",
        "Patient",
        "Instance",
    ]
    assert found[0] == found[5]
    assert found[0]["rows"] == 8
    assert found[0]["tag"] == "120"
    assert found[0]["series"] == {"modality": "CT"}
    assert found[1]["studies"] == [{"studyId": "S2"}, {"studyId": "S1"}]
    assert found[3]["instancesCount"] == 3


def test_urls_are_absolute(graphql: GraphQL) -> None:
    query = """{ patients(first: 1) { nodes { orthancId archiveUrl studies(first: 1) { orthancId archiveUrl
        series(first: 1) { orthancId archiveUrl thumbnailUrl instances(first: 1) { orthancId fileUrl previewUrl
        second: previewUrl(frame: 1) thumbnailUrl } } } } } }"""
    [patient] = _nodes(graphql(query))
    [study] = patient["studies"]
    [series] = study["series"]
    [instance] = series["instances"]
    root = "http://testserver/api/orthanc"
    assert patient["archiveUrl"] == f"{root}/patients/{patient['orthancId']}/archive/"
    assert study["archiveUrl"] == f"{root}/studies/{study['orthancId']}/archive/"
    assert series["archiveUrl"] == f"{root}/series/{series['orthancId']}/archive/"
    thumbnail = re.escape(f"{root}/series/{series['orthancId']}/thumbnail/")
    assert re.fullmatch(rf"{thumbnail}\?v=\d{{8}}T\d{{6}}", series["thumbnailUrl"])
    of_instance = f"{root}/instances/{instance['orthancId']}"
    version = instance["fileUrl"].removeprefix(f"{of_instance}/file/")
    assert re.fullmatch(r"\?v=[0-9a-f-]{36}", version)
    assert instance["previewUrl"] == f"{of_instance}/preview/{version}"
    assert instance["second"] == f"{of_instance}/preview/{version}&frame=1"
    assert instance["thumbnailUrl"] == f"{of_instance}/thumbnail/{version}"


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ('{ patients(filter: {tags: [{keyword: "Nonsense", value: "x"}]}) { nodes { id } } }', "BAD_USER_INPUT", "Nonsense"),
        ('{ patients { nodes { tag(keyword: "Nonsense") } } }', "BAD_USER_INPUT", "Nonsense"),
        ('{ patients { nodes { tags(keywords: ["PatientID", "patientid"]) } } }', "BAD_USER_INPUT", "patientid"),
        ('{ patients { nodes { tag(keyword: "ModalitiesInStudy") } } }', "BAD_USER_INPUT", "patient level"),
        ('{ patients { nodes { tag(keyword: "SeriesNumber") } } }', "BAD_USER_INPUT", "series level"),
        ('{ patients(filter: {tags: [{keyword: "Modality", value: "CT"}]}) { nodes { id } } }', "BAD_USER_INPUT", "series level"),
        ('{ studies(filter: {tags: [{keyword: "PixelData", value: "x"}]}) { nodes { id } } }', "BAD_USER_INPUT", "binary"),
        ('{ studies(filter: {tags: [{keyword: "TransferSyntaxUID", value: "1"}]}) { nodes { id } } }', "BAD_USER_INPUT", "data set"),
        ('{ studies(filter: {tags: [{keyword: "StudyDate", value: "2026*"}]}) { nodes { id } } }', "BAD_USER_INPUT", "wildcards"),
        ('{ studies(filter: {studyDate: {from: "2026-01-02", to: "2026-01-01"}}) { nodes { id } } }', "BAD_USER_INPUT", "range"),
        ('{ studies(filter: {description: "a\\u0000"}) { nodes { id } } }', "BAD_USER_INPUT", "control"),
        ("{ patients(first: -1) { nodes { id } } }", "BAD_USER_INPUT", "negative"),
        ("{ patients(first: 1001) { nodes { id } } }", "LIMIT_EXCEEDED", "1000"),
        ("{ patients { nodes { studies(first: -1) { id } } } }", "BAD_USER_INPUT", "negative"),
        ("{ patients { nodes { studies(offset: -1) { id } } } }", "BAD_USER_INPUT", "negative"),
        ('{ patients(after: "nonsense") { nodes { id } } }', "BAD_USER_INPUT", "cursor"),
        ('{ patient { id } }', "BAD_USER_INPUT", "exactly one"),
        ('{ patient(patientId: "a", orthancId: "b") { id } }', "BAD_USER_INPUT", "exactly one"),
        ('{ node(id: "nonsense") { id } }', "BAD_USER_INPUT", "global id"),
        ("{ patients { nonsense } }", "BAD_USER_INPUT", "Cannot query field"),
        ("{ patients {", "BAD_USER_INPUT", "Syntax Error"),
    ],
)  # fmt: skip
def test_bad_input_is_said_to_be_so(query: str, code: str, words: str, graphql: GraphQL) -> None:
    error = graphql.error(query)
    assert error["extensions"]["code"] == code
    assert error["extensions"]["requestId"]
    assert words in error["message"]
