"""The outcome of what was carried out is in the audit log, also if PostgreSQL ends while it is written."""

from pathlib import Path

from tests.postgresql import new_database, run_script

SCRIPT = """
import os, threading, django
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
django.setup()
import psycopg
from contextlib import suppress
from psycopg.rows import dict_row
from django.db import OperationalError, connection
from orthancproxy.audit.events import Author, Subject, write
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject

TABLE, SUBJECTS = AuditEvent._meta.db_table, AuditSubject._meta.db_table

def end_the_connection():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])

def commit_late(intention):
    other = psycopg.connect(os.environ["DATABASE_URL"])
    columns = dict(other.cursor(row_factory=dict_row).execute(f"SELECT * FROM {TABLE}").fetchone())
    del columns["id"]
    columns |= {"outcome": "SUCCESS", "intention_id": intention.pk, "counts": "{}", "details": None}
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {TABLE} ({names}) VALUES ({places}) RETURNING id"
    [made] = other.execute(statement, list(columns.values())).fetchone()
    subject = f"INSERT INTO {SUBJECTS} (event_id, patient_id, study_instance_uid) VALUES (%s, 'P1', '1.2')"
    other.execute(subject, [made])
    threading.Timer(1.0, lambda: (other.commit(), other.close())).start()

def conclude(moment):
    intention = write(Author("anna"), EventKind.DELETION, "deleteStudy", AuditOutcome.INTENDED)
    is_lost = False

    def lose_the_first(execute, sql, *arguments):
        nonlocal is_lost
        if ("INSERT INTO" if moment == "late" else SUBJECTS) in sql and not is_lost:
            is_lost = True
            if moment == "after":
                execute(sql, *arguments)
                connection.connection.commit()
            if moment == "late":
                commit_late(intention)
            end_the_connection()
        return execute(sql, *arguments)

    if moment == "before":
        is_lost = True
        end_the_connection()
        # something else, which goes without the database
        with suppress(OperationalError):
            AuditEvent.objects.count()
    with connection.execute_wrapper(lose_the_first):
        written = dict(subjects=[Subject("P1", "1.2")], intention=intention)
        write(Author("anna"), EventKind.DELETION, "deleteStudy", AuditOutcome.SUCCESS, **written)
    assert is_lost
    [outcome] = AuditEvent.objects.filter(intention=intention)
    [subject] = outcome.subjects.all()
    print(moment, outcome.outcome, subject.patient_id, subject.study_instance_uid)

for moment in ("before", "within", "after", "late"):
    conclude(moment)
"""


def test_an_outcome_is_written_once_though_the_connection_ends(postgresql: str, tmp_path: Path) -> None:
    """Before or within the transaction, or after its commit, which may come late: the gateway does not learn of it."""
    ran = run_script(SCRIPT, new_database(postgresql), tmp_path)
    assert ran.stdout.splitlines() == [
        "before SUCCESS P1 1.2",
        "within SUCCESS P1 1.2",
        "after SUCCESS P1 1.2",
        "late SUCCESS P1 1.2",
    ], ran.stderr
