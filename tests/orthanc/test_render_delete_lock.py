"""Orthanc never renders and deletes at the same time, which deadlocks 1.12.7."""

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path
from typing import cast

import pytest
import requests
from django.db import OperationalError, connections

from orthancproxy.archive.levels import Level
from orthancproxy.database import AdvisoryLock
from orthancproxy.errors import ArchiveUnavailable, NotFound
from orthancproxy.locks import FileLock
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.connections import RequestBody
from orthancproxy.orthanc.endpoints import DELETE, FRAME_RENDERED, SYSTEM, Endpoint
from orthancproxy.orthanc.render_delete_lock import RenderDeleteLock
from orthancproxy.project.environment import Environment
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.waiting import wait_until

MakeLock = Callable[[str], RenderDeleteLock]
MEDIA_TYPES = ("image/png", "image/jpeg")
SECONDS = 6.0
STORING = RENDERING_ENDPOINTS = 6  # clients


@pytest.fixture(params=["files", "PostgreSQL"])
def make_lock(request: pytest.FixtureRequest) -> Iterator[MakeLock]:
    """Make the lock for an Orthanc, as each worker does."""
    if request.param == "files":
        yield lambda name: RenderDeleteLock(FileLock(name))
        return
    connections.settings["locks"] = {
        **connections.settings["default"],
        **Environment({}).database(request.getfixturevalue("postgresql"), Path()),
        "OPTIONS": {},
    }
    yield lambda name: RenderDeleteLock(AdvisoryLock(name, "locks"))
    connections["locks"].close()
    del connections.settings["locks"]


def waiting_locks() -> int:
    """The number of threads that wait for a lock: of PostgreSQL where it has the locks, else of a file (proc(5))."""
    if "locks" in connections.settings:
        with connections["locks"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return int(cursor.fetchone()[0])
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return sum(str(os.getpid()) in fields for fields in waiting)


def test_a_deletion_can_be_within_another_lock_of_ours(make_lock: MakeLock) -> None:
    # restoring and deleting what is in the trash exclude each other for longer than the call to Orthanc
    outer, inner = make_lock("trash"), make_lock("http://orthanc.test")
    for _ in range(2):
        with outer.hold(DELETE), inner.hold(DELETE):
            pass


def test_a_lock_within_another_one_ends_before_that(make_lock: MakeLock) -> None:
    # rendering goes on between the parts of a deletion from the trash
    outer, inner = make_lock("trash"), make_lock("http://orthanc.test")
    rendered = threading.Event()

    def render() -> None:
        with make_lock("http://orthanc.test").hold(FRAME_RENDERED):
            rendered.set()

    with outer.hold(DELETE):
        with inner.hold(DELETE):
            thread = threading.Thread(target=render, daemon=True)
            thread.start()
            wait_until(lambda: waiting_locks() == 1)
            assert not rendered.is_set()
        wait_until(rendered.is_set)
    thread.join()


@pytest.mark.parametrize("make_lock", ["PostgreSQL"], indirect=True)
def test_what_waits_in_vain_for_a_lock_within_another_one_is_not_done(
    make_lock: MakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # somebody renders for longer than that; what is audited as done must have been done
    monkeypatch.setattr(AdvisoryLock, "MAX_WAIT_SECONDS", 0.1)
    outer, inner = make_lock("trash"), make_lock("http://orthanc.test")
    is_rendering, ends, done = threading.Event(), threading.Event(), []

    def render() -> None:
        with make_lock("http://orthanc.test").hold(FRAME_RENDERED):
            is_rendering.set()
            ends.wait()
        connections["locks"].close()

    thread = threading.Thread(target=render, daemon=True)
    thread.start()
    assert is_rendering.wait(10)
    try:
        with pytest.raises(OperationalError), outer.hold(DELETE), inner.hold(DELETE):
            done.append("deleted")
    finally:
        ends.set()
        thread.join()
    assert done == []


@pytest.mark.parametrize("make_lock", ["PostgreSQL"], indirect=True)
def test_what_is_done_counts_when_the_database_ends_meanwhile(make_lock: MakeLock) -> None:
    outer, inner = make_lock("trash"), make_lock("http://orthanc.test")
    with outer.hold(DELETE), inner.hold(DELETE):
        connections["locks"].connection.close()
        done = True
    assert done
    with outer.hold(DELETE):
        pass


class TestConflictingCalls:
    @pytest.fixture(autouse=True)
    def _two_workers(self, make_lock: MakeLock) -> None:
        self.first, self.second = make_lock("http://orthanc.test"), make_lock("http://orthanc.test")
        self.of_another = make_lock("http://another.test")

    def waits(self, for_turn: Endpoint, *, while_in: Endpoint, other: RenderDeleteLock | None = None) -> bool:
        """Whether a call waits for another that is under way."""
        began = threading.Event()

        def call() -> None:
            with (other or self.second).hold(for_turn):
                began.set()

        with self.first.hold(while_in):
            thread = threading.Thread(target=call, daemon=True)
            thread.start()
            # a thread has to connect to PostgreSQL first
            wait_until(lambda: began.is_set() or waiting_locks() == 1)
            waited = not began.is_set()
        wait_until(began.is_set)
        thread.join()
        return waited

    def test_rendering_and_deleting_exclude_each_other(self) -> None:
        assert self.waits(DELETE, while_in=FRAME_RENDERED)
        assert self.waits(FRAME_RENDERED, while_in=DELETE)
        assert self.waits(DELETE, while_in=DELETE)

    def test_other_calls_are_not_excluded(self) -> None:
        assert not self.waits(FRAME_RENDERED, while_in=FRAME_RENDERED)
        assert not self.waits(SYSTEM, while_in=DELETE)
        assert not self.waits(DELETE, while_in=SYSTEM)

    def test_each_orthanc_has_its_own_lock(self) -> None:
        assert not self.waits(FRAME_RENDERED, while_in=DELETE, other=self.of_another)

    def test_a_waiting_delete_is_next(self) -> None:
        order: list[str] = []

        def call(endpoint: Endpoint, name: str) -> None:
            with self.second.hold(endpoint):
                order.append(name)

        with self.first.hold(FRAME_RENDERED):
            deleting = threading.Thread(target=call, args=(DELETE, "delete"))
            deleting.start()
            wait_until(lambda: waiting_locks() == 1)
            drawing = threading.Thread(target=call, args=(FRAME_RENDERED, "draw"))
            drawing.start()
            wait_until(lambda: waiting_locks() == 2)
            assert order == []
        deleting.join()
        drawing.join()
        assert order == ["delete", "draw"]


class TestLockFiles:
    @pytest.fixture(autouse=True)
    def _temporary_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def test_are_removed_by_the_last_holder(self, tmp_path: Path) -> None:
        lock = RenderDeleteLock(FileLock("http://orthanc.test"))
        with lock.hold(FRAME_RENDERED):
            with lock.hold(FRAME_RENDERED):
                assert list(tmp_path.iterdir())
            assert list(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == []
        with lock.hold(DELETE):
            assert list(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == []

    def test_exclude_conflicting_calls_although_they_are_removed_and_created_again(self, tmp_path: Path) -> None:
        calls = Counter[Endpoint]()
        counting = threading.Lock()
        conflicts: list[Counter[Endpoint]] = []
        deletions = 0
        stop = time.monotonic() + 1

        def repeat(endpoint: Endpoint) -> None:
            nonlocal deletions
            lock = RenderDeleteLock(FileLock("http://orthanc.test"))
            while time.monotonic() < stop:
                with lock.hold(endpoint):
                    with counting:
                        calls[endpoint] += 1
                        deletions += endpoint == DELETE
                        if calls[DELETE] and calls.total() > 1:
                            conflicts.append(calls.copy())
                    time.sleep(0.0002)
                    with counting:
                        calls[endpoint] -= 1

        threads = [threading.Thread(target=repeat, args=(endpoint,)) for endpoint in [FRAME_RENDERED, DELETE] * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert conflicts == []
        assert deletions > 10
        assert list(tmp_path.iterdir()) == []


@pytest.mark.live
def test_orthanc_survives_concurrent_rendering_and_deleting(
    start_orthanc: Callable[..., LocalOrthanc],
) -> None:
    orthanc = start_orthanc()
    load(orthanc, [instance(99, 1, 1, number) for number in range(1, 5)])
    connection = ConnectionOptions(orthanc.base_url, read_timeout=10.0)
    client = OrthancClient(connection)
    stop = time.monotonic() + SECONDS
    failures: list[Exception] = []

    def store_and_delete(patient: int) -> None:
        files = (instance(patient, 1, 1, number) for number in range(1, 6))
        answers = [client.call(endpoints.STORE, content=cast("RequestBody", file)) for file in files]
        client.call(DELETE, level=Level.PATIENT.path, id=answers[0]["ParentPatient"])

    def draw() -> None:
        for found in client.call(endpoints.FIND, body={"Level": "Instance", "Query": {}, "Limit": 4}):
            try:
                with_body = client.open(FRAME_RENDERED, accept="image/png", id=found, frame=0)
                b"".join(with_body)
            except (NotFound, ArchiveUnavailable):
                # somebody deleted it
                continue

    def repeat(action: Callable[[], None]) -> None:
        try:
            while time.monotonic() < stop:
                action()
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
            failures.append(error)

    actions: list[Callable[[], None]] = [draw] * RENDERING_ENDPOINTS
    actions += [lambda number=number: store_and_delete(number) for number in range(STORING)]  # type: ignore[misc]
    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    client.ping()


@pytest.mark.live
@pytest.mark.long
def test_gateways_on_two_hosts_exclude_each_other(
    start_orthanc: Callable[..., LocalOrthanc], postgresql: str, tmp_path: Path
) -> None:
    orthanc = start_orthanc()
    load(orthanc, [instance(patient, 1, 1, number) for patient in (1, 2) for number in range(1, 101)])
    client = OrthancClient(ConnectionOptions(orthanc.base_url))
    shown, doomed = (
        client.call(endpoints.FIND, body={"Level": "Instance", "Query": {"PatientID": patient}})
        for patient in ("P001", "P002")
    )
    assert (len(shown), len(doomed)) == (100, 100)

    def host(name: str) -> AbstractContextManager[LocalGateway]:
        folder = tmp_path / name
        folder.mkdir()
        return serving(orthanc.base_url, folder, settings={"DATABASE_URL": postgresql, "TMPDIR": str(folder)})

    with host("one") as one, host("other") as other, ThreadPoolExecutor(6) as pool, ThreadPoolExecutor(4) as more:

        def render(orthanc_id: str, kind: str, media_type: str) -> int:
            url = f"{one.address}/api/orthanc/instances/{orthanc_id}/{kind}/"
            return requests.get(url, headers={"Accept": media_type}, timeout=60).status_code

        def delete(orthanc_id: str) -> int:
            return requests.delete(f"{other.address}/api/orthanc/instances/{orthanc_id}/", timeout=60).status_code

        rendered = [pool.submit(render, *picture) for picture in product(shown, ("preview", "thumbnail"), MEDIA_TYPES)]
        deleted = [more.submit(delete, orthanc_id) for orthanc_id in doomed]
        assert Counter(one.result() for one in rendered) == {200: 400}
        assert Counter(one.result() for one in deleted) == {200: 100}
