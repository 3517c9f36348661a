"""The log of changes is on, as it is by default."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _changes_are_logged(settings: Settings) -> None:
    settings.ORTHANC_CHANGES_DAYS = 7
