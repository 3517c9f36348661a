"""Orthanc with its index in PostgreSQL answers as one over SQLite does, though Debian's plugin has no extended find."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, hierarchy, load
from tests.orthancs import StartOrthanc, index_in_postgresql
from tests.schema.test_call_counts import SHAPES, Shape
from tests.uploads.upload_client import TRANSPORTS, slices

pytestmark = pytest.mark.live

WHOLE = """{ patients(first: 1000) { totalCount nodes { orthancId patientId patientName studiesCount instancesCount
    studies { orthancId studyInstanceUID description seriesCount instancesCount modalities
        series { orthancId seriesInstanceUID modality instancesCount
            instances { orthancId sopInstanceUID rows } } } } } }"""
QUERIES = {
    "whole": WHOLE,
    "filters": """{ a: patients(filter: {patientName: "kim00*"}) { totalCount nodes { patientId } }
        b: studies(filter: {studyDate: {from: "2022-01-01", to: "2022-02-28"}}) { totalCount nodes { studyDate } }
        c: seriesList(filter: {modality: "MR"}) { totalCount nodes { seriesInstanceUID } }
        d: patients(filter: {patientId: "none"}) { totalCount nodes { patientId } } }""",
    "order": """{ studies(orderBy: [{field: STUDY_DATE, direction: DESC}, {field: ACCESSION_NUMBER}]) {
        nodes { studyDate accessionNumber } } }""",
    "page": """{ studies(first: 2, orderBy: [{field: ACCESSION_NUMBER}]) { totalCount pageInfo { hasNextPage endCursor }
        nodes { accessionNumber } } }""",
    "count": "{ instances(first: 0) { totalCount } }",
    "parents": "{ instances(first: 99) { nodes { orthancId series { modality study { studyId patient { sex } } } } } }",
    "tags of the files": '{ instances(first: 1000) { nodes { tags(keywords: ["KVP", "StationName"]) } } }',
}
STUDY = '{ studies(filter: {accessionNumber: "A002-1"}) { nodes { orthancId } } }'
DELETE = """mutation($id: ID!, $dryRun: Boolean!) { deleteStudy(orthancId: $id, dryRun: $dryRun) {
    deletedIds instancesCount } }"""


@pytest.fixture(scope="module")
def pair(postgresql: str, start_orthanc: StartOrthanc) -> list[LocalOrthanc]:
    """Two Orthancs to write to, the index of the first in SQLite, of the second in PostgreSQL."""
    return [start_orthanc(), start_orthanc(**index_in_postgresql(postgresql))]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_answered_alike(
    archive: LocalOrthanc, postgresql_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL, name: str
) -> None:
    use_orthanc(archive)
    expected = graphql(QUERIES[name])
    use_orthanc(postgresql_archive)
    assert graphql(QUERIES[name]) == expected


def test_pages_follow_each_other(postgresql_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL) -> None:
    use_orthanc(postgresql_archive)
    query = """query($after: String) { studies(first: 4, after: $after, orderBy: [{field: ACCESSION_NUMBER}]) {
        pageInfo { hasNextPage endCursor } nodes { accessionNumber } } }"""
    first = graphql(query)["studies"]
    second = graphql(query, after=first["pageInfo"]["endCursor"])["studies"]
    found = [study["accessionNumber"] for study in first["nodes"] + second["nodes"]]
    assert found == [f"A00{patient}-{study}" for patient in (1, 2, 3) for study in (1, 2)]
    assert not second["pageInfo"]["hasNextPage"]


def test_capabilities_are_those_of_the_index_and_not_of_the_version(
    postgresql_archive: LocalOrthanc, use_orthanc: UseOrthanc
) -> None:
    use_orthanc(postgresql_archive)
    capabilities = connect().capabilities()
    assert capabilities.version == postgresql_archive.version
    assert not capabilities.has_extended_find


@pytest.mark.once
def test_the_plugin_opens_one_connection_unless_told_otherwise(postgresql: str, start_orthanc: StartOrthanc) -> None:
    """As docs/deployment.md says; here are plugins 4.0 and 5.0."""
    for options, expected in (({}, 1), ({"IndexConnectionsCount": 5}, 5)):
        arguments = index_in_postgresql(postgresql)
        arguments["configuration"]["PostgreSQL"].update(options)
        orthanc = start_orthanc(**arguments)
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: ask(orthanc, "/statistics"), range(40)))  # noqa: B023 - used at once
        with psycopg.connect(postgresql) as connection:
            name = arguments["configuration"]["PostgreSQL"]["Database"]
            # without those of PostgreSQL itself, such as autovacuum
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
            found = connection.execute(query, [name]).fetchone()
        assert found == (expected,)


@pytest.mark.parametrize("shape", [one for one in SHAPES if not one.plain_for_each_study], ids=lambda shape: shape.name)
def test_calls_are_those_for_an_orthanc_without_extended_find(
    postgresql_archive: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL, shape: Shape
) -> None:
    use_orthanc(postgresql_archive)
    connect().capabilities()
    graphql(shape.query)
    assert graphql.calls.count == shape.plain, [(call.method, call.template) for call in graphql.calls.calls]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_uploads_are_answered_alike(
    pair: list[LocalOrthanc], use_orthanc: UseOrthanc, graphql: GraphQL, transport: str, transactional_db: None
) -> None:
    answers = []
    for orthanc in pair:
        use_orthanc(orthanc)
        values: dict[str, Any] = {"patientId": f"uploaded by {transport}", "uploadKey": f"key of {transport}"}
        uploaded, again = (TRANSPORTS[transport]()(slices(4), **values) for _ in range(2))
        assert (uploaded.uploaded, uploaded.already_stored) == (4, 0)
        assert (again.uploaded, again.already_stored) == (0, 4)
        answers.append(counted(graphql(WHOLE)))
    assert answers[0] == answers[1]


def test_deletions_are_answered_alike(
    pair: list[LocalOrthanc], use_orthanc: UseOrthanc, graphql: GraphQL, transactional_db: None
) -> None:
    answers = []
    for orthanc in pair:
        load(orthanc, hierarchy(patients=2))
        use_orthanc(orthanc)
        [study] = graphql(STUDY)["studies"]["nodes"]
        announced, done = (graphql(DELETE, id=study["orthancId"], dryRun=dry_run) for dry_run in (True, False))
        answers.append([announced, done, graphql('{ studies(filter: {patientId: "P002"}) { nodes { orthancId } } }')])
    assert answers[0] == answers[1]
    assert answers[0][1]["deleteStudy"]["instancesCount"] == 6
    assert len(answers[0][2]["studies"]["nodes"]) == 1


def counted(answer: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return the patients with their numbers of studies and instances: the UIDs of uploads are new ones."""
    return [(one["patientId"], one["studiesCount"], one["instancesCount"]) for one in answer["patients"]["nodes"]]
