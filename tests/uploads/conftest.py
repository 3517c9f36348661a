"""An Orthanc to upload to, and deployed gateways with their own databases."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.proxy import RecordingProxy
from tests.uploads.upload_client import TRANSPORTS, Transport


@pytest.fixture(scope="session")
def receiving_orthanc(start_session_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """One for all tests that look at their own patients only."""
    return start_session_orthanc()


@pytest.fixture
def orthanc(receiving_orthanc: LocalOrthanc, use_orthanc: UseOrthanc, transactional_db: None) -> LocalOrthanc:
    """It, and the gateway's."""
    return use_orthanc(receiving_orthanc)


@pytest.fixture
def proxy(orthanc: LocalOrthanc, settings: Settings) -> Iterator[RecordingProxy]:
    """A proxy before Orthanc, the only address that the gateway knows."""
    with RecordingProxy(orthanc.port) as running:
        settings.ORTHANC_BASE_URL = running.base_url
        yield running


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    """Both ways to upload."""
    return TRANSPORTS[request.param]()


@pytest.fixture
def patient_id(request: pytest.FixtureRequest) -> str:
    """A PatientID that no other test has."""
    return "T" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]


@pytest.fixture(scope="module", params=["SQLite, 1 worker", "SQLite, 2 workers", "PostgreSQL, 2 workers"])
def deployed(
    request: pytest.FixtureRequest, receiving_orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalGateway]:
    """The gateway as it is deployed, before the Orthanc of the session."""
    database, workers = request.param.removesuffix("s").removesuffix(" worker").split(", ")
    url = request.getfixturevalue("postgresql") if database == "PostgreSQL" else ""
    folder: Path = tmp_path_factory.mktemp("deployed")
    with serving(receiving_orthanc.base_url, folder, workers=int(workers), settings={"DATABASE_URL": url}) as gateway:
        yield gateway
