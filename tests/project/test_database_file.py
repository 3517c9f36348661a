"""The SQLite file and those beside it can be read by their owner and group only, wherever they are."""

import stat
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from orthancproxy.project.environment import Environment


@pytest.mark.parametrize("mode", [None, 0o644, 0o666, 0o660])
@pytest.mark.parametrize("own_url", [True, False])
def test_database_file_in_an_existing_folder_is_not_readable_by_others(
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
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE tried (x)")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes) == {"gateway.sqlite3", "gateway.sqlite3-wal", "gateway.sqlite3-shm"}
    assert not any(found & 0o007 for found in modes.values()), modes
    assert environment.problems == []
