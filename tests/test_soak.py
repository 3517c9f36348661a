"""A short soak: nothing goes wrong, grows, or stays open, and the archive holds what it should."""

import os
from pathlib import Path

import pytest

from benchmarks.soak.soaking import SEED, soak

pytestmark = [pytest.mark.live, pytest.mark.long]

# the same again on another Orthanc needs no minute
SECONDS = 20.0 if "ORTHANC_ROOT" in os.environ else 60.0


def test_clients_that_read_upload_and_delete_at_once(tmp_path: Path) -> None:
    report = soak(SECONDS, SEED, tmp_path)
    assert report.failures == [], "\n".join(report.lines())
    assert report.changes > 50
    assert report.instances
