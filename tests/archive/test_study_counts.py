"""Counts and modalities of studies, computed from their series or kept, are those that Orthanc requests itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import identifier_filter
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs, Order
from orthancproxy.archive.records import Patient, Resource
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.archive.server import describe
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from tests.corpus import ROOT, instance, load
from tests.orthancs import CrowdedOrthanc, StartOrthanc, WalkingOrthanc, learn_clock
from tests.proxy import RecordingProxy

# older ones are not asked for these tags
pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

COUNTED = Needs(
    frozenset({"ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}),
    frozenset({Fact.CHANGES}),
)
STUDY = LevelPlan(level=Level.STUDY, needs=COUNTED)
BY_NAME = replace(STUDY, order=(Order("PatientName"),), first=50)  # sorted by the gateway, and then completed
ORTHANCS = [OrthancClient, WalkingOrthanc]
IN_SCOPE = Scope(patient_ids=("P00*", "a*"))
SHARED_UID = "1.2.3"
Studies = dict[str, tuple[list[str], int, int]]


@pytest.fixture(scope="module", params=[0, 3], ids=["unlimited", "LimitFindResults"])
def url(request: pytest.FixtureRequest, start_orthanc: StartOrthanc) -> str:
    limit = request.param
    orthanc = start_orthanc(configuration={"LimitFindResults": limit, "LimitFindInstances": limit})
    files = [instance(patient, study, series, number) for patient in (1, 2) for study in (1, 2, 3) for series in (1, 2)
             for number in (1, 2)]  # fmt: skip
    files += [
        instance(1, 4, 1, Modality="PT\\CT"),
        instance(1, 4, 2, Modality="PT"),
        instance(1, 4, 3, Modality=""),
        instance(2, 4, 1, Modality=None),
        # two studies of one UID
        instance(3, 1, 1, StudyInstanceUID=SHARED_UID),
        instance(4, 1, 2, StudyInstanceUID=SHARED_UID),
        instance(4, 1, 2, 2, StudyInstanceUID=SHARED_UID),
        # UIDs that cannot be part of a list, or would match others in one
        instance(5, 1, 1, StudyInstanceUID="1.2\\1.2.3"),
        instance(5, 2, 1, StudyInstanceUID="1.2.*"),
        instance(5, 3, 2, StudyInstanceUID="1.2.?"),
        # no PatientID
        instance(6, 1, 1, PatientID=None),
        instance(7, 1, 1, PatientID="a\\b"),
    ]
    load(orthanc, files)
    # a LastUpdate younger than two seconds proves nothing
    time.sleep(3)
    return orthanc.base_url


def counts(studies: Sequence[Resource]) -> Studies:
    return {
        study.orthanc_id: (study.modalities, study.series_count, study.instances_count)  # type: ignore[attr-defined]
        for study in studies
    }


def of_page(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    return counts(hierarchy.page(replace(STUDY, first=50)).resources)


def of_short_page(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    return counts(hierarchy.page(replace(STUDY, first=2, offset=1)).resources)


def of_modality(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    criteria = Filter(tags=(("ModalitiesInStudy", "MR"),))
    return counts(hierarchy.page(replace(STUDY, first=50, filter=criteria)).resources)


def of_modality_pattern(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    criteria = Filter(tags=(("ModalitiesInStudy", "?R"),))
    return counts(hierarchy.page(replace(STUDY, first=50, filter=criteria)).resources)


def of_uid(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    found = hierarchy.page(replace(STUDY, filter=identifier_filter("StudyInstanceUID", [SHARED_UID])))
    return counts(found.resources)


def of_ids(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    return counts([study for part in ([ids[0]], ids) for study in hierarchy.by_ids(STUDY, part)])


def of_each_id(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    return counts([study for one in ids for study in hierarchy.by_ids(STUDY, [one])])


def of_patients(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    page = hierarchy.page(LevelPlan(level=Level.PATIENT, first=50, related={"studies": STUDY}))
    return counts([study for patient in page.resources for study in patient.related["studies"]])


def of_some_patients(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    page = hierarchy.page(LevelPlan(level=Level.PATIENT, first=5, related={"studies": replace(STUDY, first=1)}))
    return counts([study for patient in page.resources for study in patient.related["studies"]])


def of_series(hierarchy: Hierarchy, ids: Sequence[str]) -> Studies:
    page = hierarchy.page(LevelPlan(level=Level.SERIES, first=50, related={"study": STUDY}))
    return counts([series.related["study"] for series in page.resources])


WAYS = [
    of_page, of_short_page, of_modality, of_modality_pattern, of_uid, of_ids, of_each_id, of_patients,
    of_some_patients, of_series,
]  # fmt: skip


@pytest.mark.parametrize("scope", [EVERYTHING, IN_SCOPE], ids=["everything", "a scope"])
@pytest.mark.parametrize("way", WAYS)
def test_counts_from_the_series_are_those_of_orthanc(
    way: Callable[[Hierarchy, Sequence[str]], Studies], scope: Scope, url: str
) -> None:
    requested, walking = OrthancClient(ConnectionOptions(url)), WalkingOrthanc(ConnectionOptions(url))
    ids = [study.orthanc_id for study in Hierarchy(requested).visible_studies(Needs())]

    expected = way(Hierarchy(requested, scope), ids)

    assert len(expected) > 1
    assert way(Hierarchy(walking, scope), ids) == expected
    cache = RevisionCache(walking.clock, max_bytes=10**8, min_age=2)
    for _ in range(2):
        assert way(Hierarchy(walking, scope, cache=cache), ids) == expected


@pytest.mark.parametrize("scope", [EVERYTHING, IN_SCOPE], ids=["everything", "a scope"])
@pytest.mark.parametrize("orthanc", ORTHANCS)
def test_counts_are_fetched_once(orthanc: type[OrthancClient], scope: Scope, url: str) -> None:
    with RecordingProxy(urlsplit(url).port or 0) as proxy:
        client = orthanc(ConnectionOptions(proxy.base_url))
        learn_clock(client)
        cache = RevisionCache(client.clock, max_bytes=10**8, min_age=2)
        first = counts(Hierarchy(client, scope, cache=cache).page(BY_NAME).resources)
        assert len(first) > 3
        before = len(proxy.requests)
        assert counts(Hierarchy(client, scope, cache=cache).page(BY_NAME).resources) == first
        bodies = [request.body for request in proxy.requests[before:]]
    of_counts = [body for body in bodies if b'"Series"' in body or b"0020,1208" in body]
    # what a limit splits is not kept
    is_kept = orthanc is OrthancClient or not client.capabilities().find_limits.found
    assert bool(of_counts) == (not is_kept)


@pytest.mark.parametrize("orthanc", ORTHANCS)
def test_counts_of_the_other_studies_are_not_fetched_with_those_of_a_new_one(
    orthanc: type[OrthancClient], start_orthanc: StartOrthanc
) -> None:
    local = start_orthanc()
    load(local, [instance(patient, 1, series) for patient in (1, 2, 3) for series in (1, 2)])
    time.sleep(3)
    with RecordingProxy(local.port) as proxy:
        client = orthanc(ConnectionOptions(proxy.base_url))
        learn_clock(client)
        cache = RevisionCache(client.clock, max_bytes=10**8, min_age=2)
        Hierarchy(client, cache=cache).page(BY_NAME)
        load(local, [instance(patient, 1, 1) for patient in (4, 5)])
        before = len(proxy.requests)
        found = counts(Hierarchy(client, cache=cache).page(BY_NAME).resources)
        bodies = [request.body for request in proxy.requests[before:]]
    assert sorted(found.values()) == [(["CT"], 1, 1)] * 2 + [(["CT", "MR"], 2, 2)] * 3
    [body] = [body for body in bodies if b'"Series"' in body or b"0020,1208" in body]
    assert [f"{ROOT}.{patient}.1" in body.decode() for patient in (1, 2, 3, 4, 5)] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("orthanc", ORTHANCS)
def test_counts_follow_what_is_below_a_study(orthanc: type[OrthancClient], start_orthanc: StartOrthanc) -> None:
    local = start_orthanc(configuration={"OverwriteInstances": True})
    load(local, [instance(patient, 1, series, 1) for patient in (1, 2) for series in (1, 2)])
    client = orthanc(ConnectionOptions(local.base_url))
    cache = RevisionCache(client.clock, max_bytes=10**8, min_age=2)

    def delete(level: Level) -> None:
        newest = Hierarchy(client).page(
            LevelPlan(level=level, order=(Order(level.identifier, descending=True),), first=1)
        )
        client.call(endpoints.DELETE, level=level.path, id=newest.resources[0].orthanc_id)

    changes: list[Callable[[], object]] = [
        lambda: load(local, [instance(2, 1, 1, 2)]),
        lambda: load(local, [instance(2, 1, 3, 1, Modality="US")]),
        # the only one of its series
        lambda: load(local, [instance(2, 1, 3, 1, Modality="PT")]),
        lambda: time.sleep(3),
        lambda: delete(Level.INSTANCE),
        lambda: delete(Level.STUDY),
        lambda: load(local, [instance(2, 1, 1, 1, Modality="NM")]),
    ]
    for change in [lambda: time.sleep(3), *changes]:
        change()
        # what is shown for the first time may be kept
        for _ in range(2):
            expected = counts(Hierarchy(client).page(BY_NAME).resources)
            assert counts(Hierarchy(client, cache=cache).page(BY_NAME).resources) == expected
            assert of_each_id(Hierarchy(client, cache=cache), list(expected)) == expected


@pytest.mark.parametrize("orthanc", ORTHANCS)
def test_a_caller_with_a_scope_is_not_told_by_time_what_others_have_seen_of_hidden_studies(
    orthanc: type[OrthancClient], url: str
) -> None:
    client = orthanc(ConnectionOptions(url))
    learn_clock(client)
    seen, unseen = (RevisionCache(client.clock, max_bytes=10**8, min_age=2) for _ in range(2))
    everything = Hierarchy(client, cache=seen).page(BY_NAME).resources
    is_whole = orthanc is OrthancClient or not client.capabilities().find_limits.found
    assert any(seen.has_counts(study.orthanc_id) for study in everything) == is_whole
    hidden = [study for study in everything if study.tags.get("PatientID") == "P002"]
    patients = LevelPlan(level=Level.PATIENT, first=50, needs=Patient.instances_count.needs, related={"studies": STUDY})

    def calls(cache: RevisionCache) -> list[tuple[str, str, int]]:
        """What Orthanc is asked, with the sizes of its responses."""
        hierarchy = Hierarchy(client, Scope(("P001",)), cache=cache)
        with recording() as made:
            assert not hierarchy.by_ids(STUDY, [study.orthanc_id for study in hidden])
            assert not [found for study in hidden if (found := hierarchy.by_ids(STUDY, [study.orthanc_id]))]
            for modality in ("CT", "MR"):
                hierarchy.page(
                    replace(BY_NAME, filter=Filter((("PatientID", "P002"), ("ModalitiesInStudy", modality))))
                )
            hierarchy.page(replace(patients, filter=Filter((("PatientID", "P002"),))))
        return [(call.method, call.template, call.size) for call in made.calls]

    assert calls(seen) == calls(unseen)
    assert counts(Hierarchy(client, Scope(("P001",)), cache=seen).page(BY_NAME).resources)


def test_a_page_with_counts_takes_one_call_more(url: str) -> None:
    client = WalkingOrthanc(ConnectionOptions(url))
    hierarchy = Hierarchy(client)

    def calls(needs: Needs) -> int:
        with recording() as log:
            hierarchy.page(LevelPlan(level=Level.STUDY, needs=needs, first=3))
        return log.count

    if not client.capabilities().find_limits.found:
        assert calls(COUNTED) - calls(Needs(frozenset({"NumberOfStudyRelatedSeries"}))) == 1


def test_the_advice_names_the_tuning_where_orthanc_walks_through_its_index(url: str) -> None:
    def advice(client: OrthancClient) -> str:
        return " ".join(describe(client, Hierarchy(client)).advice)

    assert "tune_orthanc_index" in advice(WalkingOrthanc(ConnectionOptions(url)))
    assert "tune_orthanc_index" not in advice(OrthancClient(ConnectionOptions(url)))


@pytest.mark.parametrize("filtered", [Filter(), Filter(tags=(("ModalitiesInStudy", "MR"),))])
def test_a_list_that_is_counted_first_is_the_same(filtered: Filter, url: str) -> None:
    """As if studies had been deleted since they were counted."""
    client = OrthancClient(ConnectionOptions(url))
    crowded = CrowdedOrthanc(ConnectionOptions(url))
    for offset in (0, 4):
        plan = replace(STUDY, filter=filtered, first=3, offset=offset, total=True)
        assert Hierarchy(crowded).page(plan) == Hierarchy(client).page(plan)
