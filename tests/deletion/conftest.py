"""An Orthanc to delete from, and a proxy before it."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.deletion.deleting import REST, TRANSPORTS, DeleteProxy, GraphQL, refill


@pytest.fixture(scope="module")
def dwindling_orthanc(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """One for each module."""
    return start_orthanc()


@pytest.fixture
def orthanc(dwindling_orthanc: LocalOrthanc, use_orthanc: UseOrthanc, transactional_db: None) -> LocalOrthanc:
    """It, filled again with `deleting.ARCHIVE`, and the gateway's."""
    refill(dwindling_orthanc)
    return use_orthanc(dwindling_orthanc)


@pytest.fixture
def proxy(orthanc: LocalOrthanc, settings: Settings) -> Iterator[DeleteProxy]:
    """A proxy before Orthanc, the only address that the gateway knows."""
    with DeleteProxy(orthanc.port) as running:
        settings.ORTHANC_BASE_URL = running.base_url
        yield running


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> GraphQL | REST:
    """Both ways to delete."""
    return TRANSPORTS[request.param]()
