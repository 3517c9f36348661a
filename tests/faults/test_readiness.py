"""`/readyz` of a gateway as it is deployed answers within two seconds, whatever hangs."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.faults.fault_client import Scene, send
from tests.faults.test_database import locked
from tests.faults.test_orthanc import hanging

pytestmark = pytest.mark.live

MAX_SECONDS = 4  # 2 and what a busy machine adds


@pytest.fixture(scope="module")
def patient_scene(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway with the default timeouts: 30 s for Orthanc, 20 s for the database."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with serving(orthanc.base_url, folder) as gateway:
        yield Scene(orthanc, gateway, folder)


@pytest.mark.parametrize(
    ("hangs", "check", "message"),
    [
        (lambda scene: hanging(scene.orthanc), "orthanc", "Orthanc did not answer in time."),
        (lambda scene: locked(scene.folder), "database", "The database did not answer in time."),
    ],
    ids=["Orthanc", "database"],
)
def test_readyz_names_what_hangs(
    patient_scene: Scene, hangs: Callable[[Scene], AbstractContextManager[None]], check: str, message: str
) -> None:
    port = patient_scene.gateway.port
    assert send(port, "GET", "/readyz").json["checks"] == {"orthanc": "ok", "database": "ok"}
    with hangs(patient_scene):
        for _ in range(3):
            started = time.monotonic()
            answer = send(port, "GET", "/readyz")
            assert time.monotonic() - started < MAX_SECONDS
            assert answer.status == 503
            assert answer.json["checks"] == {"orthanc": "ok", "database": "ok", check: message}
            assert send(port, "GET", "/livez", timeout=3).is_well
    while not send(port, "GET", "/readyz").is_well:
        time.sleep(0.1)
