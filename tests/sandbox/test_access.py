"""Whom `manage.py sandbox` lets in: everybody, and on this machine only."""

from pathlib import Path

import pytest
import requests

from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.sandbox.test_command import run, sandbox

QUERY = {"query": "{ viewer { actions } }"}


@pytest.fixture(scope="module")
def orthanc(archive: LocalOrthanc) -> LocalOrthanc:
    return archive


def actions(port: int) -> list[str]:
    answer = requests.post(f"http://127.0.0.1:{port}/graphql/", json=QUERY, timeout=10)
    found: list[str] = answer.json()["data"]["viewer"]["actions"]
    return found


@pytest.mark.live
@pytest.mark.once
class TestOnLoopback:
    def test_everybody_may_do_everything_and_is_told_so(self, tmp_path: Path, orthanc: LocalOrthanc) -> None:
        port = free_port()
        with sandbox(tmp_path, port, ORTHANC_BASE_URL=orthanc.base_url) as (_, printed):
            assert "Everybody on this machine may do everything" in printed
            assert actions(port) == ["VIEW", "DOWNLOAD", "UPLOAD", "DELETE", "VIEW_AUDIT"]

    @pytest.mark.parametrize(("given", "expected"), [("", []), ("view,download", ["VIEW", "DOWNLOAD"])])
    def test_the_environment_may_say_otherwise(
        self, tmp_path: Path, orthanc: LocalOrthanc, given: str, expected: list[str]
    ) -> None:
        port = free_port()
        more = {"ORTHANC_BASE_URL": orthanc.base_url, "ORTHANC_ANONYMOUS_ACTIONS": given}
        with sandbox(tmp_path, port, **more) as (_, printed):
            assert "Everybody" not in printed
            assert actions(port) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - it is refused
def test_other_machines_are_not_let_in_by_default(tmp_path: Path, host: str) -> None:
    ended = run(tmp_path, free_port(), HOST=host, ORTHANC_BASE_URL="http://127.0.0.1:9")
    assert ended.returncode == 1
    assert "ORTHANC_ANONYMOUS_ACTIONS" in ended.stderr
    assert not (tmp_path / "gateway.sqlite3").exists()
