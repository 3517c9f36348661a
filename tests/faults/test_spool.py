"""The disk on which uploads are spooled is full: they are rejected, take no space, and can be sent again."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance
from tests.dicomweb.store_client import RELATED, related
from tests.faults.conftest import IMPATIENT
from tests.faults.disks import filled, small_disk
from tests.faults.fault_client import Ending, Scene, send, upload
from tests.uploads.upload_client import REST, File, GraphQL, zipped
from tests.waiting import wait_until

pytestmark = pytest.mark.live

MIB = 1024 * 1024
COUNT = 3
FREE_BYTES = 3 * MIB
"""Enough for a ZIP, or a deflated file, but not for what is in it."""


def large(key: str, number: int) -> bytes:
    """A file of 2 MiB, which is 0.5 MiB when compressed."""
    pixels = os.urandom(MIB // 2) + bytes(3 * MIB // 2)
    uid = f"1.2.{sum(key.encode())}"
    return instance(
        *(number, 1, 1, number),
        PatientID=key,
        StudyInstanceUID=uid,
        SeriesInstanceUID=f"{uid}.1",
        SOPInstanceUID=f"{uid}.1.{number}",
        Rows=1024,
        Columns=1024,
        PixelData=pixels,
    )


def deflated(content: bytes) -> bytes:
    data_set = dcmread(BytesIO(content))
    data_set.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = BytesIO()
    data_set.save_as(file)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class Way:
    """How files are sent, and the status of the answer if they do not fit."""

    send: Callable[[int, str, list[bytes]], Ending]
    status: int = 507


def by(transport: REST | GraphQL, pack: Callable[[list[bytes]], list[bytes]]) -> Callable[..., Ending]:
    def sent(port: int, key: str, contents: list[bytes]) -> Ending:
        files = [File(content, "ct", f"{number}") for number, content in enumerate(pack(contents))]
        return upload(port, transport, key, files)

    return sent


def plain(contents: list[bytes]) -> list[bytes]:
    return contents


def in_zip(contents: list[bytes]) -> list[bytes]:
    return [zipped({f"{number}.dcm": content for number, content in enumerate(contents)})]


def all_deflated(contents: list[bytes]) -> list[bytes]:
    return [deflated(content) for content in contents]


def by_stow(port: int, key: str, contents: list[bytes]) -> Ending:
    return send(port, "POST", "/dicom-web/studies", related(contents), RELATED)


WAYS = {
    "REST": Way(by(REST(), plain)),
    "GraphQL": Way(by(GraphQL(), plain)),
    "STOW-RS": Way(by_stow),
    "REST, ZIP": Way(by(REST(), in_zip)),
    # errors of a resolver are in a response with status 200
    "GraphQL, ZIP": Way(by(GraphQL(), in_zip), 200),
    "REST, deflated": Way(by(REST(), all_deflated)),
}


@contextmanager
def started(orthanc: LocalOrthanc, folder: Path, disk: Path) -> Iterator[Scene]:
    with serving(orthanc.base_url, folder, settings={**IMPATIENT, "TMPDIR": str(disk)}) as gateway:
        yield Scene(orthanc, gateway, folder)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("spool"), megabytes=32) as folder:
        yield folder


@pytest.fixture(scope="module")
def scene(orthanc: LocalOrthanc, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with started(orthanc, tmp_path_factory.mktemp("gateway"), disk) as scene:
        yield scene


@pytest.mark.parametrize("name", WAYS)
def test_upload_that_does_not_fit_is_rejected_and_can_be_sent_again(scene: Scene, disk: Path, name: str) -> None:
    way, port = WAYS[name], scene.gateway.port
    contents = [large(name, number) for number in range(1, COUNT + 1)]
    with filled(disk, leaving=FREE_BYTES):
        free = shutil.disk_usage(disk).free
        rejected = way.send(port, name, contents)
        assert (rejected.status, rejected.code) == (way.status, "INSUFFICIENT_STORAGE")
        # while the disk is full, so that others can use what was taken
        wait_until(lambda: shutil.disk_usage(disk).free >= free)
        check_log(scene, rejected, disk)
        assert scene.instances_of(name) == 0
        assert send(port, "GET", "/api/orthanc/patients/").is_well
        assert [row.error_code for row in scene.audit(rejected.request_id)] in ([], ["INSUFFICIENT_STORAGE"])
    assert way.send(port, name, contents).status == 200
    assert scene.instances_of(name) == COUNT
    wait_until(lambda: shutil.disk_usage(disk).used < MIB)


def check_log(scene: Scene, ending: Ending, disk: Path) -> None:
    """One line says so, and none has a traceback."""
    lines = [json.loads(line) for line in scene.gateway.log.read_text().splitlines() if ending.request_id in line]
    [line] = [line for line in lines if line["event"] != "request"]
    assert (line["event"], line["level"]) == ("no disk space for an upload", "error")
    assert (line["code"], line["folder"]) == ("INSUFFICIENT_STORAGE", str(disk))
    assert "exception" not in line


def test_gateway_that_starts_with_a_full_disk_spools_nowhere_else(
    orthanc: LocalOrthanc, disk: Path, tmp_path: Path
) -> None:
    contents = [large("start", number) for number in range(1, COUNT + 1)]
    way = WAYS["REST"]
    with filled(disk), started(orthanc, tmp_path, disk) as scene:
        rejected = way.send(scene.gateway.port, "start", contents)
        assert (rejected.status, rejected.code) == (507, "INSUFFICIENT_STORAGE")
        (disk / "filling").open("wb").close()
        assert way.send(scene.gateway.port, "start", contents).reported == COUNT
