"""The state of the index, which needs a newer Orthanc."""

from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import free_port
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc
from tests.project.monitoring.conftest import Monitored, query
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]


def test_a_scrape_has_the_state_of_the_index(start_orthanc: StartOrthanc, tmp_path: Path) -> None:
    orthanc, port = start_orthanc(), free_port()
    load(orthanc, [instance(patient=patient) for patient in (1, 2, 3)])
    settings = {"ORTHANC_METRICS_ADDRESS": f"127.0.0.1:{port}"}
    with serving(orthanc.base_url, tmp_path, workers=2, settings=settings) as gateway:
        one = Monitored(gateway, orthanc, port)
        # the first request starts it
        query(gateway.port, "{ studies { totalCount } }")
        wait_until(lambda: one.scrape().value("index_state", state="ready") == 1)
        wait_until(lambda: one.scrape().value("index_studies") == 3)
        scrape = one.scrape()
    assert scrape.value("index_state") == 1
    assert scrape.all("index_lag_changes") == [{}]
    assert scrape.value("index_lag_changes") == 0
