"""The HTTP client for Orthanc: retries, errors, credentials, call log, capabilities and allowlist."""

import logging
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from orthancproxy.errors import (
    ArchiveError,
    ArchiveProtocolError,
    ArchiveRejected,
    ArchiveTimeout,
    ArchiveUnavailable,
    GatewayError,
    InvalidRequest,
    NotFound,
)
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.calls import Call, recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import (
    BULK_CONTENT,
    COUNT_RESOURCES,
    DELETE,
    FIND,
    INSTANCE_FILE,
    LEVEL_ARCHIVE,
    RESOURCE,
    SYSTEM,
    Endpoint,
)
from orthancproxy.orthanc.responses import SYSTEM_DECODER
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.hostile_ids import HOSTILE_IDS, SOME_ID
from tests.proxy import DROPPED, GARBAGE, Fault, RecordingProxy, answering, impatient

DECLARED = {name: value for name, value in vars(endpoints).items() if isinstance(value, Endpoint)}
WRITING = Endpoint("POST", "/tools/find", repeatable=False)
FIND_PATIENTS = {"Level": "Patient", "Query": {}}
CANNOT_WRITE = b'{"Message": "Unable to create a subdirectory", "OrthancStatus": 2001}'
CANNOT_ACCESS = b'{"Message": "Internal error", "Details": "Error while accessing the filesystem", "OrthancStatus": -1}'
TRANSIENT = {
    "a dropped connection": DROPPED,
    "502": answering(502),
    "503": answering(503),
    "two folders at once": answering(500, CANNOT_WRITE),
    "a folder that is deleted": answering(500, CANNOT_ACCESS),
}
FINAL_STATUSES = (301, 400, 401, 403, 404, 405, 409, 415, 500, 501, 504, 507)
FAULTS = {
    **GARBAGE,
    **TRANSIENT,
    **{str(status): answering(status) for status in FINAL_STATUSES},
    "a body that breaks off": Fault(cut=5),
    "too slow": Fault(delay=30),
}
PASSWORD = "pässwörd:비밀-パス€"
NAME = "Gildong^Hong"
PATIENT_ID = "P-SECRET-4711"
READING_CALLS: dict[str, Callable[[OrthancClient], object]] = {
    "GET": lambda client: client.call(SYSTEM),
    "find": lambda client: client.call(FIND, body=FIND_PATIENTS),
    "bulk-content": lambda client: client.call(BULK_CONTENT, body={"Resources": []}),
    "an answer in pieces": lambda client: list(client.open(SYSTEM)),
}


def client_of(server: RecordingProxy | LocalOrthanc, **options: Any) -> OrthancClient:
    defaults = {"base_url": server.base_url, "read_timeout": 10.0, "retry_delay": 0.01}
    return OrthancClient(ConnectionOptions(**{**defaults, **options}))


class ClosesWhatIsUsedAgain(BaseHTTPRequestHandler):
    """Closes a connection instead of answering its second call, as Orthanc may if it was idle for a second."""

    protocol_version = "HTTP/1.1"
    is_used = False

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.is_used:
            self.close_connection = True
            return
        self.is_used = True
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_POST = do_GET  # noqa: N815 - likewise

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def proxy(archive: LocalOrthanc) -> Iterator[RecordingProxy]:
    with RecordingProxy(archive.port) as running:
        yield running


@pytest.fixture
def client(proxy: RecordingProxy) -> OrthancClient:
    return client_of(proxy)


@pytest.fixture
def instance_id(archive: LocalOrthanc) -> str:
    found: list[str] = client_of(archive).call(FIND, body={"Level": "Instance", "Query": {}})
    return found[0]


@pytest.mark.live
class TestRetry:
    @pytest.mark.parametrize("call", READING_CALLS)
    @pytest.mark.parametrize("fault", TRANSIENT)
    def test_reading_calls_are_retried_once_after_a_delay(self, proxy: RecordingProxy, call: str, fault: str) -> None:
        proxy.fail(TRANSIENT[fault])
        started = time.perf_counter()
        READING_CALLS[call](client_of(proxy, retry_delay=0.3))
        assert time.perf_counter() - started >= 0.3
        first, second = proxy.requests
        assert (first.method, first.path, first.body) == (second.method, second.path, second.body)

    @pytest.mark.parametrize("fault", TRANSIENT)
    def test_counting_is_retried_once(self, proxy: RecordingProxy, client: OrthancClient, fault: str) -> None:
        # not Orthanc's answer: before 1.12.5 it has no such route
        proxy.fail(TRANSIENT[fault], answering(200, b'{"Count": 3}'))
        assert client.call(COUNT_RESOURCES, body=FIND_PATIENTS) == {"Count": 3}
        assert proxy.lines() == ["POST /tools/count-resources"] * 2

    def test_a_truncated_response_is_retried(self, proxy: RecordingProxy, client: OrthancClient) -> None:
        proxy.fail(Fault(cut=5))
        assert "Version" in client.call(SYSTEM)
        assert len(proxy.requests) == 2

    @pytest.mark.parametrize("fault", TRANSIENT)
    def test_orthanc_is_unavailable_after_a_second_failure(
        self, proxy: RecordingProxy, client: OrthancClient, fault: str
    ) -> None:
        proxy.fail(TRANSIENT[fault], TRANSIENT[fault])
        with pytest.raises(ArchiveUnavailable) as caught:
            client.call(FIND, body=FIND_PATIENTS)
        assert type(caught.value) is ArchiveUnavailable
        assert len(proxy.requests) == 2
        assert len(client.call(FIND, body=FIND_PATIENTS)) == 3

    @pytest.mark.parametrize("fault", TRANSIENT)
    def test_writing_calls_are_not_retried(self, proxy: RecordingProxy, client: OrthancClient, fault: str) -> None:
        proxy.fail(TRANSIENT[fault])
        with pytest.raises(ArchiveUnavailable):
            client.call(WRITING, body=FIND_PATIENTS)
        assert len(proxy.requests) == 1

    @pytest.mark.parametrize("status", FINAL_STATUSES)
    def test_other_statuses_are_not_retried(self, proxy: RecordingProxy, client: OrthancClient, status: int) -> None:
        proxy.fail(answering(status))
        with pytest.raises(GatewayError):
            client.call(SYSTEM)
        assert len(proxy.requests) == 1

    def test_timeouts_are_not_retried(self, proxy: RecordingProxy) -> None:
        proxy.fail(Fault(delay=30))
        with pytest.raises(ArchiveTimeout):
            client_of(proxy, read_timeout=0.3).call(SYSTEM)
        assert len(proxy.requests) == 1

    def test_an_idle_connection_closed_by_orthanc_is_replaced(self, unindexed_archive: LocalOrthanc) -> None:
        client = client_of(unindexed_archive)
        client.call(SYSTEM)
        time.sleep(1.2)  # Keep-Alive: timeout=1
        with recording() as log:
            client.call(FIND, body=FIND_PATIENTS)
        assert log.calls[-1].status == 200

    def test_a_call_that_is_not_repeated_has_a_connection_that_nobody_can_have_closed(self) -> None:
        with ThreadingHTTPServer(("127.0.0.1", 0), ClosesWhatIsUsedAgain) as server:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            base_url = f"http://127.0.0.1:{server.server_port}"
            client = OrthancClient(ConnectionOptions(base_url, retry_delay=0.01))
            with recording() as log:
                for _ in range(2):
                    client.call(SYSTEM)
                    client.call(WRITING, body=FIND_PATIENTS)
            server.shutdown()
        reading, repeated, writing = ("GET", 200), ("GET", 0), ("POST", 200)
        assert [(one.method, one.status) for one in log.calls] == [reading, writing, repeated, reading, writing]


@pytest.mark.live
class TestErrors:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_every_fault_is_a_gateway_error_without_details_of_orthanc(self, proxy: RecordingProxy, fault: str) -> None:
        client = client_of(proxy, username="gateway-user", password="gateway-password", read_timeout=0.5)
        proxy.keep_failing(FAULTS[fault])
        with pytest.raises(GatewayError) as caught:
            client.call(SYSTEM)
        for secret in ("127.0.0.1", str(proxy.port), "gateway-user", "gateway-password", "/system"):
            assert secret not in caught.value.message
        assert caught.value.message.endswith(".")

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_streamed_response_raises_gateway_errors_only(self, proxy: RecordingProxy, fault: str) -> None:
        proxy.keep_failing(FAULTS[fault])
        try:
            list(client_of(proxy, read_timeout=0.5).open(SYSTEM))
        except GatewayError as error:
            assert str(proxy.port) not in error.message  # noqa: PT017 - some garbage is a valid file

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ("an HTML page", ArchiveProtocolError),
            ("an empty body", ArchiveProtocolError),
            ("truncated JSON", ArchiveProtocolError),
            ("a redirect", ArchiveProtocolError),
            ("a body shorter than its length", ArchiveUnavailable),
            ("a body that breaks off", ArchiveUnavailable),
            ("a dropped connection", ArchiveUnavailable),
            ("502", ArchiveUnavailable),
            ("503", ArchiveUnavailable),
            ("504", ArchiveUnavailable),
            ("too slow", ArchiveTimeout),
            ("400", ArchiveRejected),
            ("401", ArchiveRejected),
            ("500", ArchiveRejected),
            ("404", NotFound),
        ],
    )
    def test_each_fault_has_its_error(self, proxy: RecordingProxy, fault: str, expected: type[GatewayError]) -> None:
        proxy.keep_failing(FAULTS[fault])
        # what is not too slow has the time that a busy machine takes
        with impatient() if expected is ArchiveTimeout else nullcontext(), pytest.raises(GatewayError) as caught:
            client_of(proxy).call(SYSTEM)
        assert type(caught.value) is expected

    def test_a_closed_port_is_unavailable(self) -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            port = deaf.getsockname()[1]
            client = OrthancClient(ConnectionOptions(base_url=f"http://127.0.0.1:{port}"))
            with recording() as log, pytest.raises(ArchiveUnavailable) as caught:
                client.call(SYSTEM)
        assert caught.value.message == "Orthanc cannot be reached."
        assert [call.status for call in log.calls] == [0, 0]

    @pytest.mark.parametrize("base_url", ["http://127.0.0.1:99999", "ftp://orthanc", "http://[", "orthanc"])
    def test_an_invalid_base_url_is_an_archive_error(self, base_url: str) -> None:
        with pytest.raises(ArchiveError) as caught:
            OrthancClient(ConnectionOptions(base_url=base_url)).call(SYSTEM)
        assert base_url not in caught.value.message

    def test_the_error_message_of_orthanc_is_passed_on(self, client: OrthancClient) -> None:
        with pytest.raises(ArchiveRejected, match=r"^Orthanc rejected the request: (?!HTTP status)[\w ].*\.$"):
            client.call(FIND, body={"Level": "Patient", "Query": {"NoSuchKeyword": "1"}})

    def test_a_response_that_stalls_is_a_timeout(self) -> None:
        stalled = threading.Event()

        def stall() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"Version"')
                stalled.wait(30)

        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=stall, daemon=True).start()
            base_url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(ArchiveTimeout):
                OrthancClient(ConnectionOptions(base_url=base_url, read_timeout=0.3)).call(SYSTEM)
            stalled.set()

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, proxy: RecordingProxy, client: OrthancClient, status: int) -> None:
        with RecordingProxy(proxy.target) as elsewhere:
            proxy.fail(answering(status, Location=f"{elsewhere.base_url}/system"))
            with pytest.raises(ArchiveProtocolError):
                client.call(SYSTEM)
            assert elsewhere.requests == []
        assert len(proxy.requests) == 1

    def test_a_truncated_file_is_an_error_and_not_a_short_file(
        self, proxy: RecordingProxy, client: OrthancClient, instance_id: str
    ) -> None:
        assert b"".join(client.open(INSTANCE_FILE, id=instance_id))[128:132] == b"DICM"
        proxy.fail(Fault(cut=200))
        body = client.open(INSTANCE_FILE, id=instance_id)
        with pytest.raises(ArchiveUnavailable):
            list(body)
        assert list(body) == []

    def test_a_missing_resource_is_not_found(self, client: OrthancClient) -> None:
        with pytest.raises(NotFound):
            client.call(RESOURCE, level="studies", id=SOME_ID)

    @pytest.mark.parametrize("answer", [b"5", b"null", b"true", b'"Version"', b"[]", b"{}", b'["Version"]'])
    def test_other_json_is_a_protocol_error(self, proxy: RecordingProxy, client: OrthancClient, answer: bytes) -> None:
        proxy.keep_failing(answering(200, answer))
        with pytest.raises(ArchiveProtocolError):
            client.call(SYSTEM, decoder=SYSTEM_DECODER)
        with pytest.raises(ArchiveProtocolError):
            client.capabilities()


@pytest.fixture(scope="module")
def guarded(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    return start_orthanc(users={"gateway": PASSWORD})


@pytest.mark.live
class TestCredentials:
    def test_a_password_may_have_any_characters(self, guarded: LocalOrthanc) -> None:
        client = client_of(guarded, username="gateway", password=PASSWORD)
        assert client.call(SYSTEM)["Version"] == guarded.version

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"username": "gateway"},
            {"username": "gateway", "password": "wrong"},
            {"username": "who", "password": "?"},
        ],
    )
    def test_wrong_credentials_are_rejected_and_not_disclosed(
        self, guarded: LocalOrthanc, given: dict[str, str]
    ) -> None:
        with recording() as log, pytest.raises(ArchiveRejected) as caught:
            client_of(guarded, **given).call(SYSTEM)
        assert caught.value.message == "Orthanc rejects the gateway's credentials."
        assert [call.status for call in log.calls] == [401]


@pytest.mark.live
class TestEnvironment:
    @pytest.mark.parametrize("bypass", ["", "*", "localhost"])
    def test_proxies_of_the_environment_are_not_used(
        self,
        proxy: RecordingProxy,
        client: OrthancClient,
        monkeypatch: pytest.MonkeyPatch,
        bypass: str,
    ) -> None:
        with RecordingProxy(proxy.target) as trap:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, trap.base_url)
                monkeypatch.setenv(name.lower(), trap.base_url)
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.setenv(name, bypass)
            client.call(SYSTEM)
            assert trap.requests == []
        assert proxy.lines() == ["GET /system"]

    def test_netrc_is_not_used(
        self, proxy: RecordingProxy, client: OrthancClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(netrc))
        client.call(SYSTEM)
        assert "Authorization" not in proxy.requests[0].headers


@pytest.mark.live
class TestAddress:
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_the_base_url_may_have_a_path(self, archive: LocalOrthanc, instance_id: str, slash: str) -> None:
        with RecordingProxy(archive.port, prefix="/pacs/orthanc") as proxy:
            client = client_of(proxy, base_url=proxy.base_url + slash)
            assert client.call(SYSTEM)["Version"] == archive.version
            assert client.call(RESOURCE, query="short", level="instances", id=instance_id)["ID"] == instance_id
            assert proxy.lines() == [
                "GET /pacs/orthanc/system",
                f"GET /pacs/orthanc/instances/{instance_id}?short",
            ]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's certificate, `ca.pem`, and one that it signed for this machine, `server.pem`."""
    folder = tmp_path_factory.mktemp("authority")

    def certify(name: str, *options: str) -> None:
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2"
        files = ("-config", "/dev/null", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        subprocess.run([*command.split(), *files, *options], cwd=folder, check=True, capture_output=True)

    certify("ca", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    certify("server", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    return folder


@pytest.mark.live
class TestHTTPS:
    @pytest.fixture
    def https(self, archive: LocalOrthanc, authority: Path) -> Iterator[RecordingProxy]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / "server.pem", authority / "server.key")
        with RecordingProxy(archive.port, tls=context) as proxy:
            yield proxy

    def test_a_certificate_of_the_ca_bundle_is_trusted(
        self, https: RecordingProxy, authority: Path, archive: LocalOrthanc
    ) -> None:
        client = client_of(https, ca_bundle=str(authority / "ca.pem"))
        assert client.call(SYSTEM)["Version"] == archive.version

    def test_another_certificate_is_not_trusted_whatever_the_environment(
        self, https: RecordingProxy, authority: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(variable, str(authority / "ca.pem"))
        with pytest.raises(ArchiveUnavailable, match=r"^Orthanc's certificate is not trusted\.$"):
            client_of(https).call(SYSTEM)
        assert https.requests == []

    def test_a_certificate_for_another_host_is_not_trusted(self, https: RecordingProxy, authority: Path) -> None:
        client = client_of(https, base_url=f"https://localhost:{https.port}", ca_bundle=str(authority / "ca.pem"))
        with pytest.raises(ArchiveUnavailable, match="certificate"):
            client.call(SYSTEM)
        assert https.requests == []

    def test_a_ca_bundle_that_is_missing_is_an_archive_error(self, https: RecordingProxy, tmp_path: Path) -> None:
        missing = tmp_path / "missing.pem"
        with pytest.raises(ArchiveError) as caught:
            client_of(https, ca_bundle=str(missing)).call(SYSTEM)
        assert str(tmp_path) not in caught.value.message

    def test_https_to_a_server_without_it_is_unavailable(self, proxy: RecordingProxy) -> None:
        with pytest.raises(ArchiveUnavailable):
            client_of(proxy, base_url=f"https://127.0.0.1:{proxy.port}").call(SYSTEM)


BEING_DELETED = answering(400, b'{"HttpStatus": 400, "OrthancStatus": 3, "Message": "Parameter out of range"}')


@pytest.mark.live
class TestDeletionInProgress:
    CALLS: Mapping[str, Callable[[OrthancClient], object]] = {
        "read": lambda client: client.call(RESOURCE, level="patients", id=SOME_ID),
        "download": lambda client: client.open(LEVEL_ARCHIVE, level="patients", id=SOME_ID),
        "delete": lambda client: client.call(DELETE, level="patients", id=SOME_ID),
    }

    @pytest.mark.parametrize("call", CALLS)
    def test_a_resource_that_is_being_deleted_is_asked_for_again(
        self, proxy: RecordingProxy, client: OrthancClient, call: str
    ) -> None:
        proxy.fail(BEING_DELETED)
        with recording() as log, pytest.raises(NotFound):
            self.CALLS[call](client)
        assert [one.status for one in log.calls] == [400, 404]

    @pytest.mark.parametrize("call", CALLS)
    def test_and_is_not_found_if_it_is_still_being_deleted(
        self, proxy: RecordingProxy, client: OrthancClient, call: str
    ) -> None:
        proxy.fail(BEING_DELETED, BEING_DELETED)
        with recording() as log, pytest.raises(NotFound):
            self.CALLS[call](client)
        assert [one.status for one in log.calls] == [400, 400]

    def test_it_is_read_if_it_was_not_deleted(
        self, proxy: RecordingProxy, client: OrthancClient, instance_id: str
    ) -> None:
        proxy.fail(BEING_DELETED)
        assert client.call(RESOURCE, level="instances", id=instance_id)["ID"] == instance_id

    @pytest.mark.parametrize(
        ("path", "call", "fault"),
        [
            ("/tools/find", READING_CALLS["find"], BEING_DELETED),
            ("/patients/", CALLS["read"], answering(400, b'{"OrthancStatus": 8}')),
        ],
    )
    def test_other_bad_requests_are_not_repeated(
        self,
        proxy: RecordingProxy,
        client: OrthancClient,
        path: str,
        call: Callable[[OrthancClient], object],
        fault: Fault,
    ) -> None:
        proxy.fail(fault)
        with recording() as log, pytest.raises(ArchiveRejected):
            call(client)
        assert [path in request.path for request in proxy.requests] == [True]
        assert log.count == 1


@pytest.mark.live
class TestCallLog:
    def test_every_call_is_counted_and_timed(self, proxy: RecordingProxy, client: OrthancClient) -> None:
        proxy.fail(Fault(delay=0.3))
        started = time.perf_counter()
        with recording() as log:
            client.call(SYSTEM)
            client.call(FIND, body=FIND_PATIENTS)
            with pytest.raises(NotFound):
                client.call(RESOURCE, level="studies", id=SOME_ID)
        assert 0.3 <= log.seconds <= time.perf_counter() - started
        assert log.count == 3
        assert [(call.method, call.template, call.status) for call in log.calls] == [
            ("GET", "/system", 200),
            ("POST", "/tools/find", 200),
            ("GET", "/{level}/{id}", 404),
        ]
        assert log.calls[0].size == len(b"".join(client.open(SYSTEM)))
        assert sum(call.seconds for call in log.calls) == pytest.approx(log.seconds)

    def test_a_retry_counts_as_a_call(self, proxy: RecordingProxy, client: OrthancClient) -> None:
        proxy.fail(DROPPED, answering(503))
        with recording() as log, pytest.raises(ArchiveUnavailable):
            client.call(SYSTEM)
        assert [call.status for call in log.calls] == [0, 503]

    def test_an_inner_log_is_part_of_the_outer_one(self, client: OrthancClient) -> None:
        with recording() as outer:
            client.call(SYSTEM)
            with recording() as inner:
                client.call(SYSTEM)
        assert (inner.count, outer.count) == (1, 2)


@pytest.fixture(scope="module")
def patients(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    orthanc = start_orthanc()
    load(orthanc, [instance(PatientName=NAME, PatientID=PATIENT_ID)])
    return orthanc


@pytest.mark.live
class TestLog:
    def use(self, proxy: RecordingProxy, client: OrthancClient) -> list[Call]:
        """Make calls that go well and calls that don't, all of them about a patient."""
        body = {"Level": "Patient", "Query": {"PatientName": NAME, "PatientID": PATIENT_ID}}
        with recording() as log:
            [patient_id] = client.call(FIND, body=body)
            tags = client.call(RESOURCE, level="patients", id=patient_id)["MainDicomTags"]
            assert (tags["PatientName"], tags["PatientID"]) == (NAME, PATIENT_ID)
            list(client.open(LEVEL_ARCHIVE, level="patients", id=patient_id))
            for fault in ("a dropped connection", "an HTML page", "400", "too slow", "a body that breaks off"):
                proxy.keep_failing(FAULTS[fault])
                # what is not too slow has the time that a busy machine takes
                with impatient() if fault == "too slow" else nullcontext(), pytest.raises(ArchiveError):
                    client.call(FIND, body=body)
            proxy.recover()
        return log.calls

    def test_calls_are_logged_without_patient_data_if_enabled(
        self, patients: LocalOrthanc, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        caplog.set_level(logging.DEBUG, logger="orthancproxy")
        with RecordingProxy(patients.port) as proxy:
            calls = self.use(
                proxy,
                client_of(proxy, username="gateway-user", password="gateway-password", log_calls=True),
            )
            secrets = [NAME, PATIENT_ID, "4711", "Gildong", "gateway-user", "gateway-password"]
            secrets += [proxy.base_url, "127.0.0.1", str(proxy.port)]
        logged = [record for record in caplog.records if record.name == "orthancproxy.orthanc"]
        assert [(vars(record)["orthanc_path"], vars(record)["orthanc_status"]) for record in logged] == [
            (call.template, call.status) for call in calls
        ]
        assert all(vars(record)["orthanc_ms"] >= 0 for record in logged)
        text = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records) + caplog.text
        for secret in secrets:
            assert secret not in text

    def test_calls_are_not_logged_by_default(self, patients: LocalOrthanc, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, logger="orthancproxy")
        with RecordingProxy(patients.port) as proxy:
            self.use(proxy, client_of(proxy))
        assert [record for record in caplog.records if record.name.startswith("orthancproxy")] == []


@pytest.mark.live
class TestCapabilities:
    def test_capabilities_are_read_once(self, client: OrthancClient, archive: LocalOrthanc) -> None:
        with recording() as first:
            assert client.capabilities().version == archive.version
        with recording() as later:
            assert client.capabilities() is client.capabilities()
        assert (first.count >= 2, later.count) == (True, 0)

    # an Orthanc that can't write is still the same
    @pytest.mark.parametrize("fault", [name for name in TRANSIENT if "folder" not in name])
    def test_capabilities_are_read_again_after_a_failure(
        self, proxy: RecordingProxy, client: OrthancClient, fault: str
    ) -> None:
        before = client.capabilities()
        proxy.fail(TRANSIENT[fault], TRANSIENT[fault])
        with pytest.raises(ArchiveUnavailable):
            client.call(SYSTEM)
        with recording() as log:
            assert client.capabilities() == before
        assert ("GET", "/system") in [(call.method, call.template) for call in log.calls]

    def test_capabilities_are_read_again_after_a_failure_hidden_by_a_retry(
        self, proxy: RecordingProxy, client: OrthancClient
    ) -> None:
        client.capabilities()
        proxy.fail(DROPPED)
        client.call(SYSTEM)
        with recording() as log:
            client.capabilities()
        assert log.count >= 2

    @pytest.mark.parametrize("fault", ["400", "404", "500"])
    def test_capabilities_are_not_read_again_after_a_rejection(
        self, proxy: RecordingProxy, client: OrthancClient, fault: str
    ) -> None:
        client.capabilities()
        proxy.fail(FAULTS[fault])
        with pytest.raises(GatewayError):
            client.call(SYSTEM)
        with recording() as log:
            client.capabilities()
        assert log.count == 0

    def test_a_replaced_orthanc_is_noticed(
        self, archive: LocalOrthanc, start_orthanc: Callable[..., LocalOrthanc]
    ) -> None:
        successor = start_orthanc(configuration={"Name": "successor"})
        with RecordingProxy(archive.port) as proxy:
            client = client_of(proxy)
            assert client.capabilities().name == "sandbox"
            proxy.keep_failing(DROPPED)
            with pytest.raises(ArchiveUnavailable):
                client.ping()
            with pytest.raises(ArchiveUnavailable):
                client.capabilities()
            proxy.recover()
            proxy.target = successor.port
            assert client.capabilities().name == "successor"

    def test_capabilities_are_read_again_after_a_restart(self, start_orthanc: Callable[..., LocalOrthanc]) -> None:
        orthanc = start_orthanc()
        client = client_of(orthanc)
        before = client.capabilities()
        orthanc.kill()
        assert client.capabilities() is before
        with pytest.raises(ArchiveUnavailable):
            client.ping()
        orthanc.start()
        with recording() as log:
            assert client.capabilities() == before
        assert log.count >= 2

    def test_many_threads_get_the_same_capabilities(self, client: OrthancClient) -> None:
        found = []
        threads = [threading.Thread(target=lambda: found.append(client.capabilities())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [client.capabilities()] * 8

    def test_threads_wait_for_an_orthanc_that_takes_long_to_detect(self, proxy: RecordingProxy) -> None:
        client = client_of(proxy, connect_timeout=0.1)
        proxy.fail(Fault(delay=0.5))
        threads = [threading.Thread(target=client.capabilities) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert proxy.lines().count("GET /system") == 1


def parts_of(endpoint: Endpoint) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(endpoint.template) if name]


WITH_PARTS = {name: endpoint for name, endpoint in DECLARED.items() if parts_of(endpoint)}
GOOD_PARTS: dict[str, str | int] = {
    "level": "studies",
    "id": SOME_ID,
    "frame": 0,
    "sequence": "0028-9132",
    "tag": "0028-1050",
    "tags": "0028-9132",
    "name": "PACS",
    "job": "01234567-89ab-4def-8123-456789abcdef",
    "search": "01234567-89ab-4def-8123-456789abcdef",
    "label": "urgent",
    "metadata": "1024",
    "attachment": 1024,
}
# which read the configuration of Orthanc, send to servers of it or retrieve from them, and follow that
OF_JOBS = {
    "GET /modalities",
    "GET /peers",
    "GET /dicom-web/servers",
    "POST /modalities/{name}/echo",
    "GET /peers/{name}/system",
    "POST /dicom-web/servers/{name}/get",
    "POST /modalities/{name}/store",
    "POST /peers/{name}/store",
    "POST /dicom-web/servers/{name}/stow",
    "POST /modalities/{name}/query",
    "GET /queries/{search}/answers",
    "POST /queries/{search}/retrieve",
    "DELETE /queries/{search}",
    "GET /jobs",
    "GET /jobs/{job}",
    "POST /jobs/{job}/cancel",
}
HARMLESS_NAMES = {"upper case", "no dashes"}
"""Hostile ids that are labels, and names of servers, as good as any."""


class TestAllowlist:
    @pytest.mark.live
    @pytest.mark.parametrize("name", WITH_PARTS)
    @pytest.mark.parametrize("hostile", HOSTILE_IDS)
    def test_malformed_ids_are_never_sent(
        self, proxy: RecordingProxy, client: OrthancClient, name: str, hostile: str
    ) -> None:
        endpoint = WITH_PARTS[name]
        for part in parts_of(endpoint):
            if part in ("label", "name", "metadata") and hostile in HARMLESS_NAMES:
                continue
            parts: dict[str, Any] = {known: GOOD_PARTS[known] for known in parts_of(endpoint)}
            parts[part] = HOSTILE_IDS[hostile]
            with pytest.raises(InvalidRequest) as caught:
                client.call(endpoint, **parts)
            with pytest.raises(InvalidRequest):
                client.open(endpoint, **parts)
            assert len(caught.value.message) < 100
        assert proxy.requests == []

    @pytest.mark.parametrize("endpoint", WITH_PARTS.values(), ids=list(WITH_PARTS))
    def test_well_formed_ids_are_part_of_the_path(self, endpoint: Endpoint) -> None:
        parts = {known: GOOD_PARTS[known] for known in parts_of(endpoint)}
        assert endpoint.path(**parts) == endpoint.template.format(**parts)

    @pytest.mark.parametrize("name", [".", "..", ".x", "a/b", "a b", "a?b", "a%2fb", "", "x" * 65, "é", "a\n", 1, None])
    def test_a_server_has_a_plain_name(self, name: Any) -> None:
        with pytest.raises(InvalidRequest):
            endpoints.MODALITY_STORE.path(name=name)

    @pytest.mark.parametrize("frame", [-1, "0", "1", 1.5, None])
    def test_a_frame_is_a_number(self, frame: Any) -> None:
        with pytest.raises(InvalidRequest):
            endpoints.FRAME_RENDERED.path(id=SOME_ID, frame=frame)

    @pytest.mark.parametrize("number", [-1, 0, 1, 1023, 65536, "1024", "dicom", None])
    def test_an_attachment_is_one_of_those_of_users(self, number: Any) -> None:
        with pytest.raises(InvalidRequest):
            endpoints.SET_ATTACHMENT.path(level="studies", id=SOME_ID, attachment=number)

    @pytest.mark.parametrize("level", ["Studies", "study", "tools", "modalities", "changes"])
    def test_a_level_is_one_of_the_four(self, level: str) -> None:
        with pytest.raises(InvalidRequest):
            RESOURCE.path(level=level, id=SOME_ID)

    @pytest.mark.parametrize(
        "forbidden",
        [
            "/tools/reset",
            "/tools/shutdown",
            "/tools/execute-script",
            "/modalities",
            "/peers",
            "/jobs",
            "/plugins/{",
            "*",
        ],
    )
    def test_no_harmful_endpoint_is_declared(self, forbidden: str) -> None:
        assert len(DECLARED) > 5
        for endpoint in DECLARED.values():
            assert not re.match(r"/plugins/(?!\w+-index$)", endpoint.template)
            if f"{endpoint.method} {endpoint.template}" in OF_JOBS:
                continue
            assert forbidden not in endpoint.template
            assert set(parts_of(endpoint)) <= GOOD_PARTS.keys()
            # a template that begins with a part could become any path
            harmless = {
                "system",
                "plugins",
                "statistics",
                "changes",
                "tools",
                "studies",
                "series",
                "instances",
                "{level}",
            }
            assert endpoint.template.split("/")[1] in harmless

    def test_only_idempotent_endpoints_are_repeatable(self) -> None:
        reading = {"/tools/find", "/tools/bulk-content", "/tools/count-resources"}
        # Orthanc keeps what it has under a UID, and a resource has a label once
        idempotent = {
            "/instances",
            "/{level}/{id}/labels/{label}",
            "/{level}/{id}/metadata/{metadata}",
            "/{level}/{id}/attachments/{attachment}",
            "/instances/{id}/reconstruct",
            "/studies/{id}/metadata/4717",
        }
        for endpoint in DECLARED.values():
            assert endpoint.repeatable == (endpoint.method == "GET" or endpoint.template in reading | idempotent)
