"""The log of changes: one order for all gateways, nothing twice, and nothing dropped silently."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from queue import Queue

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.archive.levels import Level
from orthancproxy.errors import CursorExpired
from orthancproxy.feed.log import Change, ChangeLog, Kind, LoggedChange
from orthancproxy.feed.models import ChangeRow
from orthancproxy.feed.tail import Listener, Tail
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

STUDY = Change(Kind.ADDED, Level.STUDY, "study", "P1", "1.2.3", "patient", "study", frozenset({"research"}))
SERIES = Change(Kind.ADDED, Level.SERIES, "series", "P1", "1.2.3", "patient", "study")


@pytest.fixture
def log() -> ChangeLog:
    return ChangeLog()


def into(queue: "Queue[LoggedChange]") -> Listener:
    """A listener that puts each change into a queue."""

    def listener(changes: Sequence[LoggedChange]) -> None:
        for one in changes:
            queue.put(one)

    return listener


@contextmanager
def listening(tail: Tail, listener: Listener) -> Iterator[int]:
    """Listen within the block, and wait for the thread of the last listener."""
    before = [thread for thread in threading.enumerate() if thread.name == "changes"]
    yield tail.listen(listener)
    tail.leave(listener)
    wait_until(lambda: {thread for thread in threading.enumerate() if thread.name == "changes"}.issubset(before))


def kinds(log: ChangeLog) -> list[tuple[Kind, str]]:
    return [(one.change.kind, one.change.orthanc_id) for one in log.after(0, 1000)]


def test_changes_are_read_as_they_were_appended(log: ChangeLog) -> None:
    before = timezone.now()
    log.append([STUDY, SERIES])
    first, second = log.after(0, 10)
    assert (first.change, second.change) == (STUDY, SERIES)
    assert before <= first.at <= timezone.now()
    assert log.after(first.cursor, 10) == [second]
    assert log.after(0, 1) == [first]
    assert log.after(second.cursor, 10) == []
    assert log.newest() == second.cursor


def test_value_that_databases_reject_is_stored_without_it(log: ChangeLog) -> None:
    log.append([Change(Kind.ADDED, Level.PATIENT, "patient", "P\x00\ud800")])
    [logged] = log.after(0, 10)
    assert logged.change.patient_id == "P\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


class TestDeletions:
    def test_resource_that_is_reported_twice_is_logged_once(self, log: ChangeLog) -> None:
        log.append([STUDY])
        log.removed(Level.STUDY, ["study", "study"])
        log.removed(Level.STUDY, ["study", "other"])
        assert kinds(log) == [(Kind.ADDED, "study"), (Kind.DELETED, "study"), (Kind.DELETED, "other")]

    def test_resource_that_came_back_is_deleted_again(self, log: ChangeLog) -> None:
        log.removed(Level.STUDY, ["study"])
        log.append([STUDY])
        log.removed(Level.STUDY, ["study"])
        assert [kind for kind, _ in kinds(log)] == [Kind.DELETED, Kind.ADDED, Kind.DELETED]

    def test_resource_that_was_stored_again_since_it_was_missing_is_not_deleted(self, log: ChangeLog) -> None:
        log.append([STUDY, replace(STUDY, orthanc_id="other")])
        seen_at = log.newest()
        log.append([STUDY])
        log.removed(Level.STUDY, ["study", "other", "unknown"], seen_at)
        assert kinds(log)[3:] == [(Kind.DELETED, "other"), (Kind.DELETED, "unknown")]

    def test_first_report_that_knows_the_patient_or_labels_is_logged_too(self, log: ChangeLog) -> None:
        deleted = replace(STUDY, kind=Kind.DELETED)
        log.removed(Level.STUDY, ["study"])
        log.append([replace(deleted, labels=None)])
        log.append([deleted])
        log.append([replace(deleted, labels=None), deleted])
        log.removed(Level.STUDY, ["study"])
        _, with_patient, with_labels = [one.change for one in log.after(0, 10)]
        assert (with_patient, with_labels) == (replace(deleted, labels=None), deleted)

    def test_deletion_has_the_patient_study_and_labels_of_earlier_changes(self, log: ChangeLog) -> None:
        log.append([STUDY])
        log.removed(Level.STUDY, ["study", "unknown"])
        _, deleted, unknown = log.after(0, 10)
        assert deleted.change == Change(
            Kind.DELETED, Level.STUDY, "study", "P1", "1.2.3", "patient", "study", frozenset({"research"})
        )
        assert unknown.change == Change(Kind.DELETED, Level.STUDY, "unknown")

    @pytest.mark.parametrize("deleted", ["series", "study", "patient"])
    def test_labels_of_what_was_deleted_meanwhile_are_not_logged(self, log: ChangeLog, deleted: str) -> None:
        log.append([STUDY, SERIES])
        labelled = replace(SERIES, kind=Kind.LABELLED)
        log.append([labelled])
        level = {"series": Level.SERIES, "study": Level.STUDY, "patient": Level.PATIENT}[deleted]
        log.removed(level, [deleted])
        log.append([labelled])
        assert kinds(log)[2:] == [(Kind.LABELLED, "series"), (Kind.DELETED, deleted)]
        # stored again
        log.append([replace(STUDY, level=level, orthanc_id=deleted), labelled])
        assert kinds(log)[4:] == [(Kind.ADDED, deleted), (Kind.LABELLED, "series")]

    def test_labels_of_what_orthanc_has_again_are_logged(self, log: ChangeLog) -> None:
        # additions are not logged if another Orthanc has them, or one that was restored from a backup
        log.append([replace(STUDY, kind=Kind.DELETED)])
        labelled = replace(STUDY, kind=Kind.LABELLED, seen_at=log.newest())
        log.append([labelled])
        log.removed(Level.STUDY, ["study"])
        log.append([labelled])
        assert kinds(log) == [(kind, "study") for kind in (Kind.DELETED, Kind.LABELLED, Kind.DELETED)]


class TestRetention:
    @pytest.fixture(autouse=True)
    def _days(self, settings: Settings) -> None:
        settings.ORTHANC_CHANGES_DAYS = 2

    def age(self, cursor: int) -> None:
        ChangeRow.objects.filter(pk__lte=cursor).update(at=timezone.now() - timedelta(days=2, seconds=1))

    def test_old_changes_are_dropped_and_their_cursors_expire(self, log: ChangeLog) -> None:
        log.append([STUDY] * 5)
        cursors = [one.cursor for one in log.after(0, 10)]
        self.age(cursors[2])
        log.trim()
        for expired in (0, *cursors[:2]):
            with pytest.raises(CursorExpired):
                log.after(expired, 10)
        assert [one.cursor for one in log.after(cursors[2], 10)] == cursors[3:]
        assert log.oldest() == cursors[2]
        log.trim()
        assert log.oldest() == cursors[2]

    def test_cursors_grow_after_everything_was_dropped(self, log: ChangeLog) -> None:
        log.append([STUDY])
        newest = log.newest()
        self.age(newest)
        log.trim()
        assert log.newest() == newest
        assert log.after(newest, 10) == []
        log.append([STUDY])
        assert log.newest() > newest

    def test_cursor_of_another_log_is_expired(self, log: ChangeLog) -> None:
        log.append([STUDY])
        with pytest.raises(CursorExpired):
            log.after(log.newest() + 1, 10)


class TestTail:
    @pytest.fixture
    def delivered(self) -> "Queue[LoggedChange]":
        return Queue()

    @pytest.fixture
    def tail(self, log: ChangeLog, delivered: "Queue[LoggedChange]") -> Iterator[Tail]:
        tail = Tail(log)
        log.append([STUDY])
        with listening(tail, into(delivered)) as start:
            assert start == log.newest()
            yield tail

    def test_new_changes_are_handed_to_all_listeners(
        self, log: ChangeLog, tail: Tail, delivered: "Queue[LoggedChange]"
    ) -> None:
        seen: Queue[LoggedChange] = Queue()
        with listening(tail, into(seen)):
            log.append([SERIES])
            assert delivered.get(timeout=5).change == seen.get(timeout=5).change == SERIES

    def test_eight_threads_append_and_nothing_is_missed_or_repeated(
        self, log: ChangeLog, tail: Tail, delivered: "Queue[LoggedChange]"
    ) -> None:
        def append(thread: int) -> None:
            for number in range(25):
                log.append([Change(Kind.ADDED, Level.SERIES, f"{thread} {number}")])
            connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(append, range(8)))
        got = [delivered.get(timeout=5) for _ in range(200)]
        assert [one.cursor for one in got] == sorted({one.cursor for one in got})
        assert {one.change.orthanc_id for one in got} == {f"{a} {b}" for a in range(8) for b in range(25)}
        assert delivered.empty()

    def test_listener_that_fails_or_leaves_gets_no_more(
        self, log: ChangeLog, tail: Tail, delivered: "Queue[LoggedChange]"
    ) -> None:
        calls: list[int] = []

        def fail(changes: object) -> None:
            calls.append(1)
            raise RuntimeError

        tail.listen(fail)
        for _ in range(2):
            log.append([SERIES])
            assert delivered.get(timeout=5).change == SERIES
        assert calls == [1]

    def test_listener_after_the_last_has_left_starts_from_the_newest(self, log: ChangeLog) -> None:
        tail, seen = Tail(log), Queue[LoggedChange]()
        with listening(tail, into(seen)):
            pass
        log.append([STUDY])
        with listening(tail, into(seen)) as start:
            assert start == log.newest()
            log.append([SERIES])
            assert seen.get(timeout=5).change == SERIES

    def test_listeners_are_told_to_read_for_themselves_if_the_database_was_replaced(
        self, log: ChangeLog, tail: Tail
    ) -> None:
        seen: Queue[int] = Queue()
        with listening(tail, lambda changes: seen.put(len(changes))):
            ChangeRow.objects.all().delete()
            assert seen.get(timeout=5) == 0
            log.append([STUDY])
            assert seen.get(timeout=5) == 1
