"""Filters, orders and pages over random archives find what an independent oracle expects.

`make oracle` tries other seeds and more requests.
"""

import os
import random
from collections.abc import Callable

import pytest

from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.archive.oracle import Archive, Request, archive, as_shown, expected, request
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import load

pytestmark = pytest.mark.live

SEED = int(os.environ.get("ORACLE_SEED", "14"))
REQUESTS = int(os.environ.get("ORACLE_REQUESTS", "250"))


@pytest.fixture(scope="module")
def stored(start_orthanc: Callable[..., LocalOrthanc]) -> tuple[LocalOrthanc, Archive]:
    made = archive(random.Random(SEED))
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, made.files())
    return orthanc, made


def test_every_list_is_what_the_oracle_expects(
    stored: tuple[LocalOrthanc, Archive], use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    orthanc, made = stored
    use_orthanc(orthanc)
    chance = random.Random(SEED)
    wrong = []
    for _ in range(REQUESTS):
        one = request(chance)
        right = as_shown(expected(made, one))
        found, totals = _all_pages(graphql, one)
        if found != right or totals - {len(right)}:
            wrong.append((one, {"found": found, "totals": totals, "expected": right}))
    assert not wrong, f"{len(wrong)} of {REQUESTS}: {wrong[:3]}"


def _all_pages(graphql: GraphQL, one: Request) -> tuple[list[str | None], set[int]]:
    found: list[str | None] = []
    totals = set()
    after = None
    while True:
        page = graphql(one.query(), after=after)[one.level]
        totals.add(page["totalCount"])
        found += [node["uid"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return as_shown(found), totals
        after = page["pageInfo"]["endCursor"]
