"""Several gateways that start at once on one database: one migrates it, and the others wait for it."""

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from orthancproxy.management.migration_lock import FILE_SUFFIX, KEY
from tests.postgresql import run_postgresql

CHECKOUT = Path(__file__).parents[2]
PROCESSES = 3
WAITING = "Another process is migrating the database: waiting for it.\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.sqlite3"
        return
    with run_postgresql() as url:
        yield url


def start(url: str, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", "manage.py", "migrate", "--noinput", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": url, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold the lock on migrations, as another process does."""
    if url.startswith("sqlite"):
        with Path(f"{url.removeprefix('sqlite:///')}{FILE_SUFFIX}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [KEY])
        yield


def tables(url: str) -> int:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            return int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert row
        return int(row[0])


def test_processes_that_migrate_a_new_database_at_once_all_succeed(url: str) -> None:
    processes = [start(url) for _ in range(PROCESSES)]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES, outputs
    # one has migrated, the others found nothing to do
    assert sum("Applying orthancproxy.0001_uploads... OK" in output for output, _ in outputs) == 1
    assert sum("No migrations to apply." in output for output, _ in outputs) == PROCESSES - 1
    assert sum(output.count(WAITING) for output, _ in outputs) <= PROCESSES - 1


def test_migration_waits_for_the_one_in_progress_and_says_so(url: str) -> None:
    with locked(url):
        process = start(url)
        assert process.stdout
        assert process.stdout.readline() == WAITING
        assert tables(url) == 0
        # they change nothing
        assert start(url, "--plan").wait(60) == 0
        assert start(url, "--check").wait(60) == 1
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Applying orthancproxy.0001_uploads... OK" in output
    assert tables(url) > 20


def test_lock_of_a_killed_migration_is_free(url: str) -> None:
    with locked(url):
        killed = start(url)
        assert killed.stdout
        assert killed.stdout.readline() == WAITING
    assert killed.stdout.readline()
    killed.kill()
    killed.communicate()
    again = start(url)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors


def test_lock_file_is_not_readable_by_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert start(f"sqlite:///{tmp_path}/gateway.sqlite3", "contenttypes").wait(60) == 0
    assert stat.S_IMODE((tmp_path / f"gateway.sqlite3{FILE_SUFFIX}").stat().st_mode) == 0o600
