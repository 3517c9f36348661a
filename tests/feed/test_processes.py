"""Several processes with one database have one log: all see the same changes in the same order."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import make_database

CHECKOUT = Path(__file__).resolve().parents[2]
THREADS, APPENDS = 3, 8
SCRIPT = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
import django
django.setup()
import json, threading
from concurrent.futures import ThreadPoolExecutor
from django.db import connection, connections
from orthancproxy.archive.levels import Level
from orthancproxy.feed.log import Change, Kind, change_log
from orthancproxy.feed.tail import tail

name, threads, appends, expected = sys.argv[1], *map(int, sys.argv[2:])
seen, enough = [], threading.Event()

def listener(changes):
    seen.extend([one.cursor, one.change.orthanc_id] for one in changes)
    if len(seen) >= expected:
        enough.set()

def append(thread):
    for number in range(appends):
        # one that many append, and is logged once
        change_log.removed(Level.STUDY, [f"{name} {thread} {number}", f"deleted {number}"])
    connections.close_all()

tail.listen(listener)
print("ready", flush=True)
sys.stdin.readline()
if connection.vendor == "postgresql":
    # an outage of a moment
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'")
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(append, range(threads)))
assert enough.wait(30), len(seen)
print(json.dumps(seen), flush=True)
"""


@contextmanager
def process(environment: dict[str, str], name: str, expected: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that appends in three threads, and listens until it has seen so many changes."""
    command, pipe = [sys.executable, "-c", SCRIPT, name, *map(str, (THREADS, APPENDS, expected))], subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=pipe, stdout=pipe, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_processes_see_the_same_changes_in_the_same_order(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgresql") if database == "postgresql" else ""
    environment = {"PATH": os.environ["PATH"], "DJANGO_DATA_DIR": str(tmp_path), "DATABASE_URL": url}
    make_database(environment)
    expected = 2 * THREADS * APPENDS + APPENDS
    with process(environment, "first", expected) as first, process(environment, "second", expected) as second:
        assert [one.stdout.readline() for one in (first, second) if one.stdout] == ["ready\n"] * 2
        for one in (first, second):
            assert one.stdin
            one.stdin.write("\n")
            one.stdin.flush()
        seen = [json.loads(one.stdout.readline()) for one in (first, second) if one.stdout]
    assert seen[0] == seen[1]
    cursors, ids = zip(*seen[0], strict=True)
    assert list(cursors) == sorted(set(cursors))
    appended = {f"{name} {a} {b}" for name in ("first", "second") for a in range(THREADS) for b in range(APPENDS)}
    assert sorted(ids) == sorted(appended | {f"deleted {number}" for number in range(APPENDS)})
