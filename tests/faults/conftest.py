"""An Orthanc and a gateway for each module, with a proxy before each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.faults.fault_client import Scene
from tests.orthancs import StartOrthanc
from tests.tcp_proxy import WELL, TCPProxy

IMPATIENT = {
    "ORTHANC_READ_TIMEOUT": "2",
    "ORTHANC_CONNECT_TIMEOUT": "2",
    # an audit event for each download
    "ORTHANC_VIEWING_MINUTES": "0",
}


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """One that may be killed."""
    return start_orthanc()


@pytest.fixture(scope="module")
def running_proxy(orthanc: LocalOrthanc) -> Iterator[TCPProxy]:
    with TCPProxy(orthanc.port) as proxy:
        yield proxy


@pytest.fixture
def upstream(running_proxy: TCPProxy) -> Iterator[TCPProxy]:
    """Between the gateway and Orthanc."""
    yield running_proxy
    running_proxy.suffer(WELL)


@pytest.fixture(scope="module")
def scene(orthanc: LocalOrthanc, running_proxy: TCPProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The gateway as it is deployed, which waits two seconds for Orthanc."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with serving(running_proxy.base_url, folder, settings=IMPATIENT) as gateway:
        scene = Scene(orthanc, gateway, folder)
        scene.fill()
        yield scene


@pytest.fixture
def downstream(scene: Scene) -> Iterator[TCPProxy]:
    """Between the client and the gateway."""
    with TCPProxy(scene.gateway.port) as proxy:
        yield proxy
