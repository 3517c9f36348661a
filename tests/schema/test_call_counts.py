"""How many calls to Orthanc a query costs: a matter of its shape, never of how many patients there are."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_django import Settings

from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import hierarchy, load
from tests.orthancs import ONE_CALL_PER_CONNECTION
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live


@dataclass(frozen=True)
class Shape:
    """A query, and its calls: on 1.12.5 and newer, on older ones, and there besides these for each study.

    `indexed` are those with the index, by default one more for a list of patients or studies.
    """

    name: str
    query: str
    extended: int
    plain: int
    plain_for_each_study: int = 0
    indexed: int = 0

    def calls(self, studies: int, *, indexed: bool) -> int:
        if not connect().capabilities().has_extended_find:
            return self.plain + self.plain_for_each_study * studies
        if not indexed or self.query.startswith(("{ seriesList", "{ instances", "{ server")):
            return self.extended
        return self.indexed or self.extended + 1


SHAPES = [
    Shape("patients", "{ patients(first: 1000) { nodes { patientId name { formatted } } } }", 1, 1),
    Shape("patients counted", "{ patients(first: 1000) { totalCount nodes { patientId } } }", 1, 1),
    Shape(
        "patients searched",
        '{ patients(first: 9, filter: {search: "minsu"}) { nodes { patientId } } }',
        4,
        3,
        indexed=4,
    ),
    Shape(
        "studies searched", '{ studies(first: 9, filter: {search: "minsu"}) { nodes { modalities } } }', 3, 3, indexed=3
    ),
    Shape("the server without its counts", "{ server { version advice index { state studiesCount } } }", 0, 0),
    Shape("the server with a count", "{ server { version ... { studies: studiesCount } } }", 1, 1),
    Shape("only a count", "{ studies(first: 0) { totalCount } }", 1, 1),
    Shape("two levels", "{ patients(first: 1000) { nodes { studies { description seriesCount } } } }", 2, 2),
    Shape(
        "three levels", "{ patients(first: 1000) { nodes { studies { series { modality instancesCount } } } } }", 3, 3
    ),
    Shape(
        "four levels",
        "{ patients(first: 1000) { nodes { studies { series { instances { instanceNumber fileSize } } } } } }",
        4,
        4,
    ),
    Shape(
        "four levels, with modalities, which older ones know from the series alone",
        "{ patients(first: 1000) { nodes { studies { modalities instancesCount series { instances { id } } } } } }",
        4,
        4,
    ),
    Shape(
        "modalities without series",
        "{ studies(first: 1000) { nodes { modalities instancesCount } } }",
        1,
        2,
    ),
    Shape(
        "a patient's counts, and all levels below",
        "{ patients(first: 1000) { nodes { studiesCount instancesCount studies { series { instances { id } } } } } }",
        4,
        4,
    ),
    Shape(
        "tags that are in the index of newer ones only",
        "{ patients(first: 1000) { nodes { studies { series { instances { rows columns pixelSpacing } } } } } }",
        4,
        4,
        1,
    ),
    Shape(
        "a tag from the files",
        '{ studies(first: 1000) { nodes { series { instances { tag(keyword: "KVP") } } } } }',
        3,
        3,
        1,
    ),
    Shape(
        "a study's tag from the files",
        '{ studies(first: 1000) { nodes { tags(keywords: ["PatientAge"]) } } }',
        2,
        1,
        1,
        indexed=2,
    ),
    Shape(
        "tags of the study from the series", '{ seriesList(first: 1000) { nodes { tag(keyword: "StudyDate") } } }', 1, 2
    ),
    Shape("tags of the patient", '{ instances(first: 1000) { nodes { tag(keyword: "PatientName") } } }', 2, 4),
    Shape("patients of one name", '{ studies(first: 9, filter: {patientName: "kim*"}) { nodes { id } } }', 2, 2),
    Shape(
        "studies by modality, also by one of several of a series",
        '{ studies(first: 9, filter: {modalities: ["CT", "MR", "PT"]}) { nodes { id } } }',
        2,
        3,
        indexed=2,
    ),
    Shape(
        "files and transfer syntaxes",
        "{ studies(first: 1000) { nodes { series { instances { fileSize transferSyntaxUID sopClassUID } } } } }",
        3,
        3,
    ),
    Shape(
        "nested filters, orders and limits",
        """{ patients(first: 1000, filter: {patientId: "P*"}) { nodes { studies(
            filter: {description: "brain*"}, orderBy: [{field: DESCRIPTION}], first: 1) {
            series(filter: {modality: "CT"}) { instances(first: 1, offset: 1) { instanceNumber } } } } } }""",
        4,
        4,
    ),
    Shape(
        "aliases with different filters are two lists, without they share one",
        """{ studies(first: 1000) { nodes { ct: series(filter: {modality: "CT"}) { id }
            all: series { id } some: series(first: 1) { seriesNumber } } } }""",
        3,
        3,
    ),
    # older ones are asked for the studies twice: for the StudyInstanceUIDs that the audit names, and as `study`
    Shape("up from instances", "{ instances(first: 1000) { nodes { series { study { patient { sex } } } } } }", 4, 6),
    Shape(
        "up and down again", "{ seriesList(first: 1000) { nodes { study { series { id } patient { sex } } } } }", 4, 5
    ),
    # which older ones do not index with series and instances
    Shape("the patients and studies of series, for the audit", "{ seriesList(first: 1000) { nodes { id } } }", 1, 2),
    Shape("the patients and studies of instances, for the audit", "{ instances(first: 1000) { nodes { id } } }", 1, 3),
    Shape(
        "fragments and directives",
        """query ($no: Boolean = false) { studies(first: 1000) { ...page nodes { ...on Study { ...s } } } }
        fragment page on StudyConnection { totalCount @include(if: $no) pageInfo { hasNextPage } }
        fragment s on Study { id patient @skip(if: true) { id } series @include(if: $no) { id } ...t }
        fragment t on Study { description series @skip(if: $no) { modality } }""",
        2,
        2,
    ),
    Shape(
        "nodes and edges", "{ studies { nodes { series { id } } edges { node { series(first: 1) { id } } } } }", 2, 2
    ),
]


@pytest.fixture(scope="module")
def archives(start_orthanc: Callable[..., LocalOrthanc]) -> dict[int, LocalOrthanc]:
    """Archives of one patient and of fifty, each with two studies of two series of two instances."""
    options = {**INDEXED_INSTANCE_TAGS, **ONE_CALL_PER_CONNECTION}
    archives = {count: start_orthanc(configuration=options) for count in (1, 50)}
    for count, orthanc in archives.items():
        load(orthanc, hierarchy(patients=count, studies=2, series=2, instances=2))
    return archives


@pytest.mark.parametrize("patients", [1, 50])
@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_number_of_calls_depends_on_the_shape_only(
    shape: Shape,
    patients: int,
    archives: dict[int, LocalOrthanc],
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
    settings: Settings,
) -> None:
    use_orthanc(archives[patients])
    connect().clock.least_at(0)
    expected = shape.calls(2 * patients, indexed=settings.ORTHANC_INDEX)

    graphql(shape.query)

    assert graphql.calls.count == expected, [(call.method, call.template) for call in graphql.calls.calls]


@pytest.mark.since("1.12.5")
@pytest.mark.parametrize("patients", [1, 50])
def test_index_costs_at_most_one_call(
    patients: int,
    archives: dict[int, LocalOrthanc],
    use_orthanc: UseOrthanc,
    use_index: Callable[[], None],
    graphql: GraphQL,
    settings: Settings,
) -> None:
    settings.ORTHANC_CACHE_BYTES = 0
    use_orthanc(archives[patients])
    use_index()
    connect().clock.least_at(0)
    counts = {}
    for shape in SHAPES:
        graphql(shape.query)
        counts[shape.name] = graphql.calls.count
    assert counts == {shape.name: shape.calls(2 * patients, indexed=True) for shape in SHAPES}


def test_a_list_of_many_parents_is_split(
    start_orthanc: Callable[..., LocalOrthanc], use_orthanc: UseOrthanc, graphql: GraphQL, settings: Settings
) -> None:
    orthanc = start_orthanc(configuration=ONE_CALL_PER_CONNECTION)
    load(orthanc, hierarchy(patients=501, studies=1, series=1, instances=1))
    use_orthanc(orthanc)
    extended = connect().capabilities().has_extended_find
    connect().clock.least_at(0)
    # for the newest change, and for what is selected, which is split as well
    more = 2 if extended and settings.ORTHANC_INDEX else 0

    answer = graphql('{ patients(first: 1000, filter: {patientId: "P*"}) { nodes { studies { description } } } }')

    assert [len(patient["studies"]) for patient in answer["patients"]["nodes"]] == [1] * 501
    assert graphql.calls.count == more + (3 if extended else 2)

    # there are no other patients whose studies would have to be left out
    assert graphql("{ patients(first: 1000) { nodes { studies { description } } } }") == answer
    assert graphql.calls.count == more + 2


def test_files_are_read_only_for_tags_that_are_in_them_alone(
    start_orthanc: Callable[..., LocalOrthanc], use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    orthanc = use_orthanc(start_orthanc())
    load(orthanc, hierarchy(patients=1))
    query = "{ patients { nodes { instancesCount studies { modalities series { instances { %s } } } } } }"
    indexed = query % "instanceNumber numberOfFrames imagePositionPatient fileSize transferSyntaxUID"
    expected = graphql(indexed)

    # without its files, Orthanc can only answer from its index
    orthanc.stop()
    for file in (orthanc.folder / "storage").glob("??/??/*"):
        file.unlink()
    orthanc.start()

    assert graphql(indexed) == expected
    answer = graphql.answer(query % "rows")
    rows = str(answer["data"]).count("'rows': None")
    assert [error["extensions"]["code"] for error in answer.get("errors", [])] == ["ARCHIVE_ERROR"] or rows == 12


def test_exactly_the_selected_tags_are_asked_for(
    unindexed_archive: LocalOrthanc, graphql: GraphQL, settings: Settings
) -> None:
    def sent(selection: str) -> list[tuple[str, dict[str, Any]]]:
        """The calls that make Orthanc read files, for instances of one study."""
        proxy.requests.clear()
        graphql(f"{{ studies(first: 1) {{ nodes {{ series {{ instances {{ {selection} }} }} }} }} }}")
        calls = [(request.path, json.loads(request.body or b"{}")) for request in proxy.requests]
        return [(path, body) for path, body in calls if "RequestedTags" in body or "tags" in path]

    with RecordingProxy(unindexed_archive.port) as proxy:
        settings.ORTHANC_BASE_URL = proxy.base_url
        extended = connect().capabilities().has_extended_find
        connect().clock.least_at(0)

        assert sent("instanceNumber imagePositionPatient fileSize") == []

        [(path, body)] = sent(
            'rows spacing: pixelSpacing tag(keyword: "KVP") tags(keywords: ["InstanceNumber", "KVP"])'
        )
        if extended:
            assert body["RequestedTags"] == ["0018,0060", "0028,0010", "0028,0030"]
        else:
            assert path.endswith("/instances-tags?short&ignore-length=0018-0060,0028-0010,0028-0030")
