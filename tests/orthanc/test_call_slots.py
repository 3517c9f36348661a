"""Calls to Orthanc at once are bounded, and shared between callers."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.errors import ArchiveTimeout, GatewayError, GatewayUnavailable
from orthancproxy.orthanc.call_slots import MAX_WAITING_PER_CALLER, CallSlots, Slot, caller_scope
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.deadline import Deadline, deadline_scope
from orthancproxy.orthanc.endpoints import FIND, INSTANCE_FILE, SYSTEM, CallKind
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.hostile_ids import SOME_ID
from tests.manual_clock import ManualClock
from tests.proxy import DROPPED, Fault, RecordingProxy, Request, answering, impatient
from tests.waiting import wait_until

INDEXED = {"Level": "Instance", "Query": {"0010,0010": "*"}}
IN_FILES = {"Level": "Instance", "Query": {"0010,4000": "*?*?z"}}


class Callers:
    """Callers that wait for slots in threads."""

    def __init__(self, slots: CallSlots, pool: ThreadPoolExecutor) -> None:
        self._slots = slots
        self._pool = pool

    def take(self, caller: str, kind: CallKind = CallKind.INDEX) -> Slot:
        """Take a slot that is free, or raise GatewayUnavailable."""
        with caller_scope(caller), deadline_scope(Deadline(0.01)):
            return self._slots.acquire(kind)

    def take_all(self, caller: str, kind: CallKind = CallKind.INDEX) -> list[Slot]:
        """Take as many slots as the caller gets."""
        taken = []
        with suppress(GatewayUnavailable):
            while True:
                taken.append(self.take(caller, kind))
        return taken

    def wait(self, caller: str, kind: CallKind = CallKind.INDEX) -> "Future[Slot]":
        """Begin to wait for a slot that is not free."""
        before = len(self._slots._waiting)
        waiting = self._pool.submit(self._acquire, caller, kind)
        wait_until(lambda: len(self._slots._waiting) > before or waiting.done())
        assert not waiting.done()
        return waiting

    def _acquire(self, caller: str, kind: CallKind) -> Slot:
        with caller_scope(caller):
            return self._slots.acquire(kind)


@pytest.fixture
def slots() -> CallSlots:
    return CallSlots(24, max_wait_seconds=5)


@pytest.fixture
def callers(slots: CallSlots) -> Iterator[Callers]:
    with ThreadPoolExecutor(64) as pool:
        yield Callers(slots, pool)


class TestShares:
    def test_a_caller_has_at_most_a_third_besides_downloads(self, callers: Callers) -> None:
        assert len(callers.take_all("a")) == 8
        assert len(callers.take_all("a", CallKind.DOWNLOAD)) == 6
        assert len(callers.take_all("b")) == 8
        assert len(callers.take_all("c")) == 2
        assert callers.take_all("d") == []

    def test_the_downloads_of_a_caller_leave_its_other_calls_their_share(self, callers: Callers) -> None:
        assert len(callers.take_all("a", CallKind.DOWNLOAD)) == 6
        assert len(callers.take_all("a")) == 8

    @pytest.mark.parametrize(
        ("kind", "of_one", "of_all"), [(CallKind.FILES, 1, 2), (CallKind.RENDERING, 4, 8), (CallKind.DOWNLOAD, 6, 12)]
    )
    def test_each_kind_leaves_room_for_the_others(
        self, callers: Callers, kind: CallKind, of_one: int, of_all: int
    ) -> None:
        taken = callers.take_all("a", kind)
        assert len(taken) == of_one
        taken += callers.take_all("b", kind)
        assert len(taken) == of_all
        assert callers.take_all("c", kind) == []
        callers.take("c")

    @pytest.mark.parametrize("total", [1, 2, 3])
    def test_every_kind_can_be_called_however_few_slots_there_are(self, total: int) -> None:
        slots = CallSlots(total)
        for kind in CallKind:
            slots.release(slots.acquire(kind))

    def test_downloads_have_a_maximum_of_their_own(self) -> None:
        slots = CallSlots(24, max_downloads=1)
        slots.acquire(CallKind.DOWNLOAD)
        with pytest.raises(GatewayUnavailable), deadline_scope(Deadline(0.01)):
            slots.acquire(CallKind.DOWNLOAD)
        slots.acquire(CallKind.INDEX)

    def test_probes_need_no_slot(self, callers: Callers) -> None:
        for caller in "abc":
            callers.take_all(caller)
        callers.take("d", CallKind.PROBE)

    def test_a_limit_of_orthanc_reduces_them_and_never_adds_any(self, slots: CallSlots, callers: Callers) -> None:
        slots.limit(100)
        slots.limit(9)
        assert len(callers.take_all("a")) == 3


class TestWaiting:
    def test_a_freed_slot_goes_to_the_caller_with_the_fewest(self, slots: CallSlots, callers: Callers) -> None:
        taken = [*callers.take_all("a"), *callers.take_all("b"), *callers.take_all("c")]
        assert len(taken) == 24
        busy, other, light = callers.wait("a"), callers.wait("b"), callers.wait("d")
        slots.release(taken.pop())
        light.result(5)
        # c has given one back, so that all have eight but d; a is first
        slots.release(taken.pop())
        slots.release(taken.pop(0))
        busy.result(5)
        assert not other.done()
        slots.release(taken[8])
        other.result(5)

    def test_who_waits_too_long_is_told_to_try_again_later(self) -> None:
        slots = CallSlots(3, max_wait_seconds=0)
        slots.acquire(CallKind.INDEX)
        with pytest.raises(GatewayUnavailable, match=r"^Too many requests are in progress\. Try again later\.$"):
            slots.acquire(CallKind.INDEX)

    def test_so_is_who_waits_until_the_deadline(self, callers: Callers) -> None:
        callers.take_all("a")
        with pytest.raises(GatewayUnavailable), deadline_scope(Deadline(0.01)):
            callers.take("a")

    def test_a_caller_has_few_calls_that_wait(self, slots: CallSlots, callers: Callers) -> None:
        taken = callers.take_all("a")
        waiting = [callers.wait("a") for _ in range(MAX_WAITING_PER_CALLER)]
        with pytest.raises(GatewayUnavailable, match="of your requests"):
            callers.take("a")
        callers.take("b")
        for slot in taken:
            slots.release(slot)
        while waiting:
            slots.release(waiting.pop(0).result(5))

    def test_a_file_is_stored_however_long_it_waits(self) -> None:
        slots = CallSlots(1, max_wait_seconds=0)
        held = slots.acquire(CallKind.INDEX)
        with ThreadPoolExecutor(1) as pool:
            storing = pool.submit(slots.acquire, CallKind.STORING)
            wait_until(lambda: slots._waiting)
            slots.release(held)
            storing.result(5)

    def test_a_call_that_orthanc_continues_keeps_its_slot_for_a_while(self) -> None:
        clock = ManualClock()
        slots = CallSlots(12, linger_seconds=60, clock=clock)
        slot = slots.acquire(CallKind.FILES)
        slot.lingers = True
        slots.release(slot)
        with pytest.raises(GatewayUnavailable), deadline_scope(Deadline(0.01)):
            slots.acquire(CallKind.FILES)
        clock.now += 60
        slots.acquire(CallKind.FILES)


class HeldBack(RecordingProxy):
    """Passes on finds that read files when it is opened."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.opened = threading.Event()
        self.held = 0

    def received(self, request: Request) -> Fault:
        """Hold a request back."""
        fault = super().received(request)
        if "0010,4000" in request:
            self.held += 1
            self.opened.wait(60)
        return fault


@pytest.fixture
def proxy(archive: LocalOrthanc) -> Iterator[HeldBack]:
    with HeldBack(archive.port) as running:
        yield running
        running.opened.set()


@pytest.fixture
def client(proxy: HeldBack) -> OrthancClient:
    client = OrthancClient(ConnectionOptions(proxy.base_url))
    client.capabilities()
    return client


def _find_as(client: OrthancClient, caller: str, body: Mapping[str, Any]) -> list[str]:
    with caller_scope(caller):
        found: list[str] = client.call(FIND, body=body)
        return found


@pytest.mark.live
class TestClient:
    def test_finds_that_read_files_leave_orthanc_to_other_calls(self, proxy: HeldBack, client: OrthancClient) -> None:
        with ThreadPoolExecutor(40) as pool:
            attack = [pool.submit(_find_as, client, "attacker", IN_FILES) for _ in range(40)]
            wait_until(lambda: proxy.held == 2)
            assert not any(one.done() for one in attack)
            assert _find_as(client, "somebody", INDEXED)
            assert _find_as(client, "attacker", INDEXED)
            with closing(client.open(INSTANCE_FILE, id=_find_as(client, "somebody", INDEXED)[0])) as file:
                assert b"".join(file)
            assert proxy.held == 2
            proxy.opened.set()
            assert [one.result(30) for one in attack] == [[]] * 40

    @pytest.mark.parametrize("end", ["read", "closed", "dropped"])
    def test_a_download_has_its_slot_until_it_is_read_closed_or_dropped(self, archive: LocalOrthanc, end: str) -> None:
        client = OrthancClient(ConnectionOptions(archive.base_url, max_calls=2))
        [first, *_] = client.call(FIND, body=INDEXED)
        file = client.open(INSTANCE_FILE, id=first)
        with pytest.raises(GatewayUnavailable), deadline_scope(Deadline(0.1)):
            client.open(INSTANCE_FILE, id=first)
        match end:
            case "read":
                assert b"".join(file)
            case "closed":
                file.close()
            case "dropped":
                del file
        with closing(client.open(INSTANCE_FILE, id=first)) as file:
            assert b"".join(file)

    @pytest.mark.parametrize("fault", [DROPPED, answering(500), answering(404), answering(200, b"<html>")])
    def test_calls_that_fail_give_their_slots_back(self, proxy: HeldBack, fault: Fault) -> None:
        client = OrthancClient(ConnectionOptions(proxy.base_url, max_calls=1, retry_delay=0.01))
        proxy.keep_failing(fault)
        for _ in range(3):
            with pytest.raises(GatewayError):
                client.call(SYSTEM)
            with suppress(GatewayError):
                client.open(INSTANCE_FILE, id=SOME_ID).close()
        proxy.recover()
        assert client.call(SYSTEM)

    def test_a_find_that_timed_out_still_counts(self, proxy: HeldBack) -> None:
        client = OrthancClient(ConnectionOptions(proxy.base_url, max_calls=12))
        client.capabilities()
        with impatient(0.3), pytest.raises(ArchiveTimeout):
            client.call(FIND, body=IN_FILES)
        with pytest.raises(GatewayUnavailable), deadline_scope(Deadline(0.3)):
            client.call(FIND, body=IN_FILES)
        assert client.call(FIND, body=INDEXED)

    def test_worker_processes_share_the_calls(self, proxy: HeldBack) -> None:
        clients = [OrthancClient(ConnectionOptions(proxy.base_url, max_calls=40, processes=4)) for _ in range(4)]
        for client in clients:
            client.capabilities()
        with ThreadPoolExecutor(40) as pool:
            finds = [pool.submit(_find_as, client, f"{number}", IN_FILES) for client in clients for number in range(10)]
            wait_until(lambda: proxy.held == 4)
            assert not any(find.done() for find in finds)
            # a tenth of 40, as for one process
            assert proxy.held == 4
            proxy.opened.set()

    def test_orthanc_tells_how_many_calls_it_answers(self, start_orthanc: Callable[..., LocalOrthanc]) -> None:
        orthanc = start_orthanc(configuration={"HttpThreadsCount": 10})
        client = OrthancClient(ConnectionOptions(orthanc.base_url))
        told = client.capabilities().http_threads
        assert told == (10 if "Performance" in client.call(SYSTEM) else None)


ATTACK = '{ instances(filter: {tags: [{keyword: "PatientComments", value: "*?*?z"}]}) { totalCount } }'


@pytest.mark.live
def test_a_caller_that_starves_orthanc_gets_retry_after_and_others_are_answered(
    proxy: HeldBack, settings: Settings
) -> None:
    settings.ORTHANC_BASE_URL = proxy.base_url

    def ask(address: str, query: str) -> Any:
        return Client(REMOTE_ADDR=address).post("/graphql/", {"query": query}, content_type="application/json")

    assert ask("10.0.0.2", "{ patients { totalCount } }").json() == {"data": {"patients": {"totalCount": 3}}}
    with ThreadPoolExecutor(60) as pool:
        attack = [pool.submit(ask, "10.0.0.1", ATTACK) for _ in range(60)]
        wait_until(lambda: proxy.held == 2 and sum(one.done() for one in attack) == 18)
        assert ask("10.0.0.2", "{ patients { totalCount } }").json() == {"data": {"patients": {"totalCount": 3}}}
        assert proxy.held == 2
        rejected = [one.result() for one in attack if one.done()]
        assert {one.json()["errors"][0]["extensions"]["code"] for one in rejected} == {"GATEWAY_UNAVAILABLE"}
        assert all(int(one["Retry-After"]) > 0 for one in rejected)
        proxy.opened.set()
        answers = [one.result(30).json() for one in attack]
    assert answers.count({"data": {"instances": {"totalCount": 0}}}) == 42


class TestFindsThatReadFiles:
    @pytest.mark.live
    @pytest.mark.parametrize(
        ("find", "reads"),
        [
            ({"Level": "Instance", "Query": {"0010,0010": "x", "0008,1030": "x", "0020,0013": "1"}}, False),
            ({"Level": "Study", "Query": {"0008,0061": "CT"}, "RequestedTags": ["0020,1208"]}, False),
            ({"Level": "Series", "Query": {"0018,0050": "1"}}, True),
            ({"Level": "Patient", "Query": {"0010,0020": "1"}, "RequestedTags": ["0008,1030"]}, True),
            ({"Level": "Instance", "Query": {}, "RequestedTags": ["0010,4000"]}, True),
        ],
    )
    def test_are_those_for_tags_outside_the_index(
        self, archive: LocalOrthanc, find: dict[str, Any], reads: bool
    ) -> None:
        assert OrthancClient(ConnectionOptions(archive.base_url)).capabilities().reads_files(find) is reads
