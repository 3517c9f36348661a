"""The queries that GraphiQL opens with are right, and answer over an archive."""

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema, parse, print_ast, validate

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in sorted(REPOSITORY.glob("orthancproxy/web/examples/*.graphql"))}
# the query that the gateway was made for: changed here, it is changed for every frontend
PROMISED = """
{ patients(first: 5) { totalCount nodes { patientName studies { description studyDate series { modality
instancesCount instances(first: 2) { instanceNumber rows columns pixelSpacing thumbnailUrl } } } } } }
"""


def variables(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".variables.json")
    given: dict[str, Any] = json.loads(beside.read_text()) if beside.exists() else {}
    return given


def selection(query: str) -> str:
    [operation] = parse(query, no_location=True).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return print_ast(operation.selection_set)


def test_there_are_examples() -> None:
    assert "hierarchy" in EXAMPLES
    beside = REPOSITORY.glob("orthancproxy/web/examples/*.variables.json")
    assert {path.name.removesuffix(".variables.json") for path in beside} <= EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid(name: str) -> None:
    schema = build_schema((REPOSITORY / "schema/schema.graphql").read_text())
    assert validate(schema, parse(EXAMPLES[name].read_text())) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_one_operation_with_the_name_of_its_file(name: str) -> None:
    [operation] = parse(EXAMPLES[name].read_text()).definitions
    assert isinstance(operation, OperationDefinitionNode)
    # the tab's title
    assert operation.name
    assert operation.name.value == name.capitalize()


def test_the_nested_example_is_the_promised_query() -> None:
    assert selection(EXAMPLES["hierarchy"].read_text()) == selection(PROMISED)


@pytest.mark.live
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_answers(name: str, graphql: GraphQL, any_archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(any_archive)
    path = EXAMPLES[name]
    data = graphql(path.read_text(), **variables(path))
    for field, root in data.items():
        assert root
        # nothing was uploaded through this gateway
        assert root.get("nodes") != [] or field == "uploads"


@pytest.mark.live
def test_the_promised_query_answers(graphql: GraphQL, any_archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(any_archive)
    patients = graphql(PROMISED)["patients"]
    assert patients["totalCount"] == 3
    assert [patient["patientName"] for patient in patients["nodes"]] == [
        f"Kim{number:03d}^Minsu=金{number}^民洙=김{number}^민수" for number in (1, 2, 3)
    ]
    study = patients["nodes"][0]["studies"][0]
    assert study["description"] == "Brain study 2"
    assert study["studyDate"] == "2022-02-11"
    assert [(series["modality"], series["instancesCount"]) for series in study["series"]] == [("CT", 3), ("MR", 3)]
    first, second = study["series"][0]["instances"]
    assert (first["instanceNumber"], second["instanceNumber"]) == (1, 2)
    assert (first["rows"], first["columns"], first["pixelSpacing"]) == (8, 8, [0.5, 0.25])
    assert first["thumbnailUrl"].startswith("http://testserver/")
    assert "/thumbnail/?v=" in first["thumbnailUrl"]
