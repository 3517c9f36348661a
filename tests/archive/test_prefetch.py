"""Lists below a resource are prefetched while the resource itself is fetched by its id."""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.prefetch import Prefetch
from orthancproxy.archive.records import Study
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.errors import ArchiveTimeout
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.threads import Pool
from tests.corpus import hierarchy, load
from tests.orthancs import ONE_CALL_PER_CONNECTION
from tests.proxy import Fault, RecordingProxy, Request

ONE = Study("1", None, {}, {})
PATIENCE = 10  # seconds
variable: ContextVar[str] = ContextVar("variable", default="unset")


class SignallingFetch:
    """A fetch that signals its start: the request itself fetches lists that no thread has started."""

    def __init__(self, fetch: Callable[[], list[Any]]) -> None:
        self.started = threading.Event()
        self._fetch = fetch

    def __call__(self) -> list[Any]:
        self.started.set()
        return self._fetch()


class TestPrefetch:
    def test_lists_are_fetched_concurrently(self) -> None:
        meeting = threading.Barrier(3, timeout=PATIENCE)

        def fetch() -> list[Any]:
            meeting.wait()
            return [ONE]

        with Prefetch({1: fetch, 2: fetch}) as lists:
            meeting.wait()
            assert lists.result(1, list) == lists.result(2, list) == [ONE]

    def test_each_result_is_used_once_and_missing_lists_are_fetched(self) -> None:
        fetch = SignallingFetch(lambda: [ONE])
        with Prefetch({1: fetch}) as lists:
            assert fetch.started.wait(PATIENCE)
            assert lists.result(1, list) == [ONE]
            assert lists.result(1, list) == []
            assert lists.result(2, lambda: [ONE, ONE]) == [ONE, ONE]

    def test_an_exception_of_a_fetch_is_raised_with_its_result(self) -> None:
        def fail() -> list[Any]:
            raise ArchiveTimeout("Too slow.")

        fetch = SignallingFetch(fail)
        with Prefetch({1: fetch, 2: fail}) as lists:
            assert fetch.started.wait(PATIENCE)
            with pytest.raises(ArchiveTimeout):
                lists.result(1, list)

    def test_no_fetch_is_running_after_the_block(self) -> None:
        may_end, ended = threading.Event(), threading.Event()

        def fetch() -> list[Any]:
            assert may_end.wait(PATIENCE)
            ended.set()
            return []

        fetching = SignallingFetch(fetch)
        with Prefetch({1: fetching}):
            assert fetching.started.wait(PATIENCE)
            threading.Timer(0.1, may_end.set).start()
        assert ended.is_set()

    def test_lists_are_fetched_in_the_context_of_the_request(self) -> None:
        fetch = SignallingFetch(lambda: [Study(variable.get(), None, {}, {})])
        variable.set("of the request")
        with Prefetch({1: fetch}) as lists:
            assert fetch.started.wait(PATIENCE)
            assert [study.orthanc_id for study in lists.result(1, list)] == ["of the request"]

    def test_a_request_does_not_wait_for_a_busy_thread(self) -> None:
        over = threading.Event()
        with Pool("busy", 1, "one thread that is taken") as threads:
            other = SignallingFetch(lambda: [ONE] if over.wait(PATIENCE) else [])
            threads.submit(other)
            assert other.started.wait(PATIENCE)
            with Prefetch({1: list, 2: list}, threads) as lists:
                assert lists.result(1, lambda: [ONE]) == [ONE]
            over.set()


PLAN = LevelPlan(
    level=Level.STUDY,
    related={"series": LevelPlan(level=Level.SERIES, related={"instances": LevelPlan(level=Level.INSTANCE)})},
)


class MeetingProxy(RecordingProxy):
    """Answers no request before as many have arrived as its barrier has parties."""

    barrier = threading.Barrier(1)

    def received(self, request: Request) -> Fault:
        fault = super().received(request)
        self.barrier.wait()
        return fault


@pytest.fixture(scope="module")
def orthanc(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=ONE_CALL_PER_CONNECTION)
    load(orthanc, hierarchy(patients=2, studies=2, series=2, instances=2))
    return orthanc


@pytest.mark.live
class TestHierarchy:
    @pytest.fixture
    def client(self, orthanc: LocalOrthanc) -> OrthancClient:
        return OrthancClient(ConnectionOptions(orthanc.base_url))

    @staticmethod
    def shape(study: Any) -> list[int]:
        return [len(series.related["instances"]) for series in study.related["series"]]

    @pytest.mark.parametrize("is_cached", [False, True], ids=["uncached", "cached"])
    @pytest.mark.parametrize("scope", [EVERYTHING, Scope(("P*",))], ids=["everything", "restricted"])
    def test_a_study_its_series_and_their_instances_are_fetched_concurrently(
        self, client: OrthancClient, orthanc: LocalOrthanc, scope: Scope, is_cached: bool
    ) -> None:
        """All three calls are made before any is answered, if Orthanc has ExtendedFind and nothing is hidden."""
        study = Hierarchy(client).page(LevelPlan(level=Level.STUDY)).resources[0]
        with MeetingProxy(orthanc.port) as proxy:
            client = OrthancClient(ConnectionOptions(proxy.base_url))
            cache = RevisionCache(client.clock, max_bytes=10**6, min_age=2) if is_cached else None
            archive = Hierarchy(client, scope, cache=cache)
            if client.capabilities().has_extended_find and scope is EVERYTHING:
                proxy.barrier = threading.Barrier(3, timeout=PATIENCE)
            [found] = archive.by_ids(PLAN, [study.orthanc_id])
        assert self.shape(found) == [2, 2]

    def test_an_unknown_id_is_not_found(self, client: OrthancClient) -> None:
        assert Hierarchy(client).by_ids(PLAN, ["-".join(["00000000"] * 5)]) == []

    def test_equal_lists_below_different_resources_are_kept_apart(self, client: OrthancClient) -> None:
        """The other studies of the patient have series too."""
        way_up = LevelPlan(
            level=Level.PATIENT, related={"studies": LevelPlan(level=Level.STUDY, related=dict(PLAN.related))}
        )
        plan = LevelPlan(level=Level.STUDY, related={**PLAN.related, "patient": way_up})
        study = Hierarchy(client).page(LevelPlan(level=Level.STUDY)).resources[0]
        with recording() as calls:
            [found] = Hierarchy(client).by_ids(plan, [study.orthanc_id])
        assert self.shape(found) == [2, 2]
        assert [self.shape(other) for other in found.related["patient"].related["studies"]] == [[2, 2], [2, 2]]
        if client.capabilities().has_extended_find:
            assert calls.count == 7

    @pytest.mark.parametrize("first", [0, 1])
    def test_a_page_of_children_is_not_prefetched_below(self, client: OrthancClient, first: int) -> None:
        series = LevelPlan(level=Level.SERIES, first=first, related={"instances": LevelPlan(level=Level.INSTANCE)})
        study = Hierarchy(client).page(LevelPlan(level=Level.STUDY)).resources[0]
        [found] = Hierarchy(client).by_ids(LevelPlan(level=Level.STUDY, related={"series": series}), [study.orthanc_id])
        assert self.shape(found) == [2] * first
