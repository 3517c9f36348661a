"""Orthanc is killed and started again, hangs, or has no room left, in the middle of what it is asked."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.faults.conftest import IMPATIENT
from tests.faults.disks import filled, small_disk
from tests.faults.fault_client import REQUESTS, Scene, upload
from tests.faults.outcome_checks import check_archive, check_audit, check_typed
from tests.tcp_proxy import WELL, TCPFault, TCPProxy
from tests.uploads.upload_client import REST, GraphQL, Transport, slices

pytestmark = [pytest.mark.live, pytest.mark.long]

UNAVAILABLE = {"ARCHIVE_UNAVAILABLE"}


@contextmanager
def killed(orthanc: LocalOrthanc) -> Iterator[None]:
    """Kill it, and start it again on the same port and storage."""
    orthanc.kill()
    yield
    orthanc.start()


@contextmanager
def hanging(orthanc: LocalOrthanc) -> Iterator[None]:
    """Suspend the process, and resume it."""
    assert orthanc.pid
    os.kill(orthanc.pid, signal.SIGSTOP)
    yield
    os.kill(orthanc.pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [killed, hanging])
@pytest.mark.parametrize("what", REQUESTS)
def test_orthanc_killed_or_stopped_in_the_middle_of_a_request(
    scene: Scene, upstream: TCPProxy, what: str, fault: Callable[[LocalOrthanc], Iterator[None]]
) -> None:
    request = REQUESTS[what]
    name = f"{what} {fault.__name__}"
    if request.deletes:
        scene.stored_patient(name)
    before = scene.count()
    # to be there in the middle of it
    upstream.suffer(TCPFault(on=request.on, holds=True))
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(request.send, scene.gateway.port, scene, name)
        assert upstream.met.wait(20)
        with fault(scene.orthanc):  # type: ignore[attr-defined]
            upstream.suffer(WELL)
            ending = sent.result()
    scene.check_serving()
    check_typed(ending, request, UNAVAILABLE)
    assert request.is_download or not ending.is_well or request.uploads
    check_audit(scene.audit(ending.request_id), ending, request)
    check_archive(scene, ending, request, name, before)


def test_orthanc_with_a_full_disk(tmp_path: Path) -> None:
    """Its files and its index are on it."""
    orthanc = LocalOrthanc()
    storage = orthanc.folder / "storage"
    storage.mkdir(exist_ok=True)
    files = slices(20, Rows=256, Columns=256, PixelData=os.urandom(2 * 256 * 256))
    with small_disk(storage, megabytes=24), orthanc, serving(orthanc.base_url, tmp_path, settings=IMPATIENT) as gateway:
        scene = Scene(orthanc, gateway, tmp_path)
        scene.fill()
        transports: tuple[Transport, ...] = REST(), GraphQL()
        for number, transport in enumerate(transports):
            key = f"full {number}"
            with filled(storage, leaving=512 * 1024):
                ending = upload(gateway.port, transport, key, files)
                assert ending.upload, ending
                assert 0 <= ending.reported < len(files)
                check_typed(ending, REQUESTS["REST upload"], UNAVAILABLE)
                check_audit(scene.audit(ending.request_id), ending, REQUESTS["REST upload"])
                assert scene.instances_of(key) == ending.reported
            scene.check_serving()
            assert upload(gateway.port, transport, key, files).reported == len(files)
            assert scene.instances_of(key) == len(files)
