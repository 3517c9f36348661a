"""Orthanc's own changes in the log: additions and stability, each once, and instances as one update a second."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from orthancproxy.archive.levels import Level
from orthancproxy.feed import orthanc_changes as module
from orthancproxy.feed.log import Change, ChangeLog, Kind
from orthancproxy.feed.models import ChangeLogState
from orthancproxy.feed.orthanc_changes import Reader
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ROOT, ask, instance, load
from tests.manual_clock import ManualClock
from tests.orthancs import ONE_CALL_PER_CONNECTION, StartOrthanc
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

PATIENT, STUDY, SERIES = Level.PATIENT, Level.STUDY, Level.SERIES
ADDED, UPDATED, STABLE, DELETED = Kind.ADDED, Kind.UPDATED, Kind.STABLE, Kind.DELETED


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc(configuration=ONE_CALL_PER_CONNECTION)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(orthanc: LocalOrthanc, clock: ManualClock) -> ChangeLog:
    """A log whose clock stands still, of an empty archive."""
    for patient in ids(orthanc, PATIENT):
        delete(orthanc, PATIENT, patient)
    start, began = timezone.now(), clock()

    def now() -> datetime:
        return start + timedelta(seconds=clock() - began)

    return ChangeLog(now=now)


@pytest.fixture
def reader(orthanc: LocalOrthanc, log: ChangeLog) -> Reader:
    reader = make_reader(orthanc, log)
    reader.look()
    return reader


def make_reader(orthanc: LocalOrthanc, log: ChangeLog, **options: Any) -> Reader:
    return Reader(OrthancClient(ConnectionOptions(orthanc.base_url)), log, orthanc.base_url, **options)


def ids(orthanc: LocalOrthanc, level: Level) -> list[str]:
    found: list[str] = json.loads(ask(orthanc, f"/{level.path}"))
    return found


def delete(orthanc: LocalOrthanc, level: Level, orthanc_id: str) -> None:
    ask(orthanc, f"/{level.path}/{orthanc_id}", "DELETE")


def only(orthanc: LocalOrthanc, level: Level) -> str:
    [orthanc_id] = ids(orthanc, level)
    return orthanc_id


def kinds(log: ChangeLog, after: int = 0) -> list[tuple[Kind, Level]]:
    return [(one.change.kind, one.change.level) for one in log.after(after, 1000)]


def test_first_look_begins_at_the_newest_entry(orthanc: LocalOrthanc, log: ChangeLog) -> None:
    load(orthanc, [instance()])
    reader = make_reader(orthanc, log)
    reader.look()
    assert kinds(log) == []
    load(orthanc, [instance(2)])
    reader.look()
    assert kinds(log) == [(ADDED, PATIENT), (ADDED, STUDY), (ADDED, SERIES)]


def test_new_resources_are_added_with_their_patient_and_study(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader
) -> None:
    load(orthanc, [instance(number=number) for number in range(1, 4)])
    reader.look()
    patient, study, series = (only(orthanc, level) for level in (PATIENT, STUDY, SERIES))
    uid = f"{ROOT}.1.1"
    assert [one.change for one in log.after(0, 10)] == [
        Change(ADDED, PATIENT, patient, "P001", None, patient),
        Change(ADDED, STUDY, study, "P001", uid, patient, study, frozenset()),
        Change(ADDED, SERIES, series, "P001", uid, patient, study, frozenset()),
    ]
    reader.look()
    assert len(kinds(log)) == 3


def test_instances_are_one_update_of_their_series_and_study_in_a_second(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader, clock: ManualClock
) -> None:
    load(orthanc, [instance(), instance(series=2), instance(2)])
    reader.look()
    clock.now += 1
    start = log.newest()
    load(orthanc, [instance(series=2, number=number) for number in range(2, 22)])
    reader.look()
    load(orthanc, [instance(series=2, number=22), instance(3)])
    reader.look()
    updates = [(UPDATED, STUDY), (UPDATED, SERIES)]
    assert kinds(log, start) == updates
    [study, series] = [one.change for one in log.after(start, 10)]
    assert (study.study_instance_uid, series.study_orthanc_id) == (f"{ROOT}.1.1", study.orthanc_id)
    clock.now += 1
    reader.look()
    assert kinds(log, start) == [*updates, *updates, (ADDED, PATIENT), (ADDED, STUDY), (ADDED, SERIES)]


def test_series_that_is_added_to_a_study_updates_the_study_only(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader, clock: ManualClock
) -> None:
    load(orthanc, [instance()])
    reader.look()
    clock.now += 1
    start = log.newest()
    load(orthanc, [instance(series=2), instance(study=2)])
    reader.look()
    assert kinds(log, start) == [(UPDATED, STUDY), (ADDED, SERIES), (ADDED, STUDY), (ADDED, SERIES)]


@pytest.mark.parametrize("entries_per_look", [4, 5])
def test_resource_is_not_updated_before_it_is_added_where_a_look_ends_between(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader, clock: ManualClock, entries_per_look: int
) -> None:
    load(orthanc, [instance(1)])
    reader.look()
    clock.now += 1
    before = log.newest()
    # NewInstance, NewSeries, NewStudy and NewPatient of the last
    load(orthanc, [instance(1, number=2), instance(1, number=3), instance(2)])
    reader = make_reader(orthanc, log, entries_per_look=entries_per_look)
    for _ in range(3):
        reader.look()
        clock.now += 1
    changes = [one.change for one in log.after(before, 1000) if one.change.patient_id == "P002"]
    assert [(one.kind, one.level) for one in changes] == [(ADDED, PATIENT), (ADDED, STUDY), (ADDED, SERIES)]


def test_deleted_resources_are_left_out(orthanc: LocalOrthanc, log: ChangeLog, reader: Reader) -> None:
    load(orthanc, [instance(1), instance(2)])
    delete(orthanc, PATIENT, ids(orthanc, PATIENT)[0])
    reader.look()
    assert Counter(kinds(log)) == Counter([(ADDED, PATIENT), (ADDED, STUDY), (ADDED, SERIES)])


def test_additions_after_the_newest_were_deleted_are_neither_missed_nor_repeated(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader
) -> None:
    load(orthanc, [instance(1)])
    reader.look()
    load(orthanc, [instance(2)])
    reader.look()
    newest = [one.change.orthanc_id for one in log.after(0, 10) if one.change.level is PATIENT][-1]
    delete(orthanc, PATIENT, newest)
    reader.look()
    load(orthanc, [instance(3)])
    reader.look()
    patients = [one.change.patient_id for one in log.after(0, 20) if one.change.level is PATIENT]
    assert patients == ["P001", "P002", "P003"]


def test_what_is_deleted_while_it_is_read_is_not_added_after_its_deletion(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader
) -> None:
    class DeletingLog(ChangeLog):
        """Where the deletion of the study is logged between reading it and appending it."""

        def deleted_after(self, cursor: int) -> set[str]:
            for study in ids(orthanc, STUDY):
                delete(orthanc, STUDY, study)
                self.removed(STUDY, [study])
            return super().deleted_after(cursor)

    load(orthanc, [instance()])
    make_reader(orthanc, DeletingLog()).look()
    assert kinds(log) == [(DELETED, STUDY)]


def test_another_orthanc_begins_at_its_newest_entry(orthanc: LocalOrthanc, log: ChangeLog, reader: Reader) -> None:
    load(orthanc, [instance()])
    ChangeLogState.objects.update(server="another", position=0)
    reader.look()
    assert kinds(log) == []
    load(orthanc, [instance(2)])
    reader.look()
    assert len(kinds(log)) == 3


def test_readers_that_look_at_once_log_each_change_once(orthanc: LocalOrthanc, log: ChangeLog, reader: Reader) -> None:
    readers = [make_reader(orthanc, log) for _ in range(4)]

    def look(one: Reader) -> None:
        for _ in range(5):
            one.look()
        connections.close_all()

    with ThreadPoolExecutor(5) as pool:
        looks = [pool.submit(look, one) for one in readers]
        for patient in range(1, 9):
            load(orthanc, [instance(patient)])
        for one in looks:
            one.result()
    reader.look()
    added = [one.change.orthanc_id for one in log.after(0, 1000) if one.change.kind is ADDED]
    assert len(added) == len(set(added)) == 24


def test_report_does_not_wait_long_for_a_look_that_hangs(
    orthanc: LocalOrthanc, log: ChangeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = Event(), Event()

    class HangingLog(ChangeLog):
        def state(self) -> ChangeLogState:
            begun.set()
            ended.wait()
            return super().state()

    monkeypatch.setattr(module, "MAX_WAIT_SECONDS", 0.01)
    reader = make_reader(orthanc, HangingLog())
    with ThreadPoolExecutor(1) as pool:
        look = pool.submit(reader.look)
        begun.wait()
        reader.report()
        assert not look.done()
        ended.set()
        look.result()
        pool.submit(connections.close_all)


def test_number_of_calls_does_not_depend_on_the_number_of_changes(
    orthanc: LocalOrthanc, log: ChangeLog, reader: Reader, clock: ManualClock
) -> None:
    def calls_for(patients: int, number: int) -> int:
        clock.now += 1
        load(orthanc, [instance(patient, number=number) for patient in range(1, patients + 1)])
        with recording() as calls:
            reader.look()
        return calls.count

    calls_for(30, 1)
    # where a find may be longer than any before, its limits are probed once
    calls_for(30, 2)
    # the newest entry, the entries, their studies, the series of those
    assert calls_for(1, 3) == calls_for(30, 4) == 4
    assert calls_for(0, 0) == 1


def test_resources_become_stable(start_orthanc: StartOrthanc, log: ChangeLog) -> None:
    orthanc = start_orthanc(configuration={"StableAge": 1})
    reader = make_reader(orthanc, log)
    reader.look()
    load(orthanc, [instance()])
    reader.look()

    def is_stable() -> bool:
        reader.look()
        return len(kinds(log)) == 6

    wait_until(is_stable)
    assert set(kinds(log)[3:]) == {(STABLE, SERIES), (STABLE, STUDY), (STABLE, PATIENT)}
    assert {one.change.patient_id for one in log.after(0, 10)} == {"P001"}


@pytest.mark.since("1.12.0")
def test_labels_are_those_of_the_study_when_it_is_stable(start_orthanc: StartOrthanc, log: ChangeLog) -> None:
    orthanc = start_orthanc(configuration={"StableAge": 1})
    # NewInstance, NewSeries, NewStudy and NewPatient, if the study is stable already as well
    reader = make_reader(orthanc, log, entries_per_look=4)
    reader.look()
    load(orthanc, [instance()])
    reader.look()
    assert kinds(log) == [(ADDED, PATIENT), (ADDED, STUDY), (ADDED, SERIES)]
    study = only(orthanc, STUDY)
    ask(orthanc, f"/studies/{study}/labels/research", "PUT")

    def is_stable() -> bool:
        reader.look()
        return (STABLE, STUDY) in kinds(log)

    wait_until(is_stable)
    log.removed(STUDY, [study])
    assert log.newest_of([study])[study].change.labels == frozenset({"research"})
