"""Files pass through the deployed gateway in constant memory, and stop at Orthanc when the client goes away."""

import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from select import select

import pytest

from orthancproxy.sandbox.gateway import LocalGateway
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.rest.conftest import HARMLESS_CALL, INSTANCE, SERIES, FalseOrthanc
from tests.waiting import wait_until

MEGABYTE = 1024 * 1024
Serve = Callable[[str], AbstractContextManager[LocalGateway]]


def begin(gateway: LocalGateway, address: str) -> socket.socket:
    """Ask for a download without reading it."""
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    client.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def is_alive(gateway: LocalGateway) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=2)
    connection.request("GET", "/livez")
    return connection.getresponse().status == 200


@pytest.mark.live
class TestLargeFile:
    SIZE = 200 * MEGABYTE
    UID = "1.2.826.0.1.3680043.8.498.99"

    def _store(self, orthanc: LocalOrthanc) -> tuple[str, bytes]:
        """Store a file; return its Orthanc id and the digest of its bytes."""
        frames = self.SIZE // (1024 * 1024 * 2)
        file = instance(
            StudyInstanceUID=self.UID,
            SeriesInstanceUID=self.UID,
            SOPInstanceUID=self.UID,
            Rows=1024,
            Columns=1024,
            NumberOfFrames=frames,
            PixelData=bytes(range(256)) * (self.SIZE // 256),
        )
        load(orthanc, [file])
        name = hashlib.sha1(f"P001|{self.UID}|{self.UID}|{self.UID}".encode(), usedforsecurity=False)
        digest = name.hexdigest()
        return "-".join(digest[at : at + 8] for at in range(0, 40, 8)), hashlib.sha256(file).digest()

    def test_takes_constant_memory_and_stops_when_the_client_disconnects(self, serve: Serve) -> None:
        with LocalOrthanc() as orthanc, serve(orthanc.base_url) as gateway:
            orthanc_id, stored = self._store(orthanc)
            address = f"/api/orthanc/instances/{orthanc_id}/file/"
            # what the first request of a process loads
            with closing(http.client.HTTPConnection("127.0.0.1", gateway.port)) as connection:
                connection.request("HEAD", address)
                assert connection.getresponse().status == 200
            before = gateway.peak_memory()
            assert self._download(gateway, address) == stored
            assert gateway.peak_memory() - before < 30 * MEGABYTE

            with begin(gateway, address) as client:
                assert client.recv(MEGABYTE)
                assert open_connections(orthanc.port)
            wait_until(lambda: not open_connections(orthanc.port))
            assert is_alive(gateway)

    def _download(self, gateway: LocalGateway, address: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        connection.request("GET", address)
        response = connection.getresponse()
        assert response.status == 200
        digest = hashlib.sha256()
        while piece := response.read(MEGABYTE):
            digest.update(piece)
        return digest.digest()


def open_connections(port: int) -> int:
    """How many established connections there are to a port of this machine (Linux, proc(5))."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[2].endswith(f":{port:04X}") and fields[3] == "01" for fields in lines)


class TestDisconnectedClient:
    @pytest.fixture
    def left(self) -> threading.Event:
        return threading.Event()

    def test_closes_a_response_that_orthanc_is_sending(
        self, serve: Serve, false_orthanc: FalseOrthanc, left: threading.Event
    ) -> None:
        def endless(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            try:
                while True:
                    handler.wfile.write(bytes(MEGABYTE))
            except OSError:
                left.set()
            handler.close_connection = True

        false_orthanc.answers[f"/series/{SERIES}/archive"] = endless
        with serve(false_orthanc.base_url) as gateway:
            with begin(gateway, f"/api/orthanc/series/{SERIES}/archive/") as client:
                assert client.recv(1000).startswith(b"HTTP/1.1 200")
                assert not left.is_set()
            assert left.wait(5)
            assert is_alive(gateway)

    @pytest.mark.parametrize("sent", [0, 4 * MEGABYTE])
    def test_closes_a_stalled_response(
        self, serve: Serve, false_orthanc: FalseOrthanc, left: threading.Event, sent: int
    ) -> None:
        """A thread that waits for the next bytes is woken up, long before the read timeout."""
        silent = threading.Event()

        def fall_silent(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000000")
            handler.end_headers()
            handler.wfile.write(bytes(sent))
            silent.set()
            # readable without data: the other side has hung up
            if select([handler.connection], [], [], 20)[0]:
                left.set()
            handler.close_connection = True

        false_orthanc.answers[f"/instances/{INSTANCE}/file"] = fall_silent
        with serve(false_orthanc.base_url) as gateway:
            with begin(gateway, f"/api/orthanc/instances/{INSTANCE}/file/") as client:
                received = 0
                while received < sent:
                    received += len(client.recv(MEGABYTE))
                assert silent.wait(5)
            started = time.monotonic()
            assert left.wait(10)
            assert time.monotonic() - started < 5
            assert is_alive(gateway)

    def test_closes_a_response_that_has_not_begun(
        self, serve: Serve, false_orthanc: FalseOrthanc, left: threading.Event
    ) -> None:
        asked, may_go_on = threading.Event(), threading.Event()

        def hesitate(handler: BaseHTTPRequestHandler) -> None:
            asked.set()
            assert may_go_on.wait(10)
            try:
                handler.send_response(200)
                handler.send_header("Content-Length", "1000000000")
                handler.end_headers()
                while True:
                    handler.wfile.write(bytes(MEGABYTE))
            except OSError:
                left.set()
            handler.close_connection = True

        false_orthanc.answers[f"/instances/{INSTANCE}/file"] = hesitate
        with serve(false_orthanc.base_url) as gateway:
            with begin(gateway, f"/api/orthanc/instances/{INSTANCE}/file/"):
                assert asked.wait(10)
            wait_until(lambda: not open_connections(gateway.port))
            may_go_on.set()
            assert left.wait(5)
            assert is_alive(gateway)

    def test_truncated_transfer_does_not_look_complete(self, serve: Serve, false_orthanc: FalseOrthanc) -> None:
        def broken(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b"PK\x03\x04" + bytes(MEGABYTE))
            handler.close_connection = True

        false_orthanc.answers[f"/series/{SERIES}/archive"] = broken
        with serve(false_orthanc.base_url) as gateway:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
            connection.request("GET", f"/api/orthanc/series/{SERIES}/archive/")
            response = connection.getresponse()
            assert response.status == 200
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                response.read()


class TestRawUrls:
    """What an HTTP client would not send: the path reaches the gateway as it is written."""

    @pytest.mark.parametrize(
        "path",
        [
            "/api/orthanc/instances/../../system",
            "/api/orthanc/instances/..%2f..%2fsystem/file/",
            "/api/orthanc/instances/%2e%2e/tools/reset?x=/file/",
            f"/api/orthanc/instances/{INSTANCE}%00/file/",
            f"/api/orthanc/instances/{INSTANCE}%0a/file/",
            "/api/orthanc/instances/%ff%fe/file/",
            "/api/orthanc/instances/" + "a" * 10_000 + "/file/",
            "/api/orthanc/studies/?patient_id=%ff%00",
        ],
        ids=lambda path: path[:50],
    )
    def test_are_rejected(self, path: str, raw_gateway: LocalGateway, raw_orthanc: FalseOrthanc) -> None:
        before = list(raw_orthanc.asked)
        with socket.create_connection(("127.0.0.1", raw_gateway.port), timeout=10) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = client.makefile("rb").read()
        status = int(answer.split()[1])
        assert status in (400, 404, 414)
        assert b'"code":' in answer
        assert all(map(HARMLESS_CALL.fullmatch, raw_orthanc.asked[len(before) :]))
