"""How many calls to Orthanc a request costs whose instances are kept, and that its response is the same."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs
from orthancproxy.archive.records import Instance, Resource
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.orthancs import learn_clock

pytestmark = pytest.mark.live

INSTANCES = LevelPlan(level=Level.INSTANCE, needs=Instance.rows.needs | Instance.file_size.needs)
SERIES = LevelPlan(level=Level.SERIES, related={"instances": INSTANCES})
STUDY = LevelPlan(level=Level.STUDY, related={"series": SERIES})
WITH_URLS = replace(SERIES, related={"instances": replace(INSTANCES, needs=INSTANCES.needs | Instance.version.needs)})
LISTED = replace(SERIES, needs=Needs(frozenset({"PatientName", "PatientID", "StudyInstanceUID", "SeriesNumber"})))
PATIENT = LevelPlan(level=Level.PATIENT, related={"studies": STUDY})
OF_SERIES = LevelPlan(level=Level.INSTANCE, needs=Needs(frozenset({"SeriesDescription"})))
IN_SCOPE = Scope(("P00*",))


@dataclass(frozen=True)
class Shape:
    """A request for one resource or for a page, and the calls of its repetition."""

    name: str
    plan: LevelPlan
    warm: int
    is_page: bool = False
    scope: Scope = EVERYTHING


SHAPES = [
    Shape("a study, its series", STUDY, 2),
    Shape("a series", SERIES, 1),
    Shape("a series with URLs of its instances, their FileUuids", WITH_URLS, 2),
    Shape("a series with the name of its patient, the patient", LISTED, 2),
    Shape("an instance: the LastUpdate of its series", INSTANCES, 1),
    Shape("a page of studies, their series", STUDY, 2, is_page=True),
    Shape("a page of patients, their studies and series", PATIENT, 3, is_page=True),
    Shape("an instance whose tags of the series may change", OF_SERIES, 1),
    Shape("a page of studies in scope", STUDY, 2, is_page=True, scope=IN_SCOPE),
]


def shown(plan: LevelPlan, resources: Iterable[Resource]) -> list[Any]:
    """What a response shows of resources, in its order."""
    return [
        (
            one.orthanc_id,
            {tag: one.tags.get(tag) for tag in plan.needs.tags},
            [one.facts.get("FileSize")] if Fact.FILE_SIZE in plan.needs.facts else [],
            [shown(below, _listed(one.related[name])) for name, below in plan.related.items()],
        )
        for one in resources
    ]


def _listed(related: Any) -> Any:
    return (related,) if isinstance(related, Resource) else related


@pytest.fixture(scope="module")
def client(archive: LocalOrthanc) -> OrthancClient:
    """A client of an archive whose last change is past."""
    client = OrthancClient(ConnectionOptions(archive.base_url))
    client.capabilities()
    learn_clock(client)
    time.sleep(3)
    return client


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_a_request_whose_instances_are_kept(shape: Shape, client: OrthancClient) -> None:
    cache = RevisionCache(client.clock, max_bytes=10**8, min_age=2)
    everything = Hierarchy(client).page(LevelPlan(level=Level.PATIENT, related={"studies": STUDY})).resources
    one = next(iter(everything))
    while one.level is not shape.plan.level:
        one = next(iter(one.related.values()))[0]

    def request(cache: RevisionCache | None) -> list[Resource]:
        hierarchy = Hierarchy(client, shape.scope, cache=cache)
        if shape.is_page:
            return list(hierarchy.page(shape.plan).resources)
        return hierarchy.by_ids(shape.plan, [one.orthanc_id])

    # keeps all, or what the request shows
    if shape.is_page:
        Hierarchy(client, cache=cache).page(PATIENT)
    else:
        request(cache)
        if shape.plan is INSTANCES:
            # single instances are not kept
            Hierarchy(client, cache=cache).by_ids(SERIES, [one.parent_id or ""])
    with recording() as calls:
        found = request(cache)

    assert shown(shape.plan, found) == shown(shape.plan, request(None))
    if client.capabilities().has_extended_find:
        assert calls.count == shape.warm, [(call.method, call.template) for call in calls.calls]


def test_a_caller_with_a_scope_is_not_told_by_time_what_others_have_seen_of_hidden_resources(
    client: OrthancClient,
) -> None:
    scope = Scope(("P001",))
    hidden = Filter((("PatientID", "P002"),))
    unseen, seen = (RevisionCache(client.clock, max_bytes=10**8, min_age=2) for _ in range(2))
    [patient] = Hierarchy(client, cache=seen).page(replace(PATIENT, filter=hidden)).resources
    study = patient.related["studies"][0]
    series = study.related["series"][0]
    instance = series.related["instances"][0]
    if client.capabilities().has_extended_find:
        assert seen.size

    def calls(cache: RevisionCache) -> list[tuple[str, str, int]]:
        """What Orthanc is asked, with the sizes of its responses."""
        with recording() as made:
            for plan, one in (
                (PATIENT, patient),
                (STUDY, study),
                (SERIES, series),
                (WITH_URLS, series),
                (INSTANCES, instance),
            ):
                identifier = one.tags[plan.level.identifier]
                assert Hierarchy(client, scope, cache=cache).by_ids(plan, [one.orthanc_id]) == []
                assert Hierarchy(client, scope, cache=cache).by_identifier(plan, identifier) is None
                assert not Hierarchy(client, scope, cache=cache).page(replace(plan, filter=hidden)).resources
        return [(call.method, call.template, call.size) for call in made.calls]

    assert calls(seen) == calls(unseen)
