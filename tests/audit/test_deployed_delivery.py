"""Deployed gateways send their audit to a real rsyslog: whatever is killed, every event arrives."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from orthancproxy.sandbox.gateway import LocalGateway, make_database, serving
from orthancproxy.sandbox.orthanc import free_port
from tests.audit.certificates import make_certificates
from tests.audit.events import event_ids
from tests.audit.rsyslog import Rsyslog
from tests.audit.test_delivery import parsed
from tests.audit.test_dicom_messages import request_details
from tests.waiting import wait_until

pytestmark = pytest.mark.long

AWAY = "the audit repository cannot be reached"


@pytest.fixture(params=["gtls", "ossl"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rsyslog]:
    repository = Rsyslog(tmp_path / "rsyslog", make_certificates(tmp_path / "certificates"), request.param)
    yield repository
    repository.kill()


@pytest.fixture
def database(repository: Rsyslog, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLite with one driver of rsyslog, PostgreSQL with the other."""
    if request.node.callspec.params["repository"] == "gtls":
        yield f"sqlite:///{tmp_path}/gateway.sqlite3"
        return
    url = request.getfixturevalue("postgresql")
    # other tests use the tables, too
    make_database({"PATH": os.environ["PATH"], "DJANGO_DATA_DIR": str(tmp_path), "DATABASE_URL": url})
    _empty(url)
    yield url
    _empty(url)


def _empty(url: str) -> None:
    with psycopg.connect(url, options="-c lock_timeout=20s") as connection:
        connection.execute("TRUNCATE orthancproxy_auditevent, orthancproxy_auditdelivery CASCADE")


def written(database: str) -> set[int]:
    return set(event_ids(database))


@cache
def event_of(message: bytes) -> int:
    """Return the event of a message, which is valid."""
    return int(request_details(parsed(message))["event"])


def arrived(repository: Rsyslog) -> set[int]:
    """Return the events that have arrived."""
    return set(map(event_of, repository.messages()))


def waiting(metrics: str) -> float:
    """Return the number of events that wait, as Prometheus sees it."""
    with urlopen(f"http://{metrics}/metrics") as response:
        found = re.search(r"^orthanc_gateway_audit_events_waiting (\S+)$", response.read().decode(), re.MULTILINE)
    return float(found[1]) if found else -1


def ask(gateway: LocalGateway, times: int) -> None:
    """Send requests, each of which is audited: Orthanc is unavailable."""
    for _ in range(times):
        with suppress(HTTPError):
            urlopen(f"{gateway.address}/api/orthanc/patients/").close()  # noqa: S310


def test_every_event_arrives_whatever_is_killed(database: str, repository: Rsyslog, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates"
    settings = {
        "DATABASE_URL": database,
        "ORTHANC_AUDIT_SYSLOG": f"tls://localhost:{repository.port}",
        "ORTHANC_AUDIT_CA_BUNDLE": str(certificates / "authority.pem"),
        "ORTHANC_AUDIT_CERTIFICATE": str(certificates / "client.pem"),
        "ORTHANC_AUDIT_KEY": str(certificates / "client.key"),
        "ORTHANC_AUDIT_SOURCE": "PACS 1",
    }
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    nowhere = f"http://127.0.0.1:{free_port()}"
    metrics = f"127.0.0.1:{free_port()}"
    with serving(nowhere, tmp_path / "first", settings={**settings, "ORTHANC_METRICS_ADDRESS": metrics}) as first:
        ask(first, 10)
        wait_until(lambda: AWAY in first.log.read_text())
        wait_until(lambda: waiting(metrics) == 10)
        repository.start()
        wait_until(lambda: arrived(repository) >= written(database))
        wait_until(lambda: waiting(metrics) == 0)
        with serving(nowhere, tmp_path / "second", settings=settings) as second:
            ask(second, 10)
            repository.kill()
            ask(first, 20)
            wait_until(lambda: first.log.read_text().count(AWAY) == 2)
            repository.start()
            ask(second, 10)
            wait_until(lambda: arrived(repository) >= written(database))
            # it had the lease from the beginning
            os.kill(first.pid, signal.SIGKILL)
            ask(second, 10)
            wait_until(lambda: arrived(repository) >= written(database))
    assert arrived(repository) == written(database)
    assert len(written(database)) == 60
    assert first.log.read_text().count(AWAY) == 2
    assert "Traceback" not in second.log.read_text()
