"""Statistics in the SQLite index of a real Orthanc, which must stay an Orthanc's index."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from orthancproxy.orthanc.sqlite_index import STATISTICS, IndexNotTunable, tune, untune
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import hierarchy, load
from tests.orthancs import StartOrthanc

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc()
    load(orthanc, hierarchy(patients=1))
    return orthanc


@pytest.fixture(scope="module")
def pristine(orthanc: LocalOrthanc) -> Path:
    """The index of an Orthanc that was stopped."""
    orthanc.stop()
    copy = orthanc.folder / "pristine"
    shutil.copy(orthanc.index_file, copy)
    return copy


@pytest.fixture
def index(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(pristine, tmp_path / "index"))


def schema(index: Path) -> set[str]:
    with closing(sqlite3.connect(index)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}


def tuned(index: Path) -> set[tuple[str, str, str]]:
    """The statistics for the indexes that this version of Orthanc has."""
    names = schema(index)
    return {(table, name, numbers) for (table, name), numbers in STATISTICS.items() if name in names}


def statistics(index: Path) -> set[tuple[str, str, str]]:
    with closing(sqlite3.connect(index)) as connection:
        return set(connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1"))


def test_tuning_is_idempotent_and_undone(index: Path) -> None:
    before = schema(index)
    assert {table for table, _, _ in tuned(index)} >= {"Resources", "MainDicomTags", "Metadata"}

    assert tune(index)
    assert statistics(index) == tuned(index)
    assert not tune(index)
    assert statistics(index) == tuned(index)

    assert untune(index)
    assert schema(index) == before
    assert not untune(index)


def test_gathered_statistics_are_replaced(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("ANALYZE")

    assert tune(index)

    assert statistics(index) == tuned(index)


def test_an_index_in_use_is_rejected_and_left_alone(orthanc: LocalOrthanc, pristine: Path) -> None:
    orthanc.start()
    index = orthanc.index_file
    try:
        for change in (tune, untune):
            with pytest.raises(IndexNotTunable, match="stop Orthanc"):
                change(index)
    finally:
        orthanc.stop()
    assert "sqlite_stat1" not in schema(index)


def test_orthanc_serves_and_stores_after_tuning_and_after_a_crash(orthanc: LocalOrthanc, pristine: Path) -> None:
    index = orthanc.index_file
    orthanc.start()
    load(orthanc, hierarchy(patients=2))
    # leaves its journal behind
    orthanc.kill()

    assert tune(index)

    orthanc.start()
    load(orthanc, hierarchy(patients=3))
    orthanc.stop()
    assert statistics(index) == tuned(index)
    with closing(sqlite3.connect(index)) as connection:
        [(patients,)] = connection.execute("SELECT count(*) FROM Resources WHERE resourceType = 1")
    assert patients == 3


def test_another_reader_of_the_file_counts_as_use(index: Path) -> None:
    with closing(sqlite3.connect(index, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM Resources").fetchone()
        with pytest.raises(IndexNotTunable, match="in use"):
            tune(index)


@pytest.mark.once
def test_other_files_are_rejected(index: Path, tmp_path: Path) -> None:
    other = tmp_path / "other?&#.sqlite3"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE Resources (internalId INTEGER)")
        connection.commit()
    text = tmp_path / "text"
    text.write_text("not a database" * 100)
    newer = Path(shutil.copy(index, tmp_path / "newer"))
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("UPDATE GlobalProperties SET value = '7' WHERE property = 1")
        connection.commit()

    for path in (other, text, newer, tmp_path, tmp_path / "absent"):
        with pytest.raises(IndexNotTunable):
            tune(path)
    assert not (tmp_path / "absent").exists()
    assert schema(other) == {"Resources"}


@pytest.mark.once
def test_a_killed_tuning_leaves_the_index_as_it_was(index: Path) -> None:
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("ANALYZE")
    before = statistics(index)
    program = """
import os, sys
from pathlib import Path
from orthancproxy.orthanc.sqlite_index import tune

def kill_at_insertion(frame, event, called):
    if event == "c_call" and called.__name__ == "executemany":
        os.kill(os.getpid(), 9)

sys.setprofile(kill_at_insertion)
tune(Path(sys.argv[1]))
"""
    assert subprocess.run([sys.executable, "-c", program, str(index)]).returncode == -9

    assert statistics(index) == before
    assert tune(index)


@pytest.mark.once
def test_command_says_what_it_did(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        call_command("tune_orthanc_index", str(index), *arguments)
        return capsys.readouterr().out

    assert "added the statistics" in run()
    assert "nothing to do" in run()
    assert "removed all statistics" in run("--undo")
    assert "nothing to do" in run("--undo")
    with pytest.raises(CommandError, match="is not a file"):
        call_command("tune_orthanc_index", str(index.parent))
