"""An Orthanc whose studies are put into the trash."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from orthancproxy.resolvers.context import connect
from orthancproxy.resolvers.trash import TrashKeeper, trash_of
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.deletion.deletion_client import refill
from tests.orthancs import ONE_CALL_PER_CONNECTION


@pytest.fixture
def followed() -> None:
    """Let the process look after the trash, as it does in a deployment."""


@pytest.fixture(autouse=True)
def _nobody_looks_unless_wanted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "followed" not in request.fixturenames:
        monkeypatch.setattr(TrashKeeper, "is_needed", lambda _: False)


@pytest.fixture(scope="module")
def module_orthanc(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """Return an Orthanc for the tests of one module."""
    return start_orthanc(configuration=ONE_CALL_PER_CONNECTION)


@pytest.fixture
def orthanc(
    module_orthanc: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings, transactional_db: None
) -> Iterator[LocalOrthanc]:
    """Refill the Orthanc with `ARCHIVE`, and point a gateway with a trash to it."""
    settings.ORTHANC_TRASH_DAYS = 30
    refill(module_orthanc)
    yield use_orthanc(module_orthanc)
    trash = trash_of(connect())
    for study in trash.read():
        trash.restore(study.orthanc_id)
