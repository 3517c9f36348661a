"""The compiled fast path over the gateway's own schema: the answers of graphql-core, whatever the records are like."""

import asyncio
from pathlib import Path

import pytest
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.relay import to_base64

from orthancproxy.conf import Configuration
from orthancproxy.schema import schema
from tests.schema import injected_records
from tests.schema.execution_answers import REPEATABLY, Paths
from tests.schema.execution_queries import Query, Values, varied_queries
from tests.schema.injected_records import FAULTS, Archive

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
ROOTS = ["patients", "studies", "seriesList", "instances", "patient", "study", "series", "instance", "node", "nodes"]
IDS = [to_base64(level, f"{level}-1") for level in ("Patient", "Study", "Series", "Instance")]
ARGUMENTS: Values = {
    "id": [*IDS, *IDS, "wrong"],
    "ids": [IDS, IDS[:1], [*IDS, *IDS], []],
    "orthancId": ["here"],
    "first": [0, 1, 3],
    "offset": [0, 2],
    "after": [to_base64("offset", 3)],
    "keyword": ["PatientName", "KVP", "PatientID"],
    "keywords": [["KVP"], ["PatientName", "KVP"], [], None],
    "frame": [0, 1, -5, None],
}
ARCHIVES = st.builds(
    Archive,
    length=st.sampled_from([2, 1, 4]),
    seed=st.integers(0, 2**32 - 1),
    faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4).map(tuple),
    rate=st.sampled_from([100, 20, 300, 0]),
)
# as far as they go, because a query that is rejected compares nothing
LIMITS = {
    name: setting.maximum for name, setting in vars(Configuration).items() if name.startswith("ORTHANC_MAX_QUERY_")
}


@override_settings(**LIMITS)
def test_any_query_of_any_records_has_the_answer_of_graphql_core(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner() as loop:
        paths = Paths(schema, monkeypatch, loop)

        @settings(REPEATABLY, max_examples=400)
        @given(varied_queries(SDL.read_text(), ROOTS, ARGUMENTS, draws=200), st.lists(ARCHIVES, min_size=1, max_size=6))
        def compare(query: Query, archives: list[Archive]) -> None:
            for archive in archives:
                with monkeypatch.context() as patch:
                    archive.put_in(patch)
                    paths.compare(query, injected_records.context, lambda: None)

        compare()
    paths.check(at_least=1000)
