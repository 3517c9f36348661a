"""The gateway is killed in the middle of what changes the archive, or has no room for what it is sent."""

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.faults.conftest import IMPATIENT
from tests.faults.disks import small_disk
from tests.faults.fault_client import REQUESTS, Ending, Scene, graphql, rest, upload
from tests.faults.outcome_checks import check_typed
from tests.tcp_proxy import WELL, TCPFault, TCPProxy
from tests.uploads.upload_client import REST, TRANSPORTS, File, found, slices
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

UNFINISHED = "{ auditEvents(filter: {isUnfinished: true}) { nodes { requestId event counts } } }"
STATE = "{ uploads { nodes { uploadKey state uploaded } } }"


@contextmanager
def started(base_url: str, orthanc: LocalOrthanc, folder: Path, disk: Path) -> Iterator[Scene]:
    with serving(base_url, folder, settings={**IMPATIENT, "TMPDIR": str(disk)}) as gateway:
        yield Scene(orthanc, gateway, folder)


def unfinished(scene: Scene) -> list[str]:
    """Return the ids of the requests whose end the audit does not have."""
    return [
        event["requestId"] for event in graphql(scene.gateway.port, UNFINISHED).json["data"]["auditEvents"]["nodes"]
    ]


def states(scene: Scene) -> dict[str, tuple[str, int]]:
    """Return the state and the number of stored files of each upload, by key."""
    results = graphql(scene.gateway.port, STATE).json["data"]["uploads"]["nodes"]
    return {one["uploadKey"]: (one["state"], one["uploaded"]) for one in results}


def kill(scene: Scene) -> None:
    os.kill(scene.gateway.pid, signal.SIGKILL)


def test_gateway_killed_during_writes_and_with_a_full_spool(
    orthanc: LocalOrthanc, upstream: TCPProxy, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = slices(60)
    folder = tmp_path / "gateway"
    folder.mkdir()
    with small_disk(tmp_path_factory.mktemp("tmp"), megabytes=4) as disk, ThreadPoolExecutor(1) as pool:
        with started(upstream.base_url, orthanc, folder, disk) as scene:
            upstream.suffer(TCPFault(on=b"POST /instances", latency=0.02))
            sent = pool.submit(upload, scene.gateway.port, REST(), "killed", files)
            wait_until(lambda: scene.instances_of("killed") > 10)
            kill(scene)
            broken: Ending = sent.result()
            assert broken.status == 0
            upstream.suffer(WELL)
        there = scene.instances_of("killed")
        assert 10 < there < 60

        with started(upstream.base_url, orthanc, folder, disk) as scene:
            assert unfinished(scene) == [broken.request_id]
            state, known = states(scene)["killed"]
            assert (state, known <= there) == ("UPLOADING", True)
            again = upload(scene.gateway.port, REST(), "killed", files)
            assert (again.status, again.reported) == (200, 60)
            assert again.upload["alreadyStored"] >= there
            assert scene.instances_of("killed") == 60
            assert len(found(orthanc, "Study", PatientID="killed")) == 1
            assert states(scene)["killed"] == ("COMPLETE", 60)

            check_without_room(scene, disk)

            patient = scene.stored_patient("deleted")
            upstream.suffer(TCPFault(on=b"DELETE /", holds=True))
            sent = pool.submit(rest, scene.gateway.port, f"patients/{patient}/", "DELETE")
            assert upstream.met.wait(10)
            kill(scene)
            cut: Ending = sent.result()
            assert cut.status == 0
            upstream.suffer(WELL)

        with started(upstream.base_url, orthanc, folder, disk) as scene:
            assert set(unfinished(scene)) == {broken.request_id, cut.request_id}
            finished = rest(scene.gateway.port, f"patients/{patient}/", "DELETE")
            assert finished.is_well or finished.code == "NOT_FOUND"
            assert scene.instances_of("deleted") == 0


def check_without_room(scene: Scene, disk: Path) -> None:
    """Check that what does not fit on the disk is rejected, and takes no space afterwards."""
    free = shutil.disk_usage(disk).free
    large = [File(os.urandom(1024 * 1024), "ct", f"{number}.dcm") for number in range(6)]
    for transport in TRANSPORTS.values():
        before = scene.count()
        refused = upload(scene.gateway.port, transport(), "too much", large)
        check_typed(refused, REQUESTS["REST upload"], {"INSUFFICIENT_STORAGE"})
        assert refused.code == "INSUFFICIENT_STORAGE"
        assert scene.count() == before
        wait_until(lambda: shutil.disk_usage(disk).free >= free)
        assert upload(scene.gateway.port, transport(), "little", slices(3)).reported == 3
