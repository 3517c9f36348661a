"""Archives as they are found: identifiers that are empty, wild or shared, values out of order, limits and labels."""

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ROOT, hierarchy, instance, load

pytestmark = pytest.mark.live

StartOrthanc = Callable[..., LocalOrthanc]

PATIENT_IDS = [
    "",
    "back\\slash",
    "..",
    "../..",
    " leading",
    "y" * 70,
    "A*B",
    "AXB",
    "a*b",
    "홍길동-1",
    "É 1",
    "P\u3000全角",
    "x" * 64,
    "O'Neil; --",
    "a/b",
]
DATES = ["20200101", "", None, "2021", "nonsense", "20191231"]
NUMBERS = ["10", "9", "007", "", None, "-3", "2147483648", "1.5", "x1"]


@pytest.fixture(scope="module")
def hard_archive(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, _hard_files())
    return orthanc


def _hard_files() -> Iterator[bytes]:
    for number, patient_id in enumerate(PATIENT_IDS):
        for study in (1, 2):
            yield instance(100 + number, study, PatientID=patient_id, PatientName=f"Hard^{number}")
    for study, date in enumerate(DATES):
        yield instance(200, study + 1, PatientID="dates", StudyDate=date, StudyTime="101010")
    for series, value in enumerate(NUMBERS):
        yield instance(201, 1, series + 1, PatientID="numbers", SeriesNumber=value)
        yield instance(201, 2, 1, series + 1, PatientID="numbers", InstanceNumber=value, SliceLocation=value)
    for patient_id in ("twin-a", "twin-b"):
        yield instance(202, 1, PatientID=patient_id)


@pytest.mark.parametrize("patient_id", PATIENT_IDS)
def test_a_patient_of_any_id_has_just_its_own_studies(
    patient_id: str, hard_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(hard_archive)
    query = "{ patients(first: 100) { nodes { id orthancId patientId patientName studies { id studyInstanceUID } } } }"
    number = PATIENT_IDS.index(patient_id)
    nodes = graphql(query)["patients"]["nodes"]
    [patient] = [node for node in nodes if node["patientName"] == f"Hard^{number}"]
    assert patient["patientId"] == (patient_id.strip() or None)
    assert sorted(study["studyInstanceUID"] for study in patient["studies"]) == [
        f"{ROOT}.{100 + number}.{study}" for study in (1, 2)
    ]

    filtered = """{ patients(first: 100) { nodes { patientName studies(filter: {description: "Brain*"}) { id } } } }"""
    counts = {node["patientName"]: len(node["studies"]) for node in graphql(filtered)["patients"]["nodes"]}
    assert counts[patient["patientName"]] == 2

    by_ids = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Patient { patientName instancesCount }
        ... on Study { instancesCount patient { patientName } } } }"""
    ids = [patient["id"], *(study["id"] for study in patient["studies"])]
    mine = {"patientName": patient["patientName"]}
    assert graphql(by_ids, ids=ids)["nodes"] == [
        {**mine, "instancesCount": 2},
        {"instancesCount": 1, "patient": mine},
        {"instancesCount": 1, "patient": mine},
    ]
    # of several patients at once, too
    everybody = graphql(by_ids, ids=[node["id"] for node in nodes])["nodes"]
    assert [one and one["patientName"] for one in everybody] == [node["patientName"] for node in nodes]

    one = "query ($id: String!) { patient(patientId: $id) { orthancId studies { patient { orthancId } } } }"
    found = graphql(one, id=patient["patientId"] or "")["patient"]
    assert found["orthancId"] == patient["orthancId"]
    assert [study["patient"]["orthancId"] for study in found["studies"]] == [patient["orthancId"]] * 2


def test_one_study_uid_of_two_patients_is_two_studies(
    hard_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(hard_archive)
    uid = f"{ROOT}.202.1"
    query = """{ patients(filter: {patientId: "twin-?"}) { nodes { patientId studies { patient { patientId }
        series { study { patient { patientId } } instances { series { study { patient { patientId } } } } } } } } }"""
    for patient in graphql(query)["patients"]["nodes"]:
        [study] = patient["studies"]
        [series] = study["series"]
        [one] = series["instances"]
        mine = {"patientId": patient["patientId"]}
        assert study["patient"] == series["study"]["patient"] == one["series"]["study"]["patient"] == mine

    studies = graphql(
        f'{{ studies(filter: {{studyInstanceUIDs: ["{uid}"]}}) {{ nodes {{ patient {{ patientId }} }} }} }}'
    )
    assert sorted(node["patient"]["patientId"] for node in studies["studies"]["nodes"]) == ["twin-a", "twin-b"]

    error = graphql.error(f'{{ study(studyInstanceUID: "{uid}") {{ id }} }}')
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "2 studies" in error["message"]


def test_files_without_a_patient_id_are_in_every_list(
    start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    load(use_orthanc(start_orthanc()), [instance(1), instance(2, PatientID=None), instance(3, PatientID="홍")])
    patient = "patient { patientName studies { series { instances { id } } } }"
    queries = {
        "patients": "studies { series { instances { series { study { patient { patientName } } } } } }",
        "studies": patient,
        "seriesList": f"study {{ {patient} }}",
        "instances": f"series {{ study {{ {patient} }} }}",
    }
    for level, selection in queries.items():
        for arguments in ("", "(first: 3)", '(filter: {tags: [{keyword: "PatientSex", value: "?"}]})'):
            found = graphql(f"{{ {level}{arguments} {{ totalCount nodes {{ id {selection} }} }} }}")[level]
            assert found["totalCount"] == len(found["nodes"]) == 3
            assert str(found).count("Kim00") == 3
        ids = [node["id"] for node in found["nodes"]]
        assert None not in graphql("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)["nodes"]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("level", "patient_id", "order", "expected"),
    [
        # what is shown as null comes first, in the order of UIDs
        ("studies", "dates", "STUDY_DATE", ["", None, "2021", "nonsense", "20191231", "20200101"]),
        ("seriesList", "numbers", "SERIES_NUMBER", ["", None, "2147483648", "1.5", "x1", "-3", "007", "9", "10"]),
        ("instances", "numbers", "INSTANCE_NUMBER", ["", None, "2147483648", "1.5", "x1", "-3", "007", "9", "10"]),
        ("instances", "numbers", "SLICE_LOCATION", ["", None, "x1", "-3", "1.5", "007", "9", "10", "2147483648"]),
    ],
)
def test_values_out_of_order_are_ordered_alike_by_every_orthanc(
    level: str,
    patient_id: str,
    order: str,
    expected: list[str | None],
    direction: str,
    hard_archive: LocalOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
) -> None:
    use_orthanc(hard_archive)
    keyword = {
        "STUDY_DATE": "StudyDate",
        "SERIES_NUMBER": "SeriesNumber",
        "INSTANCE_NUMBER": "InstanceNumber",
        "SLICE_LOCATION": "SliceLocation",
    }[order]
    query = f"""query ($first: Int, $after: String) {{ {level}(first: $first, after: $after,
        filter: {{tags: [{{keyword: "PatientID", value: "{patient_id}"}}]}},
        orderBy: [{{field: {order}, direction: {direction}}}]) {{
        nodes {{ orthancId tag(keyword: "{keyword}") }} pageInfo {{ hasNextPage endCursor }} }} }}"""

    whole = graphql(query, first=100)[level]["nodes"]

    found = [node["tag"] for node in whole if node["tag"] in expected]
    assert found == (expected if direction == "ASC" else _descending(expected, order))

    paged: list[Any] = []
    after = None
    while True:
        page = graphql(query, first=4, after=after)[level]
        paged += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert paged == whole


def _descending(ascending: list[str | None], order: str) -> list[str | None]:
    """The other way round; but what is shown as null stands in the order of UIDs both ways."""
    if order == "INSTANCE_NUMBER":
        # their position is turned, too
        return ascending[::-1]
    nulls = ascending[: {"STUDY_DATE": 4, "SLICE_LOCATION": 3}.get(order, 5)]
    return ascending[len(nulls) :][::-1] + nulls


@pytest.mark.parametrize(
    ("identifier", "value"),
    [("patientId", "P002"), ("patientId", "A*B"), ("patientId", "*"), ("patientId", "P00?")],
)
def test_an_identifier_is_matched_to_the_letter(
    identifier: str, value: str, hard_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(hard_archive)
    found = graphql("query ($id: String!) { patient(patientId: $id) { patientId } }", id=value)["patient"]
    assert found == ({identifier: value} if value in PATIENT_IDS else None)


def test_answers_are_whole_or_refused_where_orthanc_cuts_them_off(
    start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    limits = {"LimitFindResults": 3, "LimitFindInstances": 4}
    orthanc = use_orthanc(start_orthanc(configuration={**INDEXED_INSTANCE_TAGS, **limits}))
    load(orthanc, hierarchy(patients=8, studies=2, series=1, instances=6))
    query = """{ patients(first: 7) { totalCount pageInfo { hasNextPage } nodes { studies { series { instances { id } } } } }
        server { advice } instances(first: 1000) { nodes { id } } }"""

    if not connect().capabilities().has_extended_find:
        codes = {error["extensions"]["code"] for error in graphql.answer(query)["errors"]}
        assert codes == {"ARCHIVE_ERROR"}
        assert "LimitFindResults" in graphql("{ server { advice } }")["server"]["advice"][-1]
        return
    answer = graphql(query)

    assert answer["patients"]["totalCount"] == 8
    assert answer["patients"]["pageInfo"]["hasNextPage"]
    patients = answer["patients"]["nodes"]
    assert [[len(study["series"][0]["instances"]) for study in patient["studies"]] for patient in patients] == [
        [6, 6]
    ] * 7
    assert len(answer["instances"]["nodes"]) == 96
    assert any("LimitFindResults" in advice for advice in answer["server"]["advice"])


@pytest.mark.parametrize(
    ("level", "keyword", "value", "count"),
    [
        ("patients", "PatientName", "홍^길동7", 1),
        ("patients", "PatientName", "홍*", 61),
        ("patients", "PatientName", "*7", 6),
        ("studies", "StudyDescription", "뇌 ?", 10),
        ("seriesList", "SeriesDescription", "뇌 6?", 1),
        ("instances", "PatientComments", "뇌 60", 1),
        ("instances", "PatientComments", "Comment 7", 1),
    ],
)
def test_searches_are_complete_or_rejected_where_orthanc_truncates(
    level: str,
    keyword: str,
    value: str,
    count: int,
    truncating_archive: LocalOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
) -> None:
    use_orthanc(truncating_archive)
    query = f"""query ($value: String!) {{ {level}(filter: {{tags: [{{keyword: "{keyword}", value: $value}}]}}) {{
        totalCount nodes {{ id }} }} }}"""

    answer = graphql.answer(query, value=value)

    if connect().capabilities().has_extended_find:
        assert "errors" not in answer, answer["errors"]
        assert answer["data"][level]["totalCount"] == count
    else:
        assert answer["errors"][0]["extensions"]["code"] == "ARCHIVE_ERROR"


@pytest.fixture(scope="module")
def truncating_archive(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """Names that are equal for Orthanc's index, and more of them than it returns at once."""
    limits = {"LimitFindResults": 20, "LimitFindInstances": 20}
    orthanc = start_orthanc(configuration={**INDEXED_INSTANCE_TAGS, **limits})
    load(
        orthanc,
        (
            instance(
                number,
                PatientName=f"홍^길동{number}",
                StudyDescription=f"뇌 {number}",
                SeriesDescription=f"뇌 {number}",
                PatientComments=f"Comment {number}" if number == 7 else f"뇌 {number}",
            )
            for number in range(61)
        ),
    )
    return orthanc


@pytest.fixture(scope="module")
def half_indexed_archive(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """One file from before the instance tags came into the index, and one from after."""
    orthanc = start_orthanc()
    load(orthanc, [instance(1, number=1)])
    orthanc.stop()
    orthanc._configuration.update(INDEXED_INSTANCE_TAGS)
    orthanc.start()
    load(orthanc, [instance(1, number=2)])
    return orthanc


def test_tags_that_came_into_the_index_later_are_read_from_older_files(
    half_indexed_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(half_indexed_archive)
    query = "{ instances { nodes { sopInstanceUID rows sliceThickness } } server { version hasExtendedFind advice } }"

    answer = graphql(query)

    assert [(node["rows"], node["sliceThickness"]) for node in answer["instances"]["nodes"]] == [(8, 1.5)] * 2
    advice = " ".join(answer["server"]["advice"])
    assert ("Reconstruct" in advice) == answer["server"]["hasExtendedFind"]


def test_what_is_in_a_part_of_the_index_is_not_searched_in_part(
    half_indexed_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(half_indexed_archive)
    query = '{ instances(filter: {tags: [{keyword: "Rows", value: "8"}]}) { totalCount nodes { id } } }'

    answer = graphql.answer(query)

    if connect().capabilities().has_extended_find:
        assert answer["errors"][0]["extensions"]["code"] == "ARCHIVE_ERROR"
        assert "Rows" in answer["errors"][0]["message"]
    else:
        assert answer["data"]["instances"]["totalCount"] == len(answer["data"]["instances"]["nodes"]) == 2


def test_a_limit_that_bites_later_is_seen(
    start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    orthanc = use_orthanc(start_orthanc(configuration={"LimitFindResults": 5, "LimitFindInstances": 5}))
    query = "{ patients(first: 100) { nodes { studies { series { instances { id } } } } pageInfo { hasNextPage } } }"
    load(orthanc, hierarchy(patients=2, studies=1, series=1, instances=1))
    assert len(graphql(query)["patients"]["nodes"]) == 2

    load(orthanc, hierarchy(patients=12, studies=1, series=1, instances=2))

    answer = graphql.answer(query)
    if connect().capabilities().has_extended_find:
        patients = answer["data"]["patients"]["nodes"]
        assert [len(patient["studies"][0]["series"][0]["instances"]) for patient in patients] == [2] * 12
    else:
        assert answer["errors"][0]["extensions"]["code"] == "ARCHIVE_ERROR"


NAMES = ["홍^길동", "홍^길순", "김^철수", "Lee^B", "kim^a", "Kim^a", "É^x", "e^x", "山田^太郎", "50%^_"]


@pytest.fixture(scope="module")
def named_archive(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(
        orthanc,
        [
            instance(
                300 + number, PatientID=f"N{number}", PatientName=name, StudyDescription=name, SeriesDescription=name
            )
            for number, name in enumerate(NAMES)
        ],
    )
    return orthanc


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("홍*", ["홍^길동", "홍^길순"]),
        ("*수", ["김^철수"]),
        ("kim*", ["Kim^a", "kim^a"]),
        ("?^x", ["e^x", "É^x"]),
        ("김^철?", ["김^철수"]),
        ("é^X", ["É^x"]),
        ("김*\\\\lee*", ["Lee^B", "김^철수"]),
        ("*^x", ["e^x", "É^x"]),
        ("50%*", ["50%^_"]),
        ("lee^b\\\\山田^太郎", ["Lee^B", "山田^太郎"]),
        ("*", sorted(NAMES)),
    ],
)
@pytest.mark.parametrize(
    ("level", "field", "order"),
    [
        ("patients", "patientName", "PATIENT_NAME"),
        ("studies", "description", "DESCRIPTION"),
        ("seriesList", "description", "DESCRIPTION"),
    ],
)
def test_names_in_any_script_are_found_sorted_paged_and_counted(
    level: str,
    field: str,
    order: str,
    pattern: str,
    expected: list[str],
    named_archive: LocalOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
) -> None:
    use_orthanc(named_archive)
    query = f"""query ($after: String) {{ {level}(filter: {{{field}: "{pattern}"}}, orderBy: [{{field: {order}}}],
        first: 1, after: $after) {{ totalCount nodes {{ name: {field} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
    found = []
    after = None
    while True:
        page = graphql(query, after=after)[level]
        assert page["totalCount"] == len(expected)
        found += [node["name"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert found == expected


def test_a_long_text_is_read_whole(start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL) -> None:
    orthanc = use_orthanc(start_orthanc())
    comment = "길다 " * 200
    load(orthanc, [instance(1, ImageComments=comment, PatientComments=comment)])
    # one is in the index where it is short, the other is not
    for keyword in ("ImageComments", "PatientComments"):
        [node] = graphql(f'{{ instances {{ nodes {{ tag(keyword: "{keyword}") }} }} }}')["instances"]["nodes"]
        assert node["tag"].strip() == comment.strip()


def test_labels(start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL) -> None:
    orthanc = use_orthanc(start_orthanc())
    load(orthanc, hierarchy(patients=4, studies=1, series=1, instances=1))
    query = """query ($labels: LabelFilter) { studies(filter: {labels: $labels}, orderBy: [{field: PATIENT_ID}], first: 2) {
        totalCount nodes { labels patient { patientId } } pageInfo { hasNextPage } } }"""
    if not connect().capabilities().has_labels:
        assert graphql.error(query, labels={"any": ["a"]})["extensions"]["code"] == "BAD_USER_INPUT"
        assert [node["labels"] for node in graphql(query)["studies"]["nodes"]] == [None, None]
        return
    ids = {
        node["patient"]["patientId"]: node["orthancId"]
        for node in graphql("{ studies { nodes { orthancId patient { patientId } } } }")["studies"]["nodes"]
    }
    for patient_id, labels in {"P001": "a", "P002": "ab", "P003": "b"}.items():
        for label in labels:
            _put(orthanc, f"/studies/{ids[patient_id]}/labels/{label}")

    def found(**labels: list[str]) -> list[str]:
        connection = graphql(query, labels=labels)["studies"]
        nodes: list[str] = [node["patient"]["patientId"] for node in connection["nodes"]]
        assert connection["pageInfo"]["hasNextPage"] == (connection["totalCount"] > len(nodes))
        return nodes

    assert found(any=["a"]) == ["P001", "P002"]
    assert found(all=["a", "b"]) == ["P002"]
    assert found(none=["a"]) == ["P003", "P004"]
    assert found(any=["a", "b"], none=["b"]) == ["P001"]
    assert found(any=["a", "b"]) == ["P001", "P002"]
    assert found(any=["c"]) == []
    [first, second] = graphql(query, labels={"any": ["a"]})["studies"]["nodes"]
    assert (first["labels"], second["labels"]) == (["a"], ["a", "b"])


def _put(orthanc: LocalOrthanc, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=10)
    connection.request("PUT", path, json.dumps(""))
    assert connection.getresponse().status == 200
    connection.close()
