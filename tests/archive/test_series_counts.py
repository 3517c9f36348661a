"""Counts and modalities from the series are those that Orthanc requests itself, for studies that are hard to find."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import identifier_filter
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.archive.server import describe
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from tests.corpus import instance, load
from tests.orthancs import CrowdedOrthanc, StartOrthanc, WalkingOrthanc
from tests.proxy import RecordingProxy

# older ones are not asked for these tags
pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

COUNTED = Needs(
    frozenset({"ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}),
    frozenset({Fact.CHANGES}),
)
STUDY = LevelPlan(level=Level.STUDY, needs=COUNTED)
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


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(patient_ids=("P00*", "a*"))], ids=["everything", "a scope"])
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


def test_a_repeated_page_with_counts_finds_the_series_by_their_uids(url: str) -> None:
    with RecordingProxy(urlsplit(url).port or 0) as proxy:
        client = WalkingOrthanc(ConnectionOptions(proxy.base_url))
        cache = RevisionCache(client.clock, max_bytes=10**8, min_age=2)
        # UIDs that cannot be part of a list are not kept
        plan = replace(STUDY, first=3, filter=Filter(tags=(("PatientID", "P001"),)))
        first = counts(Hierarchy(client, cache=cache).page(plan).resources)
        assert len(first) == 3
        before = len(proxy.requests)
        assert counts(Hierarchy(client, cache=cache).page(plan).resources) == first
        bodies = [request.body for request in proxy.requests[before:]]
    finds = [body for body in bodies if b'"Series"' in body]
    assert finds
    # a list that a limit splits is not kept
    is_kept = not client.capabilities().find_limits.found
    assert [b"0020,000e" in body for body in finds] == [is_kept] * len(finds)


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
