"""Old events of the audit log are deleted, but none that is not archived and sent."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.audit import retention
from orthancproxy.audit.archive_files import ids_in, write_archive_file
from orthancproxy.audit.delivery import configured_receiver
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.loading import load_events
from orthancproxy.audit.models import AuditDelivery, AuditEvent, AuditRetention, AuditSubject, Viewing
from orthancproxy.audit.retention import Retention
from orthancproxy.jobs.models import Job, JobState
from orthancproxy.jobs.rows import finish
from orthancproxy.sandbox.gateway import CHECKOUT, make_database
from tests.audit.events import create_event, event_ids
from tests.faults.disks import filled, small_disk
from tests.log_capture import logged
from tests.manual_clock import ManualClock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.ORTHANC_AUDIT_DAYS = 100
    settings.ORTHANC_AUDIT_ARCHIVE_DIR = str(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SECONDS_BETWEEN_TRANSACTIONS", 0)


def create_aged(days: float, **values: object) -> AuditEvent:
    return create_event(Subject("김-001", "1.2.3"), at=timezone.now() - timedelta(days=days), **values)


def archived(folder: Path) -> list[int]:
    """Return the ids in the files, which are all that is in the folder."""
    files = sorted(folder.iterdir())
    assert all(file.name.endswith(".jsonl.gz") for file in files)
    return [one for file in files for one in ids_in(file)]


def left() -> list[int]:
    return list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True))


def test_old_events_are_archived_with_all_that_is_known_of_them_and_deleted(folder: Path) -> None:
    intention = create_aged(200, event=EventKind.DELETION, outcome=AuditOutcome.INTENDED)
    old = create_aged(150, event=EventKind.DELETION, intention=intention, username="간호사", counts={"studies": 2})
    young = create_aged(99)
    retained = Retention().run()
    assert retained.deleted == 2
    assert left() == [young.pk]
    assert list(AuditSubject.objects.values_list("event", flat=True)) == [young.pk]
    [file] = folder.iterdir()
    assert retained.files == [file]
    assert file.name == f"audit-{intention.pk:012d}-{old.pk:012d}.jsonl.gz"
    assert file.stat().st_mode & 0o777 == 0o600
    unzipped = subprocess.run(["gunzip", "-c", file], capture_output=True, check=True).stdout
    assert orjson.loads(unzipped.splitlines()[1]) == {
        "id": old.pk,
        "at": old.at.isoformat(),
        "event": "DELETION",
        "operation": "patients",
        "outcome": "SUCCESS",
        "error_code": "",
        "username": "간호사",
        "authentication": "SESSION",
        "address": "192.0.2.7",
        "request_id": "a1b2c3",
        "duration_ms": 12.5,
        "target": "",
        "counts": {"studies": 2},
        "details": None,
        "intention": intention.pk,
        "subjects": [{"patient_id": "김-001", "study_instance_uid": "1.2.3"}],
    }
    assert Retention().run() == retention.Retained([])


def test_archive_has_every_column_of_an_event(folder: Path) -> None:
    event = create_aged(200)
    [line] = subprocess.run(
        ["gunzip", "-c", write_archive_file(folder, [event.pk], load_events([event.pk], 1))],
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    columns = {field.name for field in AuditEvent._meta.concrete_fields}
    assert set(orjson.loads(line)) == columns | {"subjects"}


def test_files_have_many_events_or_are_written_once_a_day(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVENTS_PER_FILE", 10)
    for _ in range(25):
        create_aged(100.5)
    Retention().run()
    assert [len(ids_in(file)) for file in sorted(folder.iterdir())] == [10, 10]
    assert len(left()) == 5
    Retention(now=lambda: timezone.now() + timedelta(days=0.6)).run()
    assert left() == []
    assert len(archived(folder)) == 25


def test_intention_stays_as_long_as_its_outcome_and_as_its_viewing(folder: Path) -> None:
    intention = create_aged(101.5, event=EventKind.DELETION, outcome=AuditOutcome.INTENDED)
    other = create_aged(101.5)
    viewed = create_aged(101.5, event=EventKind.TRANSFERRED, outcome=AuditOutcome.INTENDED)
    future = timezone.now() + timedelta(minutes=5)
    Viewing.objects.create(key="a", intention=viewed, last_at=future, closes_at=future)
    outcome = create_aged(99.5, event=EventKind.DELETION, intention=intention)
    Retention().run()
    assert archived(folder) == [intention.pk, other.pk, viewed.pk]
    assert left() == [intention.pk, viewed.pk, outcome.pk]
    Viewing.objects.all().delete()
    later = Retention(now=lambda: timezone.now() + timedelta(days=2))
    assert later.run().deleted == 3
    assert left() == []
    assert archived(folder) == [intention.pk, other.pk, viewed.pk, outcome.pk]


def test_intention_of_a_job_stays_until_the_job_ends(folder: Path) -> None:
    intention = create_aged(200, event=EventKind.SENT, outcome=AuditOutcome.INTENDED, details={"destination": "PACS"})
    job = Job.objects.create(kind="SEND", level="Study", orthanc_ids=[], studies=[], intention=intention)
    Retention().run()
    assert left() == [intention.pk]
    assert finish(job, JobState.SUCCESS, timezone.now(), counts={"instances": 7})
    Retention().run()
    # the outcome is young
    assert len(left()) == 2


def test_event_behind_one_that_is_young_stays(folder: Path) -> None:
    """A file has all events of its range, so that a missing one is noticed."""
    create_aged(200)
    young, behind = create_aged(1), create_aged(200)
    Retention().run()
    assert left() == [young.pk, behind.pk]


def test_event_that_was_not_sent_stays(folder: Path, settings: Settings) -> None:
    settings.ORTHANC_AUDIT_SYSLOG = "tls://audit.example.org"
    events = [create_aged(200) for _ in range(4)]
    Retention().run()
    assert len(left()) == 4
    sent = AuditDelivery.objects.create(receiver=configured_receiver().url, position=events[3].pk)
    Retention().run()
    assert len(left()) == 4
    # all of them may be sent again, except the first two
    sent.resend_position, sent.resend_intended_position = events[2].pk, events[1].pk
    sent.save()
    Retention().run()
    assert left() == [events[2].pk, events[3].pk]
    assert archived(folder) == [events[0].pk, events[1].pk]
    # the repository is the archive
    settings.ORTHANC_AUDIT_ARCHIVE_DIR = ""
    sent.resend_intended_position = events[2].pk
    sent.save()
    Retention().run()
    assert left() == [events[3].pk]
    assert len(archived(folder)) == 2


def test_full_disk_deletes_nothing_and_has_one_line_in_the_log(settings: Settings, tmp_path: Path) -> None:
    settings.ORTHANC_AUDIT_DAYS, settings.ORTHANC_AUDIT_ARCHIVE_DIR = 100, str(tmp_path)
    created = [create_aged(200).pk for _ in range(300)]
    clock = ManualClock()
    keeper = Retention(monotonic=clock)
    with small_disk(tmp_path, 1):
        with filled(tmp_path), logged() as lines:
            for _ in range(5):
                keeper.step()
                clock.now += 1000
            assert [file.name for file in tmp_path.iterdir()] == ["filling"]
        assert [line["event"] for line in lines] == [
            "the audit cannot be archived, and nothing of it is deleted: [Errno 28] No space left on device"
        ]
        assert left() == created
        keeper.step()
        assert left() == []
        assert archived(tmp_path) == created


def test_file_that_is_not_what_was_written_deletes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created = [create_aged(200).pk for _ in range(30)]
    monkeypatch.setattr(retention, "load_events", lambda ids, at_once: list(load_events(ids, at_once))[:-1])
    with pytest.raises(OSError, match="not archived completely"):
        Retention().run()
    assert left() == created
    assert list(folder.iterdir()) == []


def test_file_of_another_database_is_not_overwritten(folder: Path) -> None:
    event = create_aged(200)
    first = write_archive_file(folder, [event.pk], load_events([event.pk], 1))
    assert write_archive_file(folder, [event.pk], load_events([event.pk], 1)) == first
    event.username = "another"
    second = write_archive_file(folder, [event.pk], [event])
    assert second.name == f"audit-{event.pk:012d}-{event.pk:012d}-2.jsonl.gz"
    assert write_archive_file(folder, [event.pk], [event]) == second
    assert len(list(folder.iterdir())) == 2


def test_abandoned_temporary_file_is_removed(folder: Path) -> None:
    old, new = folder / ".audit-old.tmp", folder / ".audit-new.tmp"
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    event = create_aged(200)
    write_archive_file(folder, [event.pk], load_events([event.pk], 1))
    assert not old.exists()
    assert new.exists()


def test_event_about_thousands_of_studies_does_not_make_a_long_transaction(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SUBJECTS_PER_TRANSACTION", 50)
    for count in (20, 100, 20, 20, 20):
        create_event(*[Subject("1", str(number)) for number in range(count)], at=timezone.now() - timedelta(days=200))
    deleted = []
    delete = retention._delete_rows

    def delete_and_count(ids: Sequence[int]) -> None:
        deleted.append(len(ids))
        delete(ids)

    monkeypatch.setattr(retention, "_delete_rows", delete_and_count)
    Retention().run()
    assert deleted == [2, 1, 1, 1]
    assert left() == []


def test_command_archives_at_once_what_is_old_enough(folder: Path, settings: Settings) -> None:
    event, young = create_aged(100.1), create_aged(99.9)
    Retention().run()
    assert left() == [event.pk, young.pk]
    output, errors = StringIO(), StringIO()
    call_command("archive_audit", stdout=output, stderr=errors)
    assert output.getvalue() == f"{folder}/audit-{event.pk:012d}-{event.pk:012d}.jsonl.gz\n"
    assert errors.getvalue() == "1 events deleted\n"
    assert left() == [young.pk]
    settings.ORTHANC_AUDIT_DAYS = 0
    with pytest.raises(CommandError, match="ORTHANC_AUDIT_DAYS is 0"):
        call_command("archive_audit")


def test_events_that_another_process_archives_while_they_are_read_are_archived_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs beside the gateway."""
    old = [create_aged(200).pk for _ in range(3)]
    load, others = load_events, [Retention()]

    def load_after_another(*arguments: Any) -> Iterator[AuditEvent]:
        if others:
            others.pop().run()
        return load(*arguments)

    monkeypatch.setattr(retention, "load_events", load_after_another)
    assert Retention().run().files == []
    assert (archived(folder), left()) == (old, [])


def test_events_that_another_process_archives_before_they_are_read_are_archived_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [create_aged(200).pk for _ in range(3)]
    with monkeypatch.context() as patch:
        # planned by a process that died
        patch.setattr(retention, "write_archive_file", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Retention().run()
    monkeypatch.setattr(retention, "EVENTS_PER_TRANSACTION", 1)
    holds = iter([True] * 4)
    delete, others = Retention._delete, [Retention(lambda: next(holds, False))]

    def delete_after_another(this: Retention, released: int) -> int:
        if others:
            others.pop().run()
            # it has not deleted all of them yet
            assert left() == old[:2]
        return delete(this, released)

    monkeypatch.setattr(Retention, "_delete", delete_after_another)
    Retention().run()
    Retention().run()
    assert (archived(folder), left()) == (old, [])


def test_nothing_is_deleted_by_default() -> None:
    create_aged(20_000)
    with pytest.raises(CommandError):
        call_command("archive_audit")
    assert len(left()) == 1
    assert not AuditRetention.objects.exists()


FILL = """
from datetime import timedelta
from django.utils import timezone
from orthancproxy.audit.models import AuditEvent, AuditSubject
at = timezone.now() - timedelta(days=200)
events = AuditEvent.objects.bulk_create(
    [AuditEvent(at=at, event="LOGIN", operation="login", outcome="SUCCESS", duration_ms=1) for _ in range(20_000)],
    batch_size=50,
)
AuditSubject.objects.bulk_create(
    [AuditSubject(event=one, patient_id="1", study_instance_uid=str(number)) for one in events for number in range(2)],
    batch_size=200,
)
AuditEvent.objects.create(event="LOGIN", operation="login", outcome="SUCCESS", duration_ms=1)
"""
ARCHIVE = """
import os, sys
from django.core.management import call_command
from orthancproxy.audit import archive_files, retention

module, name, when, times = *sys.argv[1].split("."), *sys.argv[2:]
if name:
    owner = {"archive_files": archive_files, "retention": retention, "Retention": retention.Retention}[module]
    original, calls = getattr(owner, name), int(times)
    def killed(*arguments):
        global calls
        calls -= 1
        if when == "before" and not calls:
            os._exit(9)
        result = original(*arguments)
        if when == "after" and not calls:
            os._exit(9)
        return result
    setattr(owner, name, killed)
call_command("archive_audit")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    url = f"sqlite:///{tmp_path}/gateway.sqlite3"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
    (tmp_path / "archive").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_DATA_DIR": str(tmp_path / "data"),
        "DATABASE_URL": url,
        "ORTHANC_AUDIT_DAYS": "100",
        "ORTHANC_AUDIT_ARCHIVE_DIR": str(tmp_path / "archive"),
    }
    make_database(environment)
    if request.param == "postgresql":
        _empty(url)
    yield environment
    if request.param == "postgresql":
        _empty(url)


def _empty(url: str) -> None:
    """Empty the tables that other tests use, too."""
    with psycopg.connect(url, options="-c lock_timeout=20s") as connection:
        connection.execute("TRUNCATE orthancproxy_auditevent, orthancproxy_auditretention CASCADE")


def run(environment: dict[str, str], script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    setup = (
        "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'orthancproxy.project.settings'; django.setup()\n"
    )
    command = [sys.executable, "-c", setup + script, *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def test_process_that_is_killed_at_any_step_loses_no_event_and_archives_none_twice(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert run(environment, FILL).returncode == 0
    steps = [
        ("retention.write_archive_file", "before", 1),
        ("archive_files._publish", "before", 1),
        ("retention.write_archive_file", "after", 1),
        ("Retention._delete", "before", 2),
        ("retention._delete_rows", "after", 3),
        ("archive_files._publish", "after", 1),
        ("retention._delete_rows", "before", 1),
    ]
    folder = tmp_path / "archive"
    url = environment["DATABASE_URL"]
    [*old, young] = event_ids(url)
    for name, when, times in steps:
        assert run(environment, ARCHIVE, name, when, str(times)).returncode == 9, name
        files = [one for file in folder.glob("audit-*.jsonl.gz") for one in ids_in(file)]
        assert {*event_ids(url), *files} == {*old, young}
    assert len(event_ids(url)) > 1
    finished = run(environment, ARCHIVE, "retention.", "", "0")
    assert finished.returncode == 0, finished.stderr
    assert event_ids(url) == [young]
    for file in folder.glob(".audit-*.tmp"):
        file.unlink()
    assert archived(folder) == old
    assert len(old) == 20_000
    assert len(list(folder.iterdir())) == 2
