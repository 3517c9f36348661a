"""`manage.py sandbox` serves, prints its URLs, and cleans up."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from orthancproxy.orthanc.sqlite_index import tune
from orthancproxy.sandbox.orthanc import Installation, LocalOrthanc, free_port
from orthancproxy.sandbox.studies import INSTANCES_COUNT
from tests.corpus import instance, load
from tests.waiting import wait_until

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).parents[2]
TIMEOUT = 90  # seconds


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # with ORTHANC_ROOT, Orthanc's data are not inside tmp_path
    shutil.rmtree(Installation.find().make_folder(tmp_path / "orthanc"))


def environment(data: Path, port: int, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "ORTHANC_BASE_URL"}
    # the port of the test
    return {**inherited, "DJANGO_DATA_DIR": str(data), "HOST": "127.0.0.1", "PORT": str(port), **more}


@contextmanager
def sandbox(data: Path, port: int, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run it; yield the process and its output once it is ready."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "sandbox"],
        cwd=REPOSITORY,
        env=environment(data, port, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process, printed_until_ready(process)
        finally:
            process.kill()


def printed_until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("Press Ctrl-C"):
            return printed
    raise AssertionError(f"it ended before it was ready:\n{printed}")


def run(data: Path, port: int, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one that ends without a signal."""
    return subprocess.run(
        [sys.executable, "manage.py", "sandbox"],
        cwd=REPOSITORY,
        env=environment(data, port, **more),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.live
@pytest.mark.once
def test_the_sandbox_serves_sample_studies_until_ctrl_c_and_closes_its_ports(data: Path) -> None:
    port = free_port()
    with sandbox(data, port) as (process, printed):
        gateway = f"http://127.0.0.1:{port}"
        assert f"{gateway}/graphql/" in printed
        assert f"{gateway}/api/orthanc/docs/" in printed
        assert f"{gateway}/dicom-web/docs/\n" in printed
        where = re.search(r"Orthanc +(http://127\.0\.0\.1:(\d+))\n", printed)
        assert where
        assert requests.get(f"{gateway}/livez", timeout=10).status_code == 200
        statistics = requests.get(f"{where[1]}/statistics", timeout=10).json()
        assert statistics["CountInstances"] == INSTANCES_COUNT

        second = run(data, free_port())
        assert second.returncode != 0
        assert len(second.stderr.splitlines()) == 1
        assert str(data) in second.stderr

        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0
        assert "Traceback" not in output
        assert not is_open(port)
        assert not is_open(int(where[2]))
        assert not tune(LocalOrthanc(data / "orthanc").index_file), "the index has its statistics already"


@pytest.mark.live
@pytest.mark.once
def test_the_sandbox_ends_when_its_orthanc_ends(data: Path) -> None:
    port = free_port()
    with LocalOrthanc(data / "orthanc") as orthanc:
        # no samples are loaded into an Orthanc with instances
        load(orthanc, [instance()])
    with sandbox(data, port) as (process, printed):
        where = re.search(r"Orthanc +(http://\S+)\n", printed)
        assert where
        requests.post(f"{where[1]}/tools/shutdown", timeout=10)
        output, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode != 0
        said = re.fullmatch(r"CommandError: Orthanc has ended: see (.*)", output.splitlines()[-1])
        assert said
        assert Path(said[1]).is_file()
        assert not is_open(port)


@pytest.mark.live
@pytest.mark.once
def test_an_orthanc_from_the_environment_is_used_unchanged(tmp_path: Path) -> None:
    port = free_port()
    with LocalOrthanc() as orthanc:
        with sandbox(tmp_path, port, ORTHANC_BASE_URL=orthanc.base_url) as (process, printed):
            assert orthanc.base_url in printed
            assert "Loading" not in printed
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0
            assert not is_open(port)
        assert requests.get(f"{orthanc.base_url}/patients", timeout=10).json() == []
    assert not (tmp_path / "orthanc").exists()


@pytest.mark.live
@pytest.mark.once
def test_a_killed_sandbox_leaves_no_port_open(tmp_path: Path) -> None:
    port = free_port()
    with (
        LocalOrthanc() as orthanc,
        sandbox(tmp_path, port, ORTHANC_BASE_URL=orthanc.base_url) as (process, _),
    ):
        process.kill()
        wait_until(lambda: not is_open(port))


def test_a_port_in_use_is_an_error_of_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(tmp_path, port)
    assert result.returncode != 0
    assert len(result.stderr.splitlines()) == 1
    assert str(port) in result.stderr


@pytest.mark.parametrize("port", ["65536", "http"])
def test_an_invalid_port_is_an_error_of_one_line(port: str, tmp_path: Path) -> None:
    result = run(tmp_path, 0, PORT=port)
    assert result.returncode != 0
    assert result.stderr.splitlines() == [f"CommandError: PORT must be a port number, not {port!r}."]
