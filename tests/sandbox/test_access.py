"""`manage.py sandbox` gives anonymous callers every permission, on this machine only."""

from pathlib import Path

import pytest
import requests

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.sandbox.test_command import run, sandbox

pytestmark = pytest.mark.long

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
    def test_anonymous_callers_have_every_permission_that_they_can_and_the_sandbox_prints_so(
        self, tmp_path: Path, orthanc: LocalOrthanc
    ) -> None:
        port = free_port()
        with sandbox(tmp_path, port, ORTHANC_BASE_URL=orthanc.base_url) as (_, printed):
            assert "All users of this machine may do all that needs no name" in printed
            assert "manage.py createsuperuser" in printed
            assert actions(port) == [action.name for action in Action if action in FOR_ANYONE]

    @pytest.mark.parametrize(("given", "expected"), [("", []), ("view,download", ["VIEW", "DOWNLOAD"])])
    def test_the_environment_overrides_the_permissions(
        self, tmp_path: Path, orthanc: LocalOrthanc, given: str, expected: list[str]
    ) -> None:
        port = free_port()
        more = {"ORTHANC_BASE_URL": orthanc.base_url, "ORTHANC_ANONYMOUS_ACTIONS": given}
        with sandbox(tmp_path, port, **more) as (_, printed):
            assert "may do all" not in printed
            assert actions(port) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - it is rejected
def test_the_sandbox_does_not_listen_for_other_machines_without_explicit_permissions(tmp_path: Path, host: str) -> None:
    ended = run(tmp_path, free_port(), HOST=host, ORTHANC_BASE_URL="http://127.0.0.1:9")
    assert ended.returncode == 1
    assert "ORTHANC_ANONYMOUS_ACTIONS" in ended.stderr
    # the settings make the file; nothing is migrated
    assert (tmp_path / "gateway.sqlite3").stat().st_size == 0
