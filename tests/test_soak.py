"""A short soak: nothing goes wrong, grows, or stays open, and the archive holds what it should.

Attacks cost other callers little time, and the gateway little memory.
"""

import os
from pathlib import Path

import pytest

from benchmarks.soak.attacks import FINDS, OTHERS, attack, load
from benchmarks.soak.soaking import SEED, soak
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.long]

# the same again on another Orthanc needs no minute
SECONDS = 20.0 if "ORTHANC_ROOT" in os.environ else 60.0


def test_clients_that_read_upload_and_delete_at_once(tmp_path: Path) -> None:
    report = soak(SECONDS, SEED, tmp_path)
    assert report.failures == [], "\n".join(report.lines())
    assert report.changes > 50
    assert report.instances


@pytest.mark.once
def test_attacks_leave_time_to_other_callers_and_memory_to_the_gateway(
    start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    orthanc = start_orthanc()
    load(orthanc)
    outcomes = attack(orthanc, tmp_path, [FINDS, *OTHERS], seconds=2.5)
    assert [failure for outcome in outcomes for failure in outcome.failures] == [], "\n".join(map(str, outcomes))
