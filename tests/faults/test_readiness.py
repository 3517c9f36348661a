"""`/readyz` of a gateway as it is deployed answers within two seconds, whatever hangs."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.faults.fault_client import Ending, Scene, send
from tests.faults.test_database import locked
from tests.faults.test_orthanc import hanging
from tests.postgresql import run_postgresql
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

MAX_SECONDS = 3  # 2 and what a busy machine adds
WELL = {"database": "ok", "migrations": "ok", "archive": "ok", "index": "ready"}
HANGING_DATABASE = {"database": "timeout", "migrations": "unknown"}
PROBES = 8  # at once, of more than a pool of threads has


@pytest.fixture(scope="module")
def patient_scene(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway with the default timeouts: 30 s for Orthanc, 20 s for the database."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with serving(orthanc.base_url, folder) as gateway:
        yield Scene(orthanc, gateway, folder)


@pytest.mark.parametrize(
    ("hangs", "check", "message", "parts"),
    [
        (lambda scene: hanging(scene.orthanc), "orthanc", "Orthanc did not answer in time.", {"archive": "timeout"}),
        # SQLite is still read
        (lambda scene: locked(scene.folder), "database", "The database did not answer in time.", HANGING_DATABASE),
    ],
    ids=["Orthanc", "database"],
)
def test_readyz_names_what_hangs(
    patient_scene: Scene,
    hangs: Callable[[Scene], AbstractContextManager[None]],
    check: str,
    message: str,
    parts: Mapping[str, str],
) -> None:
    port = patient_scene.gateway.port
    # the first answers are about a gateway that starts
    wait_until(lambda: send(port, "GET", "/readyz").is_well)
    assert send(port, "GET", "/readyz").json["checks"] == {"orthanc": "ok", "database": "ok"}
    with hangs(patient_scene):
        for _ in range(3):
            started = time.monotonic()
            answer = send(port, "GET", "/readyz")
            assert time.monotonic() - started < MAX_SECONDS
            assert answer.status == 503
            assert answer.json["checks"] == {"orthanc": "ok", "database": "ok", check: message}
            assert {**answer.json["parts"], "index": ""} == {**WELL, **parts, "index": ""}
            assert send(port, "GET", "/livez", timeout=3).is_well
    wait_until(lambda: send(port, "GET", "/readyz").is_well)


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGQUIT], ids=["stopped", "ended"])
def test_readyz_names_a_postgresql_that_hangs_or_is_gone(
    orthanc: LocalOrthanc, tmp_path: Path, fault: signal.Signals
) -> None:
    with run_postgresql() as url, serving(orthanc.base_url, tmp_path, settings={"DATABASE_URL": url}) as gateway:
        port = gateway.port
        wait_until(lambda: send(port, "GET", "/readyz").is_well)
        with signalled(url, fault), ThreadPoolExecutor(PROBES) as pool:
            for _ in range(3):
                for answer, seconds in pool.map(timed_probe, [port] * PROBES):
                    assert seconds < MAX_SECONDS
                    assert answer.status == 503
                    # the archive is still known to be well, however many checks hang
                    parts = answer.json["parts"]
                    assert (parts["archive"], parts["migrations"]) == ("ok", "unknown")
                    assert parts["database"] in {signal.SIGSTOP: ("timeout",)}.get(fault, ("timeout", "unavailable"))
                    assert parts["index"] in ("timeout", "unavailable", "off")
                    assert "127.0.0.1" not in str(answer.json)
        if fault is signal.SIGSTOP:
            wait_until(lambda: send(port, "GET", "/readyz").is_well)


def timed_probe(port: int) -> tuple[Ending, float]:
    started = time.monotonic()
    return send(port, "GET", "/readyz"), time.monotonic() - started


@contextmanager
def signalled(url: str, sent: signal.Signals) -> Iterator[None]:
    """Send a signal to all processes of a PostgreSQL, which continue after the block if it stopped them."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row
    main = int(Path(row[0], "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    processes = [main, *map(int, children)]
    signal_all(processes, sent)
    try:
        yield
    finally:
        if sent is signal.SIGSTOP:
            signal_all(processes, signal.SIGCONT)


def signal_all(processes: Iterable[int], sent: signal.Signals) -> None:
    """Send a signal to processes, of which some may have ended by themselves."""
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, sent)
