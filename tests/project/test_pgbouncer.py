"""The gateway's database behind a PgBouncer that pools by transaction, as docs/deployment.md says."""

import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connections
from pytest_django import Settings

from orthancproxy.archive.levels import Level
from orthancproxy.feed.log import Change, ChangeLog, Kind, LoggedChange
from orthancproxy.feed.models import ChangeLogState, ChangeRow
from orthancproxy.feed.tail import Tail
from orthancproxy.project.environment import Environment
from orthancproxy.sandbox.orthanc import free_port
from tests.waiting import wait_until

CONFIGURATION = """[databases]
pooled = host=127.0.0.1 port={server} user=gateway
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
logfile = {folder}/log
"""
STUDIES = [Change(Kind.ADDED, Level.STUDY, f"study {number}", "P1", "1.2.3") for number in range(5)]


@pytest.fixture(scope="module")
def pgbouncer_log(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a PgBouncer, and have a database `pooled` behind it with the tables of the log; yield what it logs."""
    with psycopg.connect(postgresql, autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE pooled")
    # the folder of pytest is root's
    folder = Path("/tmp") / f"pgbouncer-{free_port()}"  # noqa: S108
    folder.mkdir()
    shutil.chown(folder, "postgres")
    port = free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(server=urlsplit(postgresql).port, port=port, folder=folder))
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    server = subprocess.Popen([*as_user, "/usr/sbin/pgbouncer", "--quiet", str(configuration)])
    url = f"postgres://gateway@127.0.0.1:{port}/pooled?conn_max_age=60&disable_server_side_cursors=true"
    connections.settings["pooled"] = {**connections.settings["default"], **Environment({}).database(url, Path())}
    try:
        wait_until(lambda: (folder / "log").exists() and "process up" in (folder / "log").read_text())
        with connections["pooled"].schema_editor() as editor:
            editor.create_model(ChangeRow)
            editor.create_model(ChangeLogState)
        yield folder / "log"
    finally:
        connections["pooled"].close()
        del connections.settings["pooled"]
        server.terminate()
        server.wait()
        shutil.rmtree(folder)
        with psycopg.connect(postgresql, autocommit=True) as administrator:
            administrator.execute("DROP DATABASE pooled")


@pytest.fixture
def log(pgbouncer_log: Path, settings: Settings) -> Iterator[ChangeLog]:
    settings.ORTHANC_CHANGES_DAYS = 7
    log = ChangeLog("pooled")
    log.append(STUDIES)
    yield log
    ChangeRow.objects.using("pooled").all().delete()


def test_rows_are_read_in_parts_while_others_use_the_session(log: ChangeLog) -> None:
    rows = ChangeRow.objects.using("pooled").order_by("pk").iterator(chunk_size=2)
    first = next(rows)
    other = connections["pooled"].copy()
    try:
        # PgBouncer gives this transaction the session that was last used
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert len([first, *rows]) == len(STUDIES)
    finally:
        other.close()


def test_changes_are_polled_and_nobody_is_left_listening(log: ChangeLog, pgbouncer_log: Path) -> None:
    found: Queue[LoggedChange] = Queue()
    tail = Tail(log)

    def listener(changes: Sequence[LoggedChange]) -> None:
        for one in changes:
            found.put(one)

    tail.listen(listener)
    try:
        for number in range(3):
            log.append([Change(Kind.STABLE, Level.STUDY, f"study {number}", "P1", "1.2.3")])
            assert found.get(timeout=10).change.orthanc_id == f"study {number}"
    finally:
        tail.leave(listener)
        wait_until(lambda: all(thread.name != "changes" for thread in threading.enumerate()))
    assert "when not linked" not in pgbouncer_log.read_text()
