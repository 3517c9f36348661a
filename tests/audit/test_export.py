"""`export_audit`: it exports all events, oldest first, in constant memory, and resumes after the last one."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from lxml import etree

from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.management.commands import export_audit
from tests.audit.events import create_event

INTENT = {"event": EventKind.DELETION, "outcome": AuditOutcome.INTENDED}

pytestmark = pytest.mark.django_db


def export(*arguments: str) -> tuple[list[etree._Element], int]:
    """Return the messages, and the id of the event to resume after."""
    output, errors = StringIO(), StringIO()
    call_command("export_audit", *arguments, stdout=output, stderr=errors)
    return [etree.fromstring(line.encode()) for line in output.getvalue().splitlines()], int(errors.getvalue())


def exported(*arguments: str) -> list[str]:
    """Return the operations of the exported messages."""
    return [
        str(message.findtext("ParticipantObjectIdentification[last()]/ParticipantObjectName"))
        for message in export(*arguments)[0]
    ]


def test_export_is_oldest_first_and_the_next_one_resumes_after_the_last_event() -> None:
    for operation in "abc":
        last = create_event(operation=operation)
    assert exported() == ["a", "b", "c"]
    assert export()[1] == last.pk
    assert exported("--after-id", str(last.pk)) == []
    assert export("--after-id", str(last.pk))[1] == last.pk
    create_event(operation="d")
    assert exported("--after-id", str(last.pk)) == ["d"]


def test_export_of_an_empty_audit_log_has_no_messages() -> None:
    assert export() == ([], 0)


def test_since_is_inclusive_and_until_is_exclusive() -> None:
    for day in (1, 2, 3):
        create_event(operation=str(day), at=datetime(2026, 1, day, tzinfo=UTC))
    assert exported("--since", "2026-01-02T00:00:00Z") == ["2", "3"]
    assert exported("--until", "2026-01-02T00:00:00Z") == ["1"]
    assert exported("--since", "2026-01-02T09:00:00+09:00", "--until", "2026-01-03T00:00:00Z") == ["2"]
    # a date without a time means midnight in the time zone of the server
    assert exported("--since", "2025-12-30", "--until", "2026-01-05") == ["1", "2", "3"]


@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize("value", ["", "yesterday", "2026-13-01", "2026-01-01T25:00", "1767225600000000000"])
def test_invalid_date_is_rejected(option: str, value: str) -> None:
    with pytest.raises(CommandError, match="is not a date and time such as 2026-01-31"):
        export(option, value)


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "１"])
def test_invalid_event_id_is_rejected(value: str) -> None:
    with pytest.raises(CommandError, match="is not an event id"):
        export(f"--after-id={value}")


def test_intent_with_an_outcome_is_not_exported() -> None:
    intention = create_event(**INTENT, operation="intended")
    create_event(event=EventKind.DELETION, outcome=AuditOutcome.FAILED, operation="ended", intention=intention)
    assert exported() == ["ended"]


def test_intent_without_an_outcome_is_exported_with_an_unknown_outcome() -> None:
    create_event(Subject("1", "1.2.3"), **INTENT, operation="intended")
    [message], _ = export()
    assert message[0].get("EventOutcomeIndicator") == "12"
    assert message[0].findtext("EventOutcomeDescription") == "It was started; its outcome is unknown."


def test_export_stops_before_the_first_event_of_the_last_minute() -> None:
    """An event may be committed after one with a higher id; a later export would skip it."""
    now = timezone.now()
    first = create_event(operation="old")
    create_event(operation="young", at=now - timedelta(seconds=30))
    create_event(operation="old, after the young one", at=now - timedelta(seconds=90))
    assert exported() == ["old"]
    assert export()[1] == first.pk
    assert exported("--until", now.isoformat()) == ["old", "young", "old, after the young one"]


def test_export_stops_before_an_operation_that_has_not_ended() -> None:
    """Its outcome would be exported before the events in between; after an hour, it has none."""
    now = timezone.now()
    create_event(operation="before")
    intention = create_event(**INTENT, operation="intended", at=now - timedelta(minutes=59))
    create_event(operation="meanwhile", at=now - timedelta(minutes=30))
    assert exported() == ["before"]
    outcome = {"event": EventKind.DELETION, "intention": intention}
    create_event(**outcome, operation="ended", at=now - timedelta(minutes=5))
    assert exported() == ["before", "meanwhile", "ended"]


def test_export_stops_before_an_event_of_a_host_whose_clock_is_ahead() -> None:
    create_event(operation="before")
    create_event(operation="young", at=timezone.now() + timedelta(minutes=1))
    create_event(operation="after it")
    assert exported() == ["before"]


def test_event_with_a_time_in_the_future_does_not_stop_the_export() -> None:
    create_event(operation="wrong clock", at=timezone.now() + timedelta(days=3650))
    create_event(operation="after it")
    assert exported() == ["wrong clock", "after it"]


def test_export_needs_one_query_for_the_subjects_of_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_audit, "EVENTS_IN_MEMORY", 10)
    for _ in range(40):
        create_event(Subject("1", "1.2.3"), Subject("1", "1.2.4"))
    with CaptureQueriesContext(connection) as queries:
        assert len(export()[0]) == 40
    # the expired viewings, the first event of the last minute, the events, and the subjects of each chunk
    assert len(queries) == 3 + 4


def test_export_appends_to_the_output_file_in_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    first = create_event(operation="홍길동")
    assert export("--output", str(file)) == ([], first.pk)
    create_event(operation="second")
    assert export("--output", str(file), "--after-id", str(first.pk))[0] == []
    lines = file.read_bytes().decode().splitlines()
    assert len(lines) == 2
    assert "홍길동" in lines[0]
    assert "second" in lines[1]


@pytest.mark.parametrize("file", ["/nowhere/audit.log", "/dev/full"])
def test_output_file_that_cannot_be_written_is_an_error_without_an_id_to_resume_after(file: str) -> None:
    create_event()
    errors = StringIO()
    with pytest.raises(CommandError, match="Writing the messages failed"):
        call_command("export_audit", "--output", file, stderr=errors)
    assert errors.getvalue() == ""


def test_audit_source_id_is_the_source_option() -> None:
    create_event()
    [message], _ = export("--source", "PACS 1")
    assert message.find("AuditSourceIdentification").attrib == {"AuditSourceID": "PACS 1"}  # type: ignore[union-attr]


def test_export_to_standard_output_is_utf_8_in_any_locale() -> None:
    code = (
        "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='euc-kr');"
        "from pathlib import Path; from contextlib import ExitStack;"
        "from orthancproxy.management.commands.export_audit import Command;"
        "stack = ExitStack(); write = Command()._writer(stack, None); write('홍 é'); stack.close()"
    )
    setup = "import os, django; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'orthancproxy.project.settings');"
    ran = subprocess.run([sys.executable, "-c", f"{setup}django.setup();{code}"], capture_output=True, check=True)
    assert ran.stdout.decode().strip() == "홍 é"
