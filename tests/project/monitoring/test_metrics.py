"""What Prometheus reads: the sum of all workers, on an address of its own, with labels that the code declares."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from orthancproxy import metrics
from orthancproxy.archive.kept_metadata import MetadataCache
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.revisions import Children, Revision, RevisionCache
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.project.environment import Environment
from orthancproxy.project.monitoring.folder import PREFIX, make_folder
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc, SandboxError, free_port
from orthancproxy.threads import Pool
from tests.corpus import instance
from tests.orthancs import StartOrthanc
from tests.project.monitoring.conftest import Monitored, ask, query
from tests.uploads.upload_client import REST, File, over_http
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / "docs" / "monitoring"
NAME = re.compile(r"\borthanc_gateway_\w+")
STUDIES = "query Of_KimMinsu { studies { nodes { description series { instances { orthancId } } } } }"
SUFFIXES = ("_bucket", "_sum", "_count", "_total")


@pytest.fixture(scope="module")
def used(monitored: Monitored) -> Monitored:
    """A gateway after requests of every kind."""
    port = monitored.port
    for _ in range(20):
        assert "errors" not in query(port, STUDIES)
        assert ask(port, "/api/orthanc/patients")[0] == 200
        assert ask(port, "/dicom-web/studies")[0] == 200
    study = query(port, "{ studies { nodes { orthancId } } }")["data"]["studies"]["nodes"][0]["orthancId"]
    assert ask(port, f"/api/orthanc/studies/{study}")[0] == 405  # it takes DELETE only
    assert ask(port, f"/api/orthanc/studies/{study}/archive")[0] == 200
    assert query(port, "{ nothing }")["errors"]
    assert ask(port, "/Kim/Minsu?name=Kim")[0] == 404
    assert ask(port, "/api/orthanc/patients", method="PROPFIND")[0] == 405
    assert ask(port, "/api/orthanc/studies?PatientName=Kim")[0] == 400
    assert ask(port, "/graphql/", b"{}", Content_Type="application/json", Authorization="Bearer none")[0] == 401
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in connection.recv(1000)
    for content in (instance(patient=7), b"no DICOM"):
        REST(over_http(port))([File(content)], patientId="P007", uploadKey="a-key")
    # gauges are set every five seconds
    wait_until(lambda: len(monitored.scrape().pids) == 2 and monitored.scrape().value("workers") == 2)
    return monitored


def test_a_scrape_has_the_requests_of_all_workers(used: Monitored) -> None:
    scrape = used.scrape()
    assert scrape.value("requests_total", method="GET", route="/dicom-web/studies", status="200") == 20
    assert scrape.value("request_duration_seconds_count", route="/dicom-web/studies") == 20
    assert scrape.value("request_duration_seconds_bucket", route="/dicom-web/studies", le="+Inf") == 20
    assert scrape.value("operations_total", operation="GET /dicom-web/studies", outcome="SUCCESS") == 20
    assert scrape.value("response_body_bytes_total", route="/dicom-web/studies") > 1000
    for pid in scrape.pids:
        assert 50e6 < scrape.value("process_resident_memory_bytes", pid=str(pid)) < 1e9
        assert Path(f"/proc/{pid}").exists()
    # both have answered: one alone has not loaded what answers take
    assert scrape.value("process_cpu_seconds_total") > 1


def test_operations_are_those_that_the_gateway_declares(used: Monitored) -> None:
    scrape = used.scrape()
    assert scrape.value("operations_total", operation="studies", outcome="SUCCESS") == 21
    assert scrape.value("operations_total", operation="POST /api/orthanc/upload-patient/", outcome="SUCCESS") == 1
    assert scrape.value("operations_total", operation="POST /api/orthanc/upload-patient/", outcome="FAILED") == 1


def test_no_label_has_what_a_client_sends(used: Monitored) -> None:
    text = used.scrape().text
    assert "Kim" not in text
    assert "PROPFIND" not in text
    assert "P00" not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{8}", text)
    assert 'method="other"' in text


def test_errors_have_their_codes(used: Monitored) -> None:
    scrape = used.scrape()
    assert scrape.value("errors_total", route="/graphql/", code="BAD_USER_INPUT") == 1
    assert scrape.value("errors_total", route="/graphql/", code="UNAUTHENTICATED") == 1
    assert scrape.value("errors_total", route="/api/orthanc/studies", code="BAD_USER_INPUT") == 1
    assert scrape.value("errors_total", route="other", code="NOT_FOUND") == 1
    assert scrape.value("rejected_heads_total", status="400") == 1


def test_calls_to_orthanc_have_the_template_of_their_path(used: Monitored) -> None:
    scrape = used.scrape()
    assert scrape.value("orthanc_calls_total", endpoint="POST /tools/find", status="200") > 20
    assert scrape.value("orthanc_call_duration_seconds_count", endpoint="POST /tools/find") > 20
    assert scrape.value("orthanc_call_slots") == 40
    # the gateway follows Orthanc meanwhile
    wait_until(lambda: used.scrape().value("orthanc_calls_in_progress") == 0)


def test_uploads_and_audit_events_are_counted(used: Monitored) -> None:
    scrape = used.scrape()
    assert scrape.value("uploads_total", outcome="SUCCESS") == 1
    assert scrape.value("uploads_total", outcome="FAILED") == 1
    assert scrape.value("uploaded_files_total", outcome="instances") == 1
    assert scrape.value("uploaded_files_total", outcome="failed") == 1
    assert scrape.value("uploaded_bytes_total") == len(instance(patient=7)) + len(b"no DICOM")
    assert scrape.value("audit_events_total", kind="IMPORT", outcome="SUCCESS") == 1
    assert scrape.value("audit_events_total", kind="LOGIN", outcome="FAILED") == 1


def test_pools_show_tasks_that_run_and_wait() -> None:
    with Pool("test", 1, "this test") as pool:
        started, end = pool.submit(time.time), time.monotonic() + 30
        started.result(10)
        wait_until(lambda: pool.tasks == 0)
        read, write = os.pipe()
        tasks = [pool.submit(os.read, read, 1) for _ in range(3)]
        assert pool.tasks == 3
        assert tasks[2].cancel()
        assert pool.tasks == 2
        os.write(write, b"12")
        assert [task.result(10) for task in tasks[:2]] == [b"1", b"2"]
        wait_until(lambda: pool.tasks == 0)
    assert time.monotonic() < end
    with pytest.raises(RuntimeError):
        pool.submit(time.time)
    assert pool.tasks == 0


def test_caches_count_what_they_had(orthanc: LocalOrthanc) -> None:
    client = OrthancClient(ConnectionOptions(base_url=orthanc.base_url))
    cache, revision = RevisionCache(client.clock, max_bytes=10_000, min_age=2), Revision("a", "1.2", "20200101T000000")
    assert cache.get(revision) is None
    cache.put(revision, Children(Needs(), ()))
    assert cache.get(revision) is not None
    assert (cache.lookups.hits, cache.lookups.misses) == (1, 1)
    assert cache.counts(revision) == {}
    cache.put_counts(revision, {"NumberOfStudyRelatedInstances": "3"})
    assert cache.counts(revision)
    assert (cache.count_lookups.hits, cache.count_lookups.misses) == (1, 1)
    metadata = MetadataCache(10_000)
    assert metadata.get(revision, "") is None
    assert b"".join(metadata.keeping(revision, "", iter([b"{}"]))) == b"{}"
    assert metadata.get(revision, "") is not None
    assert (metadata.lookups.hits, metadata.lookups.misses) == (1, 1)
    assert metadata.size > 0


def test_the_public_port_has_no_metrics(used: Monitored) -> None:
    for path in ("/metrics", "/metrics/", "/api/orthanc/metrics"):
        assert ask(used.port, path)[0] == 404


def test_gauges_of_a_dead_worker_end_and_its_counts_stay(used: Monitored) -> None:
    before = used.scrape()
    dead = min(before.pids)
    os.kill(dead, signal.SIGKILL)
    # another is started
    wait_until(lambda: dead not in used.scrape().pids and used.scrape().value("workers") == 2)
    after = used.scrape()
    assert after.value("requests_total", route="/dicom-web/studies") == 20
    assert len(after.pids) == 2
    assert after.value("pool_threads_max", pool="graphql") == 256


def test_every_metric_of_the_dashboard_and_the_alerts_is_declared_and_scraped(used: Monitored) -> None:
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    rules = yaml.safe_load((FOLDER / "prometheus-rules.yml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    named = {name for expression in expressions for name in NAME.findall(expression)}
    assert len(expressions) > 50
    # what never happened has no samples: nothing has failed here, this Orthanc has no index (test_index.py), and there
    # is no audit repository (test_deployed_delivery.py)
    unseen = {
        "orthanc_gateway_orthanc_call_failures_total",
        "orthanc_gateway_index_studies",
        "orthanc_gateway_index_lag_changes",
        "orthanc_gateway_audit_events_waiting",
    }
    assert named - used.scrape().names == unseen
    declared = {metric._name for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram)}
    # all that is counted is shown
    assert {re.sub(rf"({'|'.join(SUFFIXES)})$", "", name) for name in named} == declared


def test_failures_of_orthanc_are_counted_by_error(start_orthanc: StartOrthanc, tmp_path: Path) -> None:
    orthanc, port = start_orthanc(), free_port()
    with serving(orthanc.base_url, tmp_path, settings={"ORTHANC_METRICS_ADDRESS": f"127.0.0.1:{port}"}) as gateway:
        one = Monitored(gateway, orthanc, port)
        query(gateway.port, "{ studies { totalCount } }")
        orthanc.kill()
        assert query(gateway.port, "{ studies { totalCount } }")["errors"]
        scrape = one.scrape()
    assert scrape.value("orthanc_call_failures_total", error="ArchiveUnavailable") >= 1
    assert scrape.value("orthanc_calls_total", status="0") >= 1
    assert scrape.value("errors_total", code="ARCHIVE_UNAVAILABLE") == 1
    # with one worker, the process that serves the metrics is the worker
    assert scrape.pids == {gateway.pid}


def test_prometheus_accepts_the_names_and_the_alerts(used: Monitored) -> None:
    linted = subprocess.run(
        ["promtool", "check", "metrics"], input=used.scrape().text, capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stderr) == (0, "")
    rules = FOLDER / "prometheus-rules.yml"
    subprocess.run(["promtool", "check", "rules", rules], capture_output=True, check=True)


def test_metrics_are_off_by_default(orthanc: LocalOrthanc, tmp_path: Path) -> None:
    with serving(orthanc.base_url, tmp_path) as gateway:
        query(gateway.port, STUDIES)
        listening = _listening(gateway.pid)
        folders = [*Path(tempfile.gettempdir()).glob(f"{PREFIX}{gateway.pid}-*")]
    assert listening == {gateway.port}
    assert folders == []


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_left_when_the_gateway_has_ended(workers: int, orthanc: LocalOrthanc, tmp_path: Path) -> None:
    settings = {"ORTHANC_METRICS_ADDRESS": f"127.0.0.1:{free_port()}", "TMPDIR": str(tmp_path)}
    with serving(orthanc.base_url, tmp_path, workers=workers, settings=settings):
        [folder] = tmp_path.glob(f"{PREFIX}*")
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.glob(f"{PREFIX}*")) == []


def test_folders_of_killed_gateways_are_removed_at_the_next_start(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        for pid in (ended.pid, living.pid):
            (tmp_path / f"{PREFIX}{pid}-abc").mkdir()
        script = f"from {make_folder.__module__} import make_folder; print(make_folder())"
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        made = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=CHECKOUT, capture_output=True, check=True
        )
    finally:
        living.communicate(b"\n")
    assert Path(made.stdout.decode().strip()).parent == tmp_path
    assert [folder.name for folder in tmp_path.iterdir()] == [f"{PREFIX}{living.pid}-abc"]


def test_an_address_in_use_is_one_line_and_the_gateway_does_not_start(orthanc: LocalOrthanc, tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = {"ORTHANC_METRICS_ADDRESS": f"127.0.0.1:{taken.getsockname()[1]}"}
        with pytest.raises(SandboxError), serving(orthanc.base_url, tmp_path, settings=settings):
            pass
    [line] = map(json.loads, (tmp_path / "gateway.log").read_text().splitlines())
    assert line["event"].startswith("The gateway cannot start: ORTHANC_METRICS_ADDRESS cannot be used (Address already")


@pytest.mark.parametrize("text", ["9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"])
def test_an_invalid_address_is_a_problem(text: str) -> None:
    environment = Environment({})
    assert environment.address(text) is None
    [problem] = environment.problems
    assert problem.startswith("ORTHANC_METRICS_ADDRESS must be")


def test_addresses_are_read() -> None:
    environment = Environment({})
    assert environment.address("") is None
    assert environment.address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert environment.address("[::1]:9464") == ("::1", 9464)
    assert environment.problems == []


def _listening(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on."""
    inodes = set(_sockets(pid))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def _sockets(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]
