"""The gateway's own database is locked, on a full disk, or gone: nothing is disclosed that cannot be audited."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import START_TIMEOUT_SECONDS, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.faults.conftest import IMPATIENT
from tests.faults.disks import filled, small_disk
from tests.faults.fault_client import NESTED, REQUESTS, Ending, Scene, graphql, rest, send, upload
from tests.faults.outcome_checks import check_typed
from tests.postgresql import run_postgresql
from tests.tcp_proxy import WELL, TCPFault, TCPProxy
from tests.uploads.upload_client import REST, found, slices

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

UNAVAILABLE = {"GATEWAY_UNAVAILABLE"}
LOCK_TIMEOUT = 2  # seconds, for which SQLite waits: ten times as long where nobody says so
DELETE = """mutation($id: ID!) {
    deleteInstance(orthancId: $id) { instancesCount remainingAncestor { ... on Series { orthancId } } } }"""


@pytest.fixture(scope="module")
def scene(orthanc: LocalOrthanc, running_proxy: TCPProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The gateway, with its database on a small disk."""
    with small_disk(tmp_path_factory.mktemp("small"), megabytes=16) as folder:
        url = f"sqlite:///{folder}/data/gateway.sqlite3?timeout={LOCK_TIMEOUT}"
        with serving(running_proxy.base_url, folder, settings={**IMPATIENT, "DATABASE_URL": url}) as gateway:
            scene = Scene(orthanc, gateway, folder)
            scene.fill()
            # the first request waits for the migrations
            scene.check_serving(START_TIMEOUT_SECONDS)
            yield scene


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive transaction, so that nothing else can write."""
    with closing(sqlite3.connect(folder / "data" / "gateway.sqlite3", isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("fault", [locked, filled])
def test_requests_fail_and_change_nothing_while_the_database_is_locked_or_full(
    scene: Scene, fault: Callable[[Path], AbstractContextManager[None]]
) -> None:
    names = {what: f"{what} {fault.__name__}" for what in REQUESTS}
    for what, request in REQUESTS.items():
        if request.deletes:
            scene.stored_patient(names[what])
    before = scene.count()
    port = scene.gateway.port
    with fault(scene.folder), ThreadPoolExecutor(len(REQUESTS)) as pool:
        sent = {what: pool.submit(request.send, port, scene, names[what]) for what, request in REQUESTS.items()}
        assert send(port, "GET", "/livez", timeout=1).is_well
        endings: dict[str, Ending] = {what: one.result() for what, one in sent.items()}
        readiness = send(port, "GET", "/readyz")
    scene.check_serving()
    assert scene.count() == before
    for what, ending in endings.items():
        assert ending.status, what
        assert not ending.is_well, what
        check_typed(ending, REQUESTS[what], UNAVAILABLE)
        assert scene.audit(ending.request_id) == []
    if fault is locked:
        assert readiness.status == 503
        assert readiness.json["checks"] == {"orthanc": "ok", "database": "The database did not answer in time."}


def test_upload_resumes_after_the_database_was_locked_while_files_were_stored(scene: Scene) -> None:
    """The answer reports no more than is stored; sending the files again reports all of them."""
    files = slices(300)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(upload, scene.gateway.port, REST(), "half", files)
        while not scene.instances_of("half"):
            assert not sent.done()
            time.sleep(0.01)
        with locked(scene.folder):
            ending = sent.result()
    assert (ending.status, ending.code) == (503, "GATEWAY_UNAVAILABLE")
    assert ending.json["detail"].endswith("send them again with the key half.")
    scene.check_serving()
    [intention] = scene.audit(ending.request_id)
    assert intention.outcome == "INTENDED"
    assert upload(scene.gateway.port, REST(), "half", files).reported == len(files)
    assert scene.instances_of("half") == len(files)


@pytest.mark.parametrize("way", ["GraphQL", "REST"])
def test_deletion_is_reported_though_the_database_is_locked_when_it_ends(
    scene: Scene, upstream: TCPProxy, way: str
) -> None:
    """The answer reports the deletion, without the fields that need the database; the audit has the intention."""
    scene.stored_patient(way)
    instance = found(scene.orthanc, "Instance", PatientID=way)[0]["ID"]
    upstream.suffer(TCPFault(on=b"DELETE /", holds=True))
    with ThreadPoolExecutor(1) as pool:
        port = scene.gateway.port
        if way == "GraphQL":
            sent = pool.submit(graphql, port, DELETE, id=instance)
        else:
            sent = pool.submit(rest, port, f"instances/{instance}/", "DELETE")
        assert upstream.met.wait(10)
        with locked(scene.folder):
            upstream.suffer(WELL)
            ending = sent.result()
    assert ending.status == 200
    if way == "GraphQL":
        assert ending.json["data"]["deleteInstance"] == {"instancesCount": 1, "remainingAncestor": None}
        [error] = ending.json["errors"]
        assert error["path"] == ["deleteInstance", "remainingAncestor"]
        assert error["extensions"]["code"] == "GATEWAY_UNAVAILABLE"
    else:
        assert ending.json["instancesCount"] == 1
    assert [row.outcome for row in scene.audit(ending.request_id)] == ["INTENDED"]
    assert scene.instances_of(way) == 1
    scene.check_serving()


def test_gateway_recovers_when_its_postgresql_was_gone(orthanc: LocalOrthanc, scene: Scene, tmp_path: Path) -> None:
    with run_postgresql() as url, TCPProxy(int(url.rpartition("/")[0].rpartition(":")[2])) as proxy:
        url = f"postgres://gateway@127.0.0.1:{proxy.port}/postgres"
        with serving(orthanc.base_url, tmp_path, settings={**IMPATIENT, "DATABASE_URL": url}) as gateway:
            other = Scene(orthanc, gateway, tmp_path, large=scene.large)
            other.check_serving(START_TIMEOUT_SECONDS)
            # sessions are not well after this, and there are no new ones
            proxy.suffer(TCPFault(direction="up", after=0, then="rst"))
            with ThreadPoolExecutor(2) as pool:
                sent = [
                    pool.submit(graphql, gateway.port, NESTED),
                    pool.submit(rest, gateway.port, f"patients/{scene.stored_patient('gone')}/", "DELETE"),
                ]
                assert proxy.met.wait(10)
                proxy.suffer(WELL)
                for ending in [one.result() for one in sent]:
                    assert ending.is_well or ending.code == "GATEWAY_UNAVAILABLE", ending
            other.check_serving()
