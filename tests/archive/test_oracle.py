"""Filters, orders, pages and scopes over random archives find what an independent oracle expects.

`make oracle` tries other seeds and more requests.
"""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.resolvers.context import revision_cache
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.archive.callers import make_tokens
from tests.archive.oracle import ROOT_FIELDS, Request, expected, request, scope
from tests.archive.oracle_archive import LEVELS, SCOPES, Archive, Scope, archive, orthanc_id
from tests.conftest import UseOrthanc
from tests.corpus import ask, load
from tests.orthancs import installed_version

pytestmark = pytest.mark.live

SEED = int(os.environ.get("ORACLE_SEED", "14"))
REQUESTS = int(os.environ.get("ORACLE_REQUESTS", "150"))


@pytest.fixture(scope="module")
def stored(start_orthanc: Callable[..., LocalOrthanc]) -> tuple[LocalOrthanc, Archive]:
    made = archive(random.Random(SEED))
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, made.files())
    if not has_labels(orthanc):
        return orthanc, made.without_labels()
    for level, name in {(level, orthanc_id(level, tags)) for tags in made.instances for level in LEVELS}:
        for label in made.labels[name]:
            ask(orthanc, f"/{level}/{name}/labels/{label}", "PUT")
    return orthanc, made


def has_labels(orthanc: LocalOrthanc) -> bool:
    """Whether this version has labels: 1.12 and newer."""
    return tuple(map(int, orthanc.version.split(".")[:2])) >= (1, 12)


@pytest.fixture
def callers(transactional_db: None) -> dict[Scope | None, Client]:
    """Clients of users with each of the scopes."""
    tokens = make_tokens(SCOPES)
    return {one: Client(headers={"Authorization": f"Bearer {token}"}) for one, token in tokens.items()}


@pytest.mark.parametrize("memory", ["none", "cold", "warm"] if installed_version() >= (1, 12, 5) else ["none"])
def test_every_list_is_what_the_oracle_expects(
    stored: tuple[LocalOrthanc, Archive],
    use_orthanc: UseOrthanc,
    use_index: Callable[[], None],
    callers: dict[Scope | None, Client],
    settings: Settings,
    memory: str,
) -> None:
    orthanc, made = stored
    settings.ORTHANC_CACHE_BYTES = 0 if memory == "none" else 10**8
    use_orthanc(orthanc)
    if memory != "none":
        use_index()
    chance = random.Random(SEED)
    wrong = []
    for _ in range(REQUESTS):
        one, caller = request(chance, made, has_labels(orthanc)), scope(chance, has_labels(orthanc))
        right = expected(made, one, caller)
        if memory == "cold":
            revision_cache.cache_clear()
        found, totals = _all_pages(callers[caller], one)
        if found != right or totals - {len(right)}:
            wrong.append((caller, one.query(), {"found": found, "totals": totals, "expected": right}))
    assert not wrong, f"{len(wrong)} of {REQUESTS}: {min(wrong, key=lambda one: len(str(one)))}"


def _all_pages(client: Client, one: Request) -> tuple[list[Any], set[int]]:
    found: list[Any] = []
    totals = set()
    after = None
    while True:
        body = {"query": one.query(), "variables": {"after": after}}
        answer = client.post("/graphql/", body, content_type="application/json").json()
        if "errors" in answer:
            return [answer["errors"]], set()
        page = answer["data"][ROOT_FIELDS[one.level]]
        totals.add(page["totalCount"])
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found, totals
        after = page["pageInfo"]["endCursor"]
