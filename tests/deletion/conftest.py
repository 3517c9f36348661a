"""An Orthanc to delete from, and a proxy in front of it."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.deletion.deletion_client import TRANSPORTS, DeleteProxy, Transport, refill


@pytest.fixture(scope="module")
def module_orthanc(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """Return an Orthanc for the tests of one module."""
    return start_orthanc()


@pytest.fixture
def orthanc(module_orthanc: LocalOrthanc, use_orthanc: UseOrthanc, transactional_db: None) -> LocalOrthanc:
    """Refill the Orthanc with `ARCHIVE`, and point the gateway to it."""
    refill(module_orthanc)
    return use_orthanc(module_orthanc)


@pytest.fixture
def proxy(orthanc: LocalOrthanc, settings: Settings) -> Iterator[DeleteProxy]:
    """Yield a proxy between the gateway and Orthanc."""
    with DeleteProxy(orthanc.port) as running:
        settings.ORTHANC_BASE_URL = running.base_url
        yield running


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    """Return each of the two transports of a deletion."""
    return TRANSPORTS[request.param]()
