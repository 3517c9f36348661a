"""The SQLite file and those beside it can be read by their owner only, wherever they are."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection, connect

import pytest

from orthancproxy.project.environment import Environment

FILES = {"gateway.sqlite3", "gateway.sqlite3-wal", "gateway.sqlite3-shm"}


@pytest.fixture(params=[0o022, 0o002, 0o000], ids=oct, autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The files do not depend on what the process that makes them was started with."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


@pytest.mark.parametrize("mode", [None, 0o644, 0o666, 0o660])
@pytest.mark.parametrize("own_url", [True, False])
def test_database_file_in_an_existing_folder_is_readable_by_its_owner_only(
    tmp_path: Path, mode: int | None, own_url: bool
) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "gateway.sqlite3"
    if mode is not None:
        file.touch()
        file.chmod(mode)
    environment = Environment({})
    environment.database(f"sqlite:///{file}" if own_url else "", tmp_path)
    with closing(connect(file)) as database:
        write(database)
        assert modes(tmp_path) == dict.fromkeys(FILES, "0o600")
    assert environment.problems == []


def test_files_that_an_earlier_version_left_open_to_its_group_are_closed(tmp_path: Path) -> None:
    file = tmp_path / "gateway.sqlite3"
    file.touch()
    file.chmod(0o660)
    with closing(connect(file)) as database:
        write(database)
        assert modes(tmp_path) == dict.fromkeys(FILES, "0o660")
        # while another process has them open
        Environment({}).database("", tmp_path)
        assert modes(tmp_path) == dict.fromkeys(FILES, "0o600")


def write(database: Connection) -> None:
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE tried (x)")
