"""The outcome of what was carried out is in the audit log, also if PostgreSQL ends while it is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import CHECKOUT, make_database
from tests.postgresql import new_database

SCRIPT = """
import os, sys, threading, django
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
django.setup()
import psycopg
from contextlib import suppress
from psycopg.rows import dict_row
from django.db import OperationalError, connection
from orthancproxy.audit.events import Author, Subject, write
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, AuditSubject

intention = write(Author("anna"), EventKind.DELETION, "deleteStudy", AuditOutcome.INTENDED)
written = dict(subjects=[Subject("P1", "1.2")], intention=intention)

def conclude():
    write(Author("anna"), EventKind.DELETION, "deleteStudy", AuditOutcome.SUCCESS, **written)

def end_the_connection():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.connection.info.backend_pid])

def commit_late():
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

TABLE, SUBJECTS = AuditEvent._meta.db_table, AuditSubject._meta.db_table
attempts = []
def lose_the_first(execute, sql, *arguments):
    point = "INSERT INTO" if sys.argv[1] == "late" else SUBJECTS
    if point in sql and not attempts:
        attempts.append(sql)
        if sys.argv[1] == "after":
            execute(sql, *arguments)
            connection.connection.commit()
        if sys.argv[1] == "late":
            commit_late()
        end_the_connection()
    return execute(sql, *arguments)

if sys.argv[1] == "before":
    end_the_connection()
    # something else, which goes without the database
    with suppress(OperationalError):
        AuditEvent.objects.count()
    conclude()
else:
    with connection.execute_wrapper(lose_the_first):
        conclude()
    assert attempts
outcomes = list(AuditEvent.objects.exclude(outcome="INTENDED").values_list("outcome", "intention"))
print(outcomes == [("SUCCESS", intention.pk)], *AuditSubject.objects.values_list("patient_id", "study_instance_uid"))
"""


@pytest.mark.parametrize("moment", ["before", "within", "after", "late"])
def test_an_outcome_is_written_once_though_the_connection_ends(postgresql: str, tmp_path: Path, moment: str) -> None:
    """Before or within the transaction, or after its commit, which may come late: the gateway does not learn of it."""
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_DATA_DIR": str(tmp_path),
        "DATABASE_URL": new_database(postgresql),
    }
    make_database(environment)
    command = [sys.executable, "-c", SCRIPT, moment]
    ran = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "True ('P1', '1.2')\n", ran.stderr
