"""Queries of the hierarchy take the fast path: graphql-core executes no field of a record."""

from collections import Counter
from typing import Any

import pytest
from pytest_django import Settings
from strawberry.relay import to_base64
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.schema import schema
from orthancproxy.schema.execution import CompiledExecutor
from tests.conftest import GraphQL, UseOrthanc
from tests.schema import injected_records
from tests.schema.injected_records import Archive

INSTANCE = """
__typename id orthancId sopInstanceUID sopClassUID instanceNumber rows columns numberOfFrames pixelSpacing
sliceThickness sliceLocation imagePositionPatient imageOrientationPatient transferSyntaxUID fileSize labels @include(if: $yes)
tag(keyword: "KVP") tags some: tags(keywords: ["KVP", "PatientName"]) fileUrl previewUrl second: previewUrl(frame: $frame)
thumbnailUrl parent: series { id study { description patient { name { formatted } } } }
"""
SERIES = f"""
id orthancId seriesInstanceUID description modality seriesNumber bodyPartExamined protocolName manufacturer stationName
seriesDate seriesTime lastUpdate isStable labels instancesCount tag(keyword: "KVP") tags archiveUrl thumbnailUrl
instances(first: 50, orderBy: [{{field: INSTANCE_NUMBER, direction: DESC}}]) {{ {INSTANCE} }}
later: instances(offset: 1) @include(if: $yes) {{ kind: __typename ... {{ id }} ... on Instance {{ fileSize }} }}
none: instances @skip(if: $yes) {{ id }}
instances(first: 50, orderBy: [{{field: INSTANCE_NUMBER, direction: DESC}}]) {{ again: rows series {{ id }} }}
"""
STUDY = f"""
id orthancId studyInstanceUID description studyDate studyTime studyId accessionNumber referringPhysicianName
institutionName modalities lastUpdate isStable labels seriesCount instancesCount tag(keyword: "PatientName") tags
archiveUrl series(filter: {{modality: "C?"}}) {{ {SERIES} }} patient {{ patientId }}
"""
PATIENT = f"""
id orthancId patientId patientName name {{ formatted family given middle prefix suffix ideographic phonetic
    alphabetic {{ family given middle prefix suffix formatted }} ideographicGroup {{ family }}
    phoneticGroup {{ given formatted }} }}
birthDate sex lastUpdate isStable labels studiesCount instancesCount tag(keyword: "PatientName") tags archiveUrl
studies(first: 5) {{ ... on Study @include(if: $yes) {{ {STUDY} }} }}
"""
PARTS = {"Patient": PATIENT, "Study": STUDY, "Series": SERIES, "Instance": INSTANCE}
IDS = [to_base64(level, f"{level}-1") for level in PARTS]
# what graphql-core executes: the root field, and what leads from there to the records
SHAPES = [
    ("patients { nodes { ...Parts } }", "Patient", 2),
    ("studies { nodes { ...Parts } totalCount }", "Study", 3),
    ("seriesList { nodes { ...Parts } pageInfo { hasNextPage endCursor } }", "Series", 3),
    ("instances { nodes { ...Parts } }", "Instance", 2),
    ('patient(orthancId: "Patient-1") { ...Parts }', "Patient", 1),
    ('study(studyInstanceUID: "Study-1") { ...Parts }', "Study", 1),
    ('series(orthancId: "Series-1") { ...Parts }', "Series", 1),
    ('instance(orthancId: "Instance-1") { ...Parts }', "Instance", 1),
    (f'node(id: "{IDS[0]}") {{ id ...Parts }}', "Patient", 1),
    (f"nodes(ids: {[*IDS, IDS[1]]}) {{ __typename id ...Parts }}".replace("'", '"'), "Study", 1),
]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Counter[type]:
    """How many fields each executor executed."""
    counted: Counter[type] = Counter()
    execute_field = StrawberryGraphQLCoreExecutionContext.execute_field

    def count(executor: Any, *args: Any) -> Any:
        counted[type(executor)] += 1
        return execute_field(executor, *args)

    monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "execute_field", count)
    return counted


def query(root: str, level: str) -> str:
    return f"query ($yes: Boolean! = true, $frame: Int) {{ {root} }} fragment Parts on {level} {{ {PARTS[level]} }}"


def answer(text: str, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    archive.put_in(monkeypatch)
    result = schema.execute_sync(text, {"frame": 1}, injected_records.context())
    assert result.errors is None
    assert result.data
    return result.data


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize(
    ("root", "level", "fields"), SHAPES, ids=[root.partition("(")[0].partition(" ")[0] for root, *_ in SHAPES]
)
def test_graphql_core_executes_no_field_of_a_record(
    root: str, level: str, fields: int, length: int, executed: Counter[type], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(query(root, level), Archive(length), monkeypatch)
    assert executed == {CompiledExecutor: fields}


@pytest.mark.parametrize("length", [1, 5])
def test_an_edge_costs_its_own_fields_only(
    length: int, executed: Counter[type], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(query("series: seriesList { edges { cursor node { ...Parts } } }", "Series"), Archive(length), monkeypatch)
    assert executed == {CompiledExecutor: 2 + 2 * length}


@pytest.mark.parametrize(
    ("root", "level", "fields"), SHAPES, ids=[root.partition("(")[0].partition(" ")[0] for root, *_ in SHAPES]
)
def test_the_setting_turns_it_off(
    root: str,
    level: str,
    fields: int,
    executed: Counter[type],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = answer(query(root, level), Archive(2), monkeypatch)
    assert executed.total() == fields
    settings.ORTHANC_COMPILED_EXECUTION = False
    assert answer(query(root, level), Archive(2), monkeypatch) == compiled
    assert executed.total() > 2 * fields + 20


@pytest.mark.live
@pytest.mark.parametrize(
    ("root", "level", "fields"), SHAPES[:4], ids=[root.partition(" ")[0] for root, *_ in SHAPES[:4]]
)
def test_records_of_orthanc_take_it_too(
    root: str,
    level: str,
    fields: int,
    execution: str,
    executed: Counter[type],
    any_archive: LocalOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
) -> None:
    use_orthanc(any_archive)
    assert graphql(query(root, level), frame=1)
    assert executed.total() == fields if execution == "compiled" else executed.total() > 500
