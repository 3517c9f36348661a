"""nginx before the gateway, as docker-compose.yml has it: it sends what the gateway permits straight from Orthanc."""

import http.client
import json
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from zipfile import ZipFile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orthancproxy.orthanc.endpoints import LEVEL_ARCHIVE
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.nginx import ACCEL_REDIRECT, LocalNginx, nginx_before
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests import corpus
from tests.orthancs import NOT_FOLLOWING, StartOrthanc
from tests.rest.conftest import INSTANCE, SERIES, FalseOrthanc, run_false_orthanc, send

PASSWORD = "s3cret: 한글"
FILE = corpus.instance(7, Rows=512, Columns=512, PixelData=bytes(range(256)) * 2048)
SETTINGS = {
    **NOT_FOLLOWING,
    "ORTHANC_ACCEL_REDIRECT": ACCEL_REDIRECT,
    "ORTHANC_TRUST_FORWARDED": "true",
    "ORTHANC_CORS_ORIGINS": "https://viewer.example.org",
    "DJANGO_SECURE_HSTS_SECONDS": "3600",
    "ORTHANC_DEBUG_LOG": "true",
}
# of a connection, and not of what is sent over it
OF_THE_CONNECTION = {"connection", "date", "keep-alive", "server", "transfer-encoding"}


class Answer:
    """A response that was read."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def code(self) -> str:
        """The code of an error, which is JSON."""
        assert self.headers["Content-Type"] == "application/json"
        return str(json.loads(self.body)["code"])


def ask(
    server: LocalNginx | LocalGateway, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, sent)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


class Deployment:
    """nginx, the gateway and an Orthanc that only they have the password of, with one file."""

    def __init__(self, nginx: LocalNginx, gateway: LocalGateway, orthanc: LocalOrthanc) -> None:
        self.nginx = nginx
        self.gateway = gateway
        self.orthanc = orthanc
        [self.instance], [series] = (json.loads(corpus.ask(orthanc, f"/{level}")) for level in ("instances", "series"))
        self.file = f"/api/orthanc/instances/{self.instance}/file/"
        self.zip = f"/api/orthanc/series/{series}/archive/"

    @contextmanager
    def calls(self) -> Iterator[list[str]]:
        """Yield the list that gets the gateway's calls to Orthanc at the end of the block."""
        start = self.gateway.log.stat().st_size
        calls: list[str] = []
        yield calls
        lines = self.gateway.log.read_bytes()[start:].splitlines()
        calls += [path for line in lines if (path := json.loads(line).get("orthanc_path"))]


@pytest.fixture(scope="module")
def deployment(start_session_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    orthanc = start_session_orthanc(users={"gateway": PASSWORD})
    corpus.load(orthanc, [FILE])
    credentials = {"ORTHANC_USERNAME": "gateway", "ORTHANC_PASSWORD": PASSWORD}
    with (
        serving(orthanc.base_url, tmp_path_factory.mktemp("gateway"), settings={**SETTINGS, **credentials}) as gateway,
        NamedTemporaryFile("w") as password,
    ):
        # as docker-compose.yml has it; for nginx, which is another user
        password.write(f"{PASSWORD}\n")
        password.flush()
        Path(password.name).chmod(0o644)
        of_nginx = {"ORTHANC_USERNAME": "gateway", "ORTHANC_PASSWORD_FILE": password.name}
        with nginx_before(gateway, orthanc.base_url, of_nginx) as nginx:
            yield Deployment(nginx, gateway, orthanc)


@pytest.mark.live
class TestFromOrthanc:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("kind", ["file", "zip"])
    def test_response_is_that_of_the_gateway(self, deployment: Deployment, kind: str, method: str) -> None:
        path, origin = getattr(deployment, kind), "https://viewer.example.org"
        direct = ask(
            deployment.gateway, path, method=method, Origin=origin, X_Request_ID="a1", X_Forwarded_Proto="http"
        )
        with deployment.calls() as calls:
            answer = ask(deployment.nginx, path, method=method, Origin=origin, X_Request_ID="a1")
        assert (answer.status, headers(answer)) == (200, headers(direct))
        assert not [call for call in calls if call.endswith(("/file", "/data", "/archive"))]
        if kind == "file":
            assert answer.body == (FILE if method == "GET" else b"")
        elif method == "GET":
            with ZipFile(BytesIO(answer.body)) as found:
                assert [found.read(name) for name in found.namelist()] == [FILE]

    @pytest.mark.parametrize("wanted", ["bytes=0-0", "bytes=1000-200000", "bytes=500000-", "bytes=-10"])
    def test_range_is_that_of_the_gateway(self, deployment: Deployment, wanted: str) -> None:
        direct = ask(deployment.gateway, deployment.file, Range=wanted, X_Request_ID="a1", X_Forwarded_Proto="http")
        answer = ask(deployment.nginx, deployment.file, Range=wanted, X_Request_ID="a1")
        assert (answer.status, headers(answer), answer.body) == (206, headers(direct), direct.body)

    def test_conditions_are_those_of_the_gateway(self, deployment: Deployment) -> None:
        etag = ask(deployment.nginx, deployment.file, method="HEAD").headers["ETag"]
        assert ask(deployment.nginx, deployment.file, If_None_Match=etag).status == 304
        assert ask(deployment.nginx, deployment.file, Range="bytes=5-9", If_Range=etag).body == FILE[5:10]
        assert ask(deployment.nginx, deployment.file, Range="bytes=5-9", If_Range='"another"').body == FILE
        assert ask(deployment.nginx, deployment.file, Range="bytes=5-6,8-9").body == FILE
        beyond = ask(deployment.nginx, deployment.file, Range="bytes=99999999-")
        assert (beyond.status, beyond.code()) == (416, "RANGE_NOT_SATISFIABLE")
        assert beyond.headers["Content-Range"] == f"bytes */{len(FILE)}"

    @pytest.mark.parametrize("path", ["/{}", "//{}", "/x/../{}", "/%6frthanc-files/instances/{id}/file", "/{}?x=1"])
    def test_its_location_is_for_no_client(self, deployment: Deployment, path: str) -> None:
        inside = f"orthanc-files/instances/{deployment.instance}/file"
        answer = ask(deployment.nginx, path.format(inside, id=deployment.instance), X_Accel_Redirect=f"/{inside}")
        assert (answer.status, answer.code()) == (404, "NOT_FOUND")


def headers(answer: Answer) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in answer.headers.items():
        if name.lower() not in OF_THE_CONNECTION:
            found.setdefault(name.lower(), []).append(value)
    return found


@pytest.fixture(scope="module")
def false_orthanc() -> Iterator[FalseOrthanc]:
    with run_false_orthanc() as running:
        yield running


@pytest.fixture(scope="module")
def nginx_before_false_orthanc(
    false_orthanc: FalseOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalNginx]:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        serving(false_orthanc.base_url, folder, settings=SETTINGS) as gateway,
        nginx_before(gateway, false_orthanc.base_url) as nginx,
    ):
        yield nginx


class TestFailingOrthanc:
    """What Orthanc rejects is the gateway's error, with no header of Orthanc's."""

    @pytest.mark.parametrize(
        ("status", "expected", "code"),
        [
            (302, 502, "ARCHIVE_ERROR"),
            (400, 502, "ARCHIVE_ERROR"),
            (401, 502, "ARCHIVE_ERROR"),
            (404, 404, "NOT_FOUND"),
            (500, 502, "ARCHIVE_ERROR"),
            (503, 503, "ARCHIVE_UNAVAILABLE"),
            (507, 503, "ARCHIVE_UNAVAILABLE"),
        ],
    )
    @pytest.mark.parametrize("kind", ["file", "zip"])
    def test_is_an_error_of_the_gateway(
        self,
        false_orthanc: FalseOrthanc,
        nginx_before_false_orthanc: LocalNginx,
        kind: str,
        status: int,
        expected: int,
        code: str,
    ) -> None:
        def reject(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name in ("Location", "X-Orthanc", "Set-Cookie"):
                handler.send_header(name, f"leaked={false_orthanc.base_url}")
            handler.send_header("Content-Length", "7")
            handler.end_headers()
            handler.wfile.write(b"Orthanc")

        self._answer(false_orthanc, reject)
        answer = ask(nginx_before_false_orthanc, self._path(kind))
        assert (answer.status, answer.code()) == (expected, code)
        assert "leaked" not in str(answer.headers)
        assert b"127.0.0.1" not in answer.body

    def test_connection_that_breaks_off_is_no_complete_file(
        self, false_orthanc: FalseOrthanc, nginx_before_false_orthanc: LocalNginx
    ) -> None:
        self._answer(false_orthanc, lambda handler: send(handler, b"x" * 1000, length=2000))
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(nginx_before_false_orthanc, self._path("file"))

    def test_only_its_body_is_sent(self, false_orthanc: FalseOrthanc, nginx_before_false_orthanc: LocalNginx) -> None:
        asked: list[Mapping[str, str]] = []

        def answer(handler: BaseHTTPRequestHandler) -> None:
            asked.append(dict(handler.headers.items()))
            handler.send_response(200)
            for name in ("Content-Type", "Content-Disposition", "Set-Cookie", "ETag", "Last-Modified", "Cache-Control"):
                handler.send_header(name, "leaked")
            handler.send_header("X-Accel-Redirect", "/readyz")
            handler.send_header("Content-Length", "5")
            handler.end_headers()
            handler.wfile.write(b"bytes")

        self._answer(false_orthanc, answer)
        response = ask(
            nginx_before_false_orthanc, self._path("file"), Cookie="sessionid=1", Accept="text/html", Range="lines=1-2"
        )
        assert (response.status, response.body) == (200, b"bytes")
        assert "leaked" not in str(response.headers)
        assert response.headers["Content-Type"] == "application/dicom"
        assert [sorted(headers) for headers in asked] == [["Connection", "Host"]]

    def _path(self, kind: str) -> str:
        return (
            f"/api/orthanc/instances/{INSTANCE}/file/" if kind == "file" else f"/api/orthanc/series/{SERIES}/archive/"
        )

    def _answer(self, orthanc: FalseOrthanc, answer: Callable[[BaseHTTPRequestHandler], object]) -> None:
        for path in (f"/instances/{INSTANCE}/file", f"/instances/{INSTANCE}/attachments/dicom/data"):
            orthanc.answers[path] = answer
        orthanc.answers[LEVEL_ARCHIVE.path(level="series", id=SERIES)] = answer


@pytest.fixture(scope="module")
def echo() -> Iterator[LocalGateway]:
    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = b""
            while chunk := self.rfile.readline():
                # a chunk at a time: length, data, end of line
                size = int(chunk, 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if self.path == "/first-part" or not size:
                    break
            self.do_GET()

        def do_GET(self) -> None:
            send(self, json.dumps({name.lower(): value for name, value in self.headers.items()}).encode())
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield LocalGateway(server.server_port, 0, Path())
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def certificate() -> Iterator[Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "images.example.org")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("images.example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    # nginx is another user, who cannot enter pytest's folders
    file = Path(tempfile.mkdtemp(prefix="tls-")) / "images.pem"
    file.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    file.parent.chmod(0o711)
    file.chmod(0o644)
    yield file
    shutil.rmtree(file.parent)


@pytest.fixture(scope="module")
def nginx_before_echo(echo: LocalGateway, certificate: Path) -> Iterator[LocalNginx]:
    tls = {"TLS_CERTIFICATE": str(certificate), "TLS_KEY": str(certificate)}
    with nginx_before(echo, "http://127.0.0.1:9", tls) as nginx:
        yield nginx


class TestBeforeAnything:
    """nginx before a server that answers with what it got."""

    FORGED: Mapping[str, str] = {
        **{f"X-Forwarded-{name}": "forged" for name in ("Host", "Port", "Prefix", "Proto")},
        "X-Forwarded-For": "192.0.2.1",
        "X-Sendfile-Type": "X-Sendfile",
    }

    def _got(self, connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> Mapping[str, str]:
        connection.request("GET", "/", headers={"Host": "images.example.org:8000", **headers})
        got: Mapping[str, str] = json.loads(connection.getresponse().read())
        connection.close()
        return {name: value for name, value in got.items() if name == "host" or name.startswith("x-")}

    def test_forwarded_headers_are_its_own(self, nginx_before_echo: LocalNginx, certificate: Path) -> None:
        expected = {
            "host": "images.example.org:8000",
            "x-forwarded-proto": "http",
            "x-forwarded-for": "127.0.0.1",
            "x-sendfile-type": "X-Accel-Redirect",
        }
        assert self._got(http.client.HTTPConnection("127.0.0.1", nginx_before_echo.port), self.FORGED) == expected
        trusting = ssl.create_default_context(cafile=str(certificate))
        trusting.check_hostname = False
        over_tls = http.client.HTTPSConnection("127.0.0.1", nginx_before_echo.tls_port, context=trusting)
        assert self._got(over_tls, self.FORGED) == {**expected, "x-forwarded-proto": "https"}

    def test_headers_of_a_proxy_before_it_are_passed_on(self, echo: LocalGateway) -> None:
        with nginx_before(echo, "http://127.0.0.1:9", {"ORTHANC_TRUST_FORWARDED": "true"}) as nginx:
            got = self._got(http.client.HTTPConnection("127.0.0.1", nginx.port), self.FORGED)
        forwarded = {name.lower(): value for name, value in self.FORGED.items()}
        assert got == {**forwarded, "host": "images.example.org:8000", "x-sendfile-type": "X-Accel-Redirect"}

    def test_body_is_passed_on_while_it_arrives(self, nginx_before_echo: LocalNginx) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", nginx_before_echo.port, timeout=10)
        connection.putrequest("POST", "/first-part")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(b"4\r\nhalf\r\n")
        # the rest never follows
        assert connection.getresponse().status == 200
        connection.close()

    def test_body_has_no_limit_of_its_own(self, nginx_before_echo: LocalNginx) -> None:
        chunks = b"".join(b"10000\r\n" + bytes(0x10000) + b"\r\n" for _ in range(40)) + b"0\r\n\r\n"
        connection = http.client.HTTPConnection("127.0.0.1", nginx_before_echo.port, timeout=10)
        connection.putrequest("POST", "/")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(chunks)
        assert connection.getresponse().status == 200
        connection.close()

    def test_gateway_that_is_down_is_an_error_in_json(self) -> None:
        with nginx_before(LocalGateway(9, 0, Path()), "http://127.0.0.1:9") as nginx:
            answer = ask(nginx, "/graphql/")
        assert (answer.status, answer.code()) == (503, "GATEWAY_UNAVAILABLE")
        assert answer.headers["Retry-After"] == "5"

    def test_own_errors_are_json(self, nginx_before_echo: LocalNginx) -> None:
        assert ask(nginx_before_echo, "/", X_Long="x" * 70_000).code() == "BAD_USER_INPUT"
        assert ask(nginx_before_echo, "/orthanc-events").code() == "NOT_FOUND"
