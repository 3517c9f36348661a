"""Which instances are kept between requests, how many, and who fetches them."""

import threading
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from orthancproxy.archive.fetcher import Roots
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs
from orthancproxy.archive.records import Instance, Page, Resource, Series, Study
from orthancproxy.archive.revision_fetcher import RevisionFetcher
from orthancproxy.archive.revisions import Children, Revision, RevisionCache
from orthancproxy.errors import ArchiveUnavailable, LimitExceeded
from orthancproxy.orthanc.capabilities import ALWAYS_INDEXED, Capabilities
from orthancproxy.orthanc.clock import OrthancClock
from orthancproxy.orthanc.deadline import Deadline, deadline_scope

PATIENCE = 10  # seconds
COUNTED = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
NOW = b"20261128T120010"
OLD, YOUNG = "20261128T120008", "20261128T120009"
NUMBERS = Needs(frozenset({"InstanceNumber"}), frozenset({Fact.FILE_SIZE}))
CHANGES = Needs(facts=frozenset({Fact.CHANGES}))


def capabilities(*, walks_index: bool = False, limit: int = 1000) -> Capabilities:
    """What matters of an Orthanc's capabilities; `limit` is that of its results."""
    limits = SimpleNamespace(may_truncate=lambda _, length: length >= limit)
    of_orthanc = SimpleNamespace(indexed=ALWAYS_INDEXED, partly_indexed={}, walks_index=walks_index, find_limits=limits)
    return cast("Capabilities", of_orthanc)


CAPABILITIES = capabilities()


class Archive:
    """An Orthanc of one study with one series of two instances, as a fetcher. `fetches` are those of instances."""

    def __init__(self, last_update: str = OLD) -> None:
        self.last_update = last_update
        self.fetches: list[Needs] = []
        self.fetches_of_series = 0
        self.completed = 0
        self.proofs = 0
        self.deleted: set[int] = set()
        self.fetching = threading.Semaphore(0)
        self.may_fetch = threading.Event()
        self.may_fetch.set()
        self.error: Exception | None = None

    @property
    def study(self) -> Study:
        """The study at this moment."""
        tags = {"StudyInstanceUID": "1", "PatientID": "P1"}
        return Study("study", "patient", tags, {"LastUpdate": self.last_update})

    @property
    def series(self) -> Series:
        """The series at this moment."""
        return Series("series", "study", {"SeriesInstanceUID": "1.1"}, {"LastUpdate": self.last_update})

    def page(self, plan: LevelPlan) -> Page:
        """Return the study."""
        return Page((self.study,), False, 1)

    def matching(self, level: Level, criteria: Filter, needs: Needs) -> list[Resource]:
        """Return the study or the series."""
        self.proofs += 1
        return [self.study if level is Level.STUDY else self.series]

    def children(
        self, level: Level, parents: Sequence[Resource], criteria: Filter, needs: Needs, roots: Roots
    ) -> list[Resource]:
        """Return the series or the instances. These wait for the test, and may fail."""
        if level is Level.SERIES:
            self.fetches_of_series += 1
            return [self.series]
        self.fetches.append(needs)
        self.fetching.release()
        assert self.may_fetch.wait(PATIENCE)
        if self.error:
            raise self.error
        tags = {tag: f"{tag} at {self.last_update}" for tag in needs.tags}
        facts = {"FileSize": 7, "FileUuid": f"uuid {len(self.fetches)}", "Labels": ["a"]}
        found: list[Resource] = []
        for number in {1, 2} - self.deleted:
            main = {} if needs.only_facts else {"InstanceNumber": str(number)}
            found.append(Instance(f"instance {number}", "series", {**tags, **main}, facts))
        return found

    def parents(self, level: Level, children: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return nothing."""
        return []

    def by_ids(self, level: Level, ids: Sequence[str], needs: Needs) -> list[Resource]:
        """Return nothing."""
        return []

    def complete(self, level: Level, found: Sequence[Resource], needs: Needs) -> list[Resource]:
        """Return the same, with facts that are needed."""
        self.completed += len(found)
        ids = {one.orthanc_id for one in found}
        return [one for one in self.children(level, [], Filter(), needs, None) if one.orthanc_id in ids]


def make_cache(max_bytes: int = 10**9) -> RevisionCache:
    """A cache for an Orthanc whose clock stands still."""
    return RevisionCache(OrthancClock(lambda: NOW, lambda: 0.0), max_bytes=max_bytes, min_age=2)


def request(
    archive: Archive,
    cache: RevisionCache,
    needs: Needs = NUMBERS,
    *,
    maximum: int = 100,
    patience_seconds: float = PATIENCE,
    walks_index: bool = False,
    limit: int = 1000,
) -> list[Resource]:
    """The instances that a query for the study shows."""
    budget = ObjectBudget(maximum)
    of_orthanc = capabilities(walks_index=walks_index, limit=limit)
    fetcher = RevisionFetcher(archive, cache, of_orthanc, budget, patience_seconds=patience_seconds)
    fetcher.page(LevelPlan(level=Level.STUDY, needs=CHANGES))
    series = fetcher.children(Level.SERIES, [archive.study], Filter(), CHANGES, None)
    return fetcher.children(Level.INSTANCE, series, Filter(), needs, None)


def request_ahead(archive: Archive, cache: RevisionCache) -> list[Resource]:
    """The instances that a query for the study by its id shows, fetched before the series if they are not kept."""
    root = [archive.study]
    fetcher = RevisionFetcher(archive, cache, CAPABILITIES, ObjectBudget(), patience_seconds=PATIENCE)
    with fetcher.fetching_ahead("study"):
        is_ahead = not fetcher.may_be_kept("study", Level.INSTANCE, Filter(), NUMBERS)
        found = fetcher.children(Level.INSTANCE, [], Filter(), NUMBERS, root) if is_ahead else []
        fetcher.page(LevelPlan(level=Level.STUDY, needs=CHANGES))
        series = fetcher.children(Level.SERIES, [archive.study], Filter(), CHANGES, root)
        return found if is_ahead else fetcher.children(Level.INSTANCE, series, Filter(), NUMBERS, root)


class TestWhatIsFetchedAhead:
    def test_instances_fetched_before_their_series_are_kept(self) -> None:
        archive, cache = Archive(), make_cache()
        assert len(request_ahead(archive, cache)) == 2
        assert request_ahead(archive, cache) == request(archive, cache)
        assert len(archive.fetches) == 1
        assert cache.has_below("patient")
        archive.last_update = "20261128T120007"
        assert len(request_ahead(archive, cache)) == 2
        assert len(archive.fetches) == 2

    def test_instances_of_a_series_that_may_change_are_not_kept(self) -> None:
        archive, cache = Archive(YOUNG), make_cache()
        for _ in range(2):
            assert len(request_ahead(archive, cache)) == 2
        assert len(archive.fetches) == 2
        assert cache.size == 0

    def test_nothing_is_below_a_resource_whose_lists_have_gone(self) -> None:
        cache = make_cache()
        instances = Children(NUMBERS, (Instance("instance", "series", {}, {}),))
        revisions = [Revision(one, "1", OLD) for one in ("series 1", "series 2")]
        for revision in revisions * 2:
            cache.put(revision, instances, ["study"])
        cache.max_bytes = cache.size - 1
        cache.put(revisions[0], instances, ["study"])
        assert cache.has_below("study")
        cache.max_bytes = 0
        cache.put(revisions[0], instances, ["study"])
        assert not cache.has_below("study")


class TestWhatIsKept:
    def test_instances_are_fetched_once_while_their_study_is_unchanged(self) -> None:
        archive, cache = Archive(), make_cache()
        first, second = request(archive, cache), request(archive, cache)
        assert first == second
        assert [one.tags["InstanceNumber"] for one in second] == ["1", "2"]
        assert len(archive.fetches) == 1
        archive.last_update = "20261128T120007"
        request(archive, cache)
        assert len(archive.fetches) == 2

    def test_instances_of_a_study_that_may_change_within_its_last_second_are_not_kept(self) -> None:
        archive, cache = Archive(YOUNG), make_cache()
        request(archive, cache)
        request(archive, cache)
        assert len(archive.fetches) == 2
        assert cache.size == 0

    @pytest.mark.parametrize("limit", [1, 2])
    def test_nothing_is_kept_of_a_fetch_that_may_have_taken_several_finds(self, limit: int) -> None:
        archive, cache = Archive(), make_cache()
        assert len(request(archive, cache, walks_index=True, limit=limit)) == 2
        # one series is whole
        assert (cache.uid_of("series") is not None) == (limit == 2)
        assert cache.parent_of("instance 1") is None

    @pytest.mark.parametrize("last_update", ["", "yesterday", "20271128T120000"])
    def test_nothing_is_kept_under_a_time_that_tells_nothing(self, last_update: str) -> None:
        archive, cache = Archive(last_update), make_cache()
        request(archive, cache)
        assert cache.size == 0

    def test_nothing_is_kept_if_orthanc_does_not_tell_the_time(self) -> None:
        archive, cache = Archive(), RevisionCache(OrthancClock(lambda: b"", lambda: 0.0), max_bytes=10**9, min_age=2)
        request(archive, cache)
        assert cache.size == 0

    @pytest.mark.parametrize(
        "needs",
        [
            Needs(facts=frozenset({Fact.CHANGES})),
            Needs(frozenset({"SeriesDescription"})),
            Needs(frozenset({"PatientName"})),
            Needs(frozenset({"NumberOfStudyRelatedInstances"})),
        ],
    )
    def test_what_changes_without_a_trace_is_fetched_each_time(self, needs: Needs) -> None:
        archive, cache = Archive(), make_cache()
        for _ in range(2):
            request(archive, cache, needs)
        assert archive.fetches == [needs, needs]

    @pytest.mark.parametrize("walks_index", [True, False])
    def test_labels_and_uuids_are_fetched_each_time_without_the_rest(self, walks_index: bool) -> None:
        archive, cache = Archive(), make_cache()
        fresh = frozenset({Fact.FILE_UUID, Fact.LABELS})
        needs = NUMBERS | Needs(facts=fresh)
        for number in (1, 2):
            found = request(archive, cache, needs, walks_index=walks_index)
            assert [one.tags["InstanceNumber"] for one in found] == ["1", "2"]
            assert [dict(one.facts) for one in found] == [
                {"FileSize": 7, "FileUuid": f"uuid {number}", "Labels": ["a"]}
            ] * 2
        assert archive.fetches == [needs, Needs(facts=fresh, only_facts=True)]
        # instances by their UIDs, where Orthanc would walk through its index
        assert archive.completed == (2 if walks_index else 0)
        archive.deleted = {1}
        assert [one.orthanc_id for one in request(archive, cache, needs, walks_index=walks_index)] == ["instance 2"]

    def test_labels_and_uuids_are_not_kept_with_the_rest(self) -> None:
        archive, cache = Archive(), make_cache()
        request(archive, cache)
        assert [dict(one.facts) for one in request(archive, cache)] == [{"FileSize": 7}] * 2

    def test_tags_from_files_are_fetched_once_and_added(self) -> None:
        archive, cache = Archive(), make_cache()
        wanted = [Needs(frozenset({"KVP"})), Needs(frozenset({"PatientAge"})), Needs(frozenset({"KVP", "PatientAge"}))]
        for needs in wanted:
            found = request(archive, cache, needs)
        assert [sorted(needs.tags) for needs in archive.fetches] == [["KVP"], ["PatientAge"]]
        assert [one.tags["KVP"] for one in found] == [f"KVP at {OLD}"] * 2

    def test_the_identifiers_above_are_known(self) -> None:
        archive, cache = Archive(), make_cache()
        request(archive, cache)
        identifiers = Needs(frozenset({"PatientID", "StudyInstanceUID", "SeriesInstanceUID"}), parent=True)
        [found, _] = request(archive, cache, identifiers)
        assert len(archive.fetches) == 1
        assert {tag: found.tags[tag] for tag in identifiers.tags} == {
            "PatientID": "P1",
            "StudyInstanceUID": "1",
            "SeriesInstanceUID": "1.1",
        }

    def test_an_instance_is_found_by_its_id_and_a_find_for_its_series(self) -> None:
        archive, cache = Archive(), make_cache()
        request(archive, cache)
        for looks_up, found in ((True, ["instance 2"]), (False, [])):
            fetcher = RevisionFetcher(archive, cache, CAPABILITIES, ObjectBudget(), looks_up=looks_up)
            assert [one.orthanc_id for one in fetcher.by_ids(Level.INSTANCE, ["instance 2"], NUMBERS)] == found
            assert archive.proofs == 1
        archive.last_update = "20261128T120007"
        fetcher = RevisionFetcher(archive, cache, CAPABILITIES, ObjectBudget())
        assert fetcher.by_ids(Level.INSTANCE, ["instance 2"], NUMBERS) == []

    @pytest.mark.parametrize("walks_index", [True, False])
    def test_series_are_found_by_their_uids_where_orthanc_walks_through_its_index(self, walks_index: bool) -> None:
        archive, cache = Archive(), make_cache()
        for last_update, fetches in ((OLD, 1), (OLD, 1), ("20261128T120007", 2)):
            archive.last_update = last_update
            fetcher = RevisionFetcher(archive, cache, capabilities(walks_index=walks_index), ObjectBudget())
            fetcher.page(LevelPlan(level=Level.STUDY, needs=CHANGES))
            found = fetcher.children(Level.SERIES, [archive.study], Filter(), CHANGES, None)
            assert found == [archive.series]
            if walks_index:
                assert archive.fetches_of_series == fetches
        if not walks_index:
            assert archive.fetches_of_series == 3
            assert cache.size == 0

    def test_the_uuid_of_an_instance_is_found_by_its_own_uid_where_orthanc_walks_through_its_index(self) -> None:
        archive, cache = Archive(), make_cache()
        request(archive, cache)
        needs = NUMBERS | Needs(facts=frozenset({Fact.FILE_UUID}))
        for walks_index, uuids in ((True, ["uuid 2"]), (False, [])):
            fetcher = RevisionFetcher(archive, cache, capabilities(walks_index=walks_index), ObjectBudget())
            found = fetcher.by_ids(Level.INSTANCE, ["instance 2"], needs)
            assert [one.facts["FileUuid"] for one in found] == uuids

    def test_kept_instances_count_towards_the_budget(self) -> None:
        archive, cache = Archive(), make_cache()
        request(archive, cache)
        with pytest.raises(LimitExceeded):
            request(archive, cache, maximum=1)


class TestSingleFlight:
    @pytest.mark.parametrize("ask", [request, request_ahead])
    def test_what_several_requests_want_at_once_is_fetched_once(
        self, ask: Callable[[Archive, RevisionCache], Sequence[Resource]]
    ) -> None:
        archive, cache = Archive(), make_cache()
        archive.may_fetch.clear()
        with ThreadPoolExecutor(4) as pool:
            requests = [pool.submit(ask, archive, cache) for _ in range(4)]
            assert archive.fetching.acquire(timeout=PATIENCE)
            archive.may_fetch.set()
            found = [one.result(PATIENCE) for one in requests]
        assert [len(one) for one in found] == [2] * 4
        assert len(archive.fetches) == 1

    def test_a_fetch_that_fails_fails_its_own_request_only(self) -> None:
        archive, cache = Archive(), make_cache()
        archive.may_fetch.clear()
        archive.error = ArchiveUnavailable("")
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(request, archive, cache)
            assert archive.fetching.acquire(timeout=PATIENCE)
            second = pool.submit(request, archive, cache)
            archive.may_fetch.set()
            with pytest.raises(ArchiveUnavailable):
                first.result(PATIENCE)
            archive.error = None
            # the second may have begun before the first had failed, or after
            errors = [one for one in [second.exception(PATIENCE)] if one]
        assert all(isinstance(one, ArchiveUnavailable) for one in errors)
        assert len(request(archive, cache)) == 2

    def test_nobody_waits_past_the_deadline_or_for_long(self) -> None:
        archive, cache = Archive(), make_cache()
        archive.may_fetch.clear()
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(request, archive, cache)
            assert archive.fetching.acquire(timeout=PATIENCE)
            with deadline_scope(Deadline(0.1)), pytest.raises(LimitExceeded):
                request(archive, cache)
            assert len(archive.fetches) == 1
            impatient = pool.submit(request, archive, cache, patience_seconds=0)
            assert archive.fetching.acquire(timeout=PATIENCE)
            archive.may_fetch.set()
            assert len(slow.result(PATIENCE)) == len(impatient.result(PATIENCE)) == 2


class TestSize:
    TAGS = tuple(f"Tag{number}" for number in range(10))

    def test_the_least_recently_used_list_goes_first(self) -> None:
        cache = make_cache()
        revisions = [Revision(f"series {number}", "1", OLD) for number in range(4)]
        for revision in revisions[:3]:
            cache.put(revision, self._children(10))
        cache.max_bytes = cache.size
        assert cache.get(revisions[0])
        cache.put(revisions[3], self._children(10))
        assert [bool(cache.get(one)) for one in revisions] == [True, False, True, True]
        assert cache.size <= cache.max_bytes

    def test_what_is_larger_than_the_cache_is_not_kept(self) -> None:
        cache = make_cache(20_000)
        small, large = Revision("small", "1", OLD), Revision("large", "1", OLD)
        cache.put(small, self._children(10))
        before = cache.size
        returned = cache.put(large, self._children(1000))
        assert len(returned.resources) == 1000
        assert cache.get(large) is None
        assert cache.get(small)
        assert cache.size == before
        cache.put(small, self._children(1000))
        assert cache.parent_of("0") is None
        assert cache.size == 0

    def test_the_size_is_what_the_resources_take(self) -> None:
        cache = make_cache()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for study in range(20):
            for series in range(4):
                name = f"{study}.{series}"
                cache.put(Revision(name, name, OLD), self._children(100, name))
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert cache.size == pytest.approx(after - before, rel=0.2)

    def test_the_size_of_counts_is_what_they_take(self) -> None:
        cache = make_cache()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(2000):
            cache.put_counts(self._study(number), self._counts(number))
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert cache.size == pytest.approx(after - before, rel=0.2)

    def test_counts_are_those_of_one_revision_and_the_least_recently_used_go_first(self) -> None:
        cache = make_cache()
        studies = [self._study(number) for number in range(3)]
        for number, study in enumerate(studies[:2]):
            cache.put_counts(study, self._counts(number))
        cache.put_counts(studies[0], {"ModalitiesInStudy": "MR"})
        assert cache.counts(studies[0]) == {**self._counts(0), "ModalitiesInStudy": "MR"}
        assert cache.counts(replace(studies[0], last_update=YOUNG)) == {}
        assert not cache.has_below(studies[0].orthanc_id)
        cache.put(studies[0], self._children(10))
        assert cache.counts(studies[0])
        cache.max_bytes = cache.size
        cache.put_counts(studies[2], self._counts(2))
        assert [cache.has_counts(one.orthanc_id) for one in studies] == [True, False, True]
        cache.put_counts(replace(studies[0], last_update=YOUNG), {})
        assert cache.counts(studies[0]) == {}

    def _study(self, number: int) -> Revision:
        return Revision(f"study {number}".rjust(44), f"1.2.826.0.1.3680043.8.498.{number}", f"{OLD}{number}")

    def _counts(self, number: int) -> dict[str, str]:
        values = ("CT\\MR", str(number), str(10 * number))
        return dict(zip(COUNTED, (value.encode().decode() for value in values), strict=True))

    def _children(self, count: int, series: str = "") -> Children:
        """Instances as decoded from a response: each value is an object of its own."""

        def own(text: str) -> str:
            return text.encode().decode()

        return Children(
            Needs(),
            tuple(
                Instance(
                    own(f"{series}{number}".rjust(44)),
                    own(series),
                    {
                        "SOPInstanceUID": own(f"1.2.826.0.1.3680043.8.498.{series}.{number}"),
                        "InstanceNumber": own(str(number)),
                        "ImagePositionPatient": own(f"-100\\-90.5\\{number}"),
                        **{tag: own(f"a value of all: {tag}") for tag in self.TAGS},
                    },
                    {"FileSize": 500_000 + number, "TransferSyntax": own("1.2.840.10008.1.2.1")},
                )
                for number in range(count)
            ),
        )
