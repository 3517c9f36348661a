"""A local Orthanc starts, stops, crashes and restarts on the same port, and never outlives its parent."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from orthancproxy.sandbox.orthanc import (
    INDEXED_INSTANCE_TAGS,
    Installation,
    LocalOrthanc,
    SandboxError,
    free_port,
)
from tests.processes import has_ended
from tests.waiting import wait_until

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).parents[2]


def get(orthanc: LocalOrthanc, path: str) -> dict[str, object]:
    answer = requests.get(orthanc.base_url + path, headers=orthanc.headers, timeout=5)
    answer.raise_for_status()
    content: dict[str, object] = answer.json()
    return content


def fail_while_running(orthanc: LocalOrthanc) -> None:
    assert orthanc.is_running
    raise ZeroDivisionError


@pytest.fixture
def orthanc() -> Iterator[LocalOrthanc]:
    with LocalOrthanc() as running:
        yield running


@pytest.mark.live
class TestLife:
    def test_orthanc_responds_once_it_is_started(self, orthanc: LocalOrthanc) -> None:
        assert get(orthanc, "/system")["Version"] == orthanc.version
        assert get(orthanc, "/statistics")["CountInstances"] == 0

    def test_process_and_folder_are_removed_after_the_with_block(self) -> None:
        with LocalOrthanc() as orthanc:
            pid = orthanc.pid
        assert pid is not None
        assert has_ended(pid)
        assert not orthanc.folder.exists()
        with pytest.raises(requests.ConnectionError):
            get(orthanc, "/system")

    def test_process_and_folder_are_removed_if_the_with_block_raises(self) -> None:
        orthanc = LocalOrthanc()
        with pytest.raises(ZeroDivisionError), orthanc:
            fail_while_running(orthanc)
        assert not orthanc.is_running
        assert not orthanc.folder.exists()

    @pytest.mark.parametrize("end", [LocalOrthanc.stop, LocalOrthanc.kill])
    def test_restarts_on_the_same_port_with_its_instances(self, orthanc: LocalOrthanc, end: object) -> None:
        assert callable(end)
        tags = {"Tags": {"PatientID": "kept"}}
        requests.post(f"{orthanc.base_url}/tools/create-dicom", json=tags, timeout=5).raise_for_status()
        port, pid = orthanc.port, orthanc.pid
        end(orthanc)
        assert not orthanc.is_running
        orthanc.start()
        assert orthanc.port == port
        assert orthanc.pid != pid
        assert get(orthanc, "/statistics")["CountInstances"] == 1

    def test_a_given_folder_is_kept_and_reused(self, tmp_path: Path) -> None:
        with LocalOrthanc(tmp_path) as first:
            pass
        assert first.log_file.exists()
        with LocalOrthanc(tmp_path) as second:
            assert second.folder == first.folder
        shutil.rmtree(first.folder)  # with ORTHANC_ROOT it is not inside tmp_path

    def test_start_does_nothing_if_orthanc_runs(self, orthanc: LocalOrthanc) -> None:
        pid = orthanc.pid
        orthanc.start()
        assert orthanc.pid == pid


@pytest.mark.live
class TestConfiguration:
    def test_users_turn_authentication_on(self) -> None:
        with LocalOrthanc(users={"reader": "secret"}) as orthanc:
            assert requests.get(f"{orthanc.base_url}/system", timeout=5).status_code == 401
            assert get(orthanc, "/system")["Version"] == orthanc.version

    def test_configuration_overrides_entries(self) -> None:
        with LocalOrthanc(configuration={"Name": "another"}) as orthanc:
            assert get(orthanc, "/system")["Name"] == "another"

    def test_instance_tags_are_indexed_since_orthanc_1_11(self) -> None:
        with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc:
            system = get(orthanc, "/system")
            assert "useless" not in orthanc.log_file.read_text()
        if "MainDicomTags" in system:  # since 1.11
            assert "0028,0010" in str(system["MainDicomTags"])

    def test_a_verbose_log_contains_the_requests(self) -> None:
        with LocalOrthanc(verbose=True) as orthanc:
            get(orthanc, "/statistics")
            assert "/statistics" in orthanc.log_file.read_text()

    def test_a_failing_start_shows_the_log_and_removes_the_folder(self) -> None:
        orthanc = LocalOrthanc(configuration={"HttpPort": "not a number"})
        with pytest.raises(SandboxError, match="HttpPort"), orthanc:
            pass
        assert not orthanc.is_running
        assert not orthanc.folder.exists()


@pytest.mark.live
def test_orthanc_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import time
        from orthancproxy.sandbox.orthanc import LocalOrthanc
        with LocalOrthanc() as orthanc:
            print(orthanc.pid, orthanc.folder, flush=True)
            time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert parent.stdout
    number, folder = parent.stdout.readline().split()
    pid = int(number)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: has_ended(pid))
    shutil.rmtree(folder)


def test_only_an_orthanc_in_another_root_gets_no_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert Installation("/usr/sbin/Orthanc").environment()["TMPDIR"] == str(tmp_path)
    assert "TMPDIR" not in Installation("/usr/sbin/Orthanc", tmp_path).environment()


def test_a_missing_orthanc_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORTHANC_ROOT", raising=False)
    monkeypatch.delenv("ORTHANC_BIN", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SandboxError, match="apt-get install orthanc"):
        Installation.find()


@pytest.mark.parametrize("variable", ["ORTHANC_ROOT", "ORTHANC_BIN"])
def test_an_invalid_location_is_an_error(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORTHANC_ROOT", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(SandboxError, match=str(tmp_path)):
        Installation.find()


def test_a_free_port_is_given_to_nobody_before_its_server_listens() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="already in use"):
        # whether the kernel would give it to somebody who asks for any port
        other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for address in ("", "127.0.0.1"):
        with socket.create_server((address, port)):
            socket.create_connection(("127.0.0.1", port)).close()
