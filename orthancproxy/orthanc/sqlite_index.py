"""Statistics for the query planner in Orthanc's SQLite index, in which Orthanc keeps none.

Without them, SQLite finds the study with one id among all studies, and the instances of a study among all instances.
docs/orthanc.md has the plans and the measurements.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

_SCHEMA_VERSION = "6"  # of Orthanc 0.9.5 to 1.13.0
_ROWS = 10**9
# Number of rows, then of rows with the same first column, first two columns, … The sizes are not those of any archive:
# only tables that seem this large are never scanned to count children or to gather the values of their tags.
STATISTICS = {
    ("Resources", "ResourceTypeIndex"): f"{_ROWS} {_ROWS // 4}",
    ("MainDicomTags", "sqlite_autoindex_MainDicomTags_1"): f"{10 * _ROWS} 8 1 1",
    ("Metadata", "sqlite_autoindex_Metadata_1"): f"{10 * _ROWS} 6 1",
    # on (tagGroup, tagElement): that a value is more selective matters before Orthanc 1.13
    ("DicomIdentifiers", "DicomIdentifiersIndex2"): f"{_ROWS} {_ROWS // 10} {_ROWS // 10}",
}


class IndexNotTunable(Exception):
    """The file is not the SQLite index of an Orthanc that is stopped; the message is for the user."""


def tune(path: Path) -> bool:
    """Replace all statistics in an index by STATISTICS. Return whether that changes anything.

    It is one transaction, which a kill undoes. Raises IndexNotTunable.
    """
    with _exclusive(path) as index:
        indexes = {tuple(row) for row in index.execute("SELECT tbl_name, name FROM sqlite_schema WHERE type = 'index'")}
        wanted = {(*which, numbers) for which, numbers in STATISTICS.items() if which in indexes}
        if _statistics(index) == wanted:
            return False
        _drop_statistics(index)
        # creates the table of statistics, in no time: this table has a few rows
        index.execute("ANALYZE GlobalProperties")
        index.execute("DELETE FROM sqlite_stat1")
        index.executemany("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", sorted(wanted))
        return True


def untune(path: Path) -> bool:
    """Remove all statistics from an index. Return whether there are any. Raises IndexNotTunable."""
    with _exclusive(path) as index:
        has_statistics = bool(_statistics(index))
        _drop_statistics(index)
        return has_statistics


@contextmanager
def _exclusive(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an index that no other process uses, for one transaction."""
    if not path.is_file():
        raise IndexNotTunable(f"{path} is not a file.")
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=0, isolation_level=None)
        ) as index:
            # an idle Orthanc holds a lock that excludes this one only
            index.execute("PRAGMA locking_mode = EXCLUSIVE")
            index.execute("BEGIN EXCLUSIVE")
            _check(index, path)
            yield index
            index.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise IndexNotTunable(f"{path} is in use: stop Orthanc first.") from None
        raise IndexNotTunable(f"{path} cannot be changed: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise IndexNotTunable(f"{path} is not an Orthanc index: {error}.") from error


def _check(index: sqlite3.Connection, path: Path) -> None:
    tables = {name for (name,) in index.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables.issuperset({"GlobalProperties", *(table for table, _ in STATISTICS)}):
        raise IndexNotTunable(f"{path} is not an Orthanc index: it lacks tables of one.")
    row = index.execute("SELECT value FROM GlobalProperties WHERE property = 1").fetchone()
    if row is None or str(row[0]) != _SCHEMA_VERSION:
        raise IndexNotTunable(f"{path} has another version of Orthanc's database schema than {_SCHEMA_VERSION}.")


def _statistics(index: sqlite3.Connection) -> set[tuple[str, str, str]]:
    if not _has_table(index, "sqlite_stat1"):
        return set()
    return {tuple(row) for row in index.execute("SELECT tbl, idx, stat FROM sqlite_stat1")}


def _drop_statistics(index: sqlite3.Connection) -> None:
    for table in ("sqlite_stat1", "sqlite_stat4"):
        if _has_table(index, table):
            index.execute(f"DROP TABLE {table}")


def _has_table(index: sqlite3.Connection, name: str) -> bool:
    return index.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone() is not None
