"""Clients that are slow, silent or gone cost no worker: raw connections to a gateway as it is deployed."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from benchmarks.soak.process import Held, held
from orthancproxy.conf import conf
from orthancproxy.project.edge.request_shares import MAX_REQUESTS_PER_CLIENT
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.orthancs import NOT_FOLLOWING
from tests.uploads.upload_client import (
    CONTENT_TYPE,
    REST,
    REST_PATH,
    asked,
    count_instances,
    found,
    is_stored,
    over_http,
    slices,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

MEGABYTE = 1024 * 1024
FILE = 50 * MEGABYTE
FILES = 4
TIMEOUT = 4.0  # seconds: ORTHANC_CLIENT_TIMEOUT of the gateway that is strict
QUERY = json.dumps({"query": "{ patients(first: 1) { nodes { patientId studies { description } } } }"}).encode()
PROMPTLY = 2.0  # seconds
SLOTS = conf.ORTHANC_MAX_DOWNLOADS


@dataclass(frozen=True, slots=True)
class Served:
    """An Orthanc with a study of large files, and gateways before it: one as it comes, and a strict one."""

    orthanc: LocalOrthanc
    gateway: LocalGateway
    strict: LocalGateway
    file: str
    archive: str

    def holds(self, gateway: LocalGateway) -> Held:
        """What a gateway's process holds."""
        return held(gateway.pid, self.orthanc.port)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    frames = FILE // (1024 * 1024 * 2)
    pixels = bytes(range(256)) * (FILE // 256)
    with ExitStack() as stack:
        orthanc = stack.enter_context(LocalOrthanc(configuration={"StorageCompression": False}))
        for number in range(1, FILES + 1):
            # each over a connection of its own: Orthanc closes one that is idle for the second that a file takes
            load(
                orthanc,
                [instance(number=number, Rows=1024, Columns=1024, NumberOfFrames=frames, PixelData=pixels)],
            )
        [study] = found(orthanc, "Study")
        file = asked(orthanc, f"/studies/{study['ID']}/instances")[0]["ID"]
        usual, strict = (
            stack.enter_context(serving(orthanc.base_url, tmp_path_factory.mktemp("gateway"), settings=settings))
            for settings in (NOT_FOLLOWING, {**NOT_FOLLOWING, "ORTHANC_CLIENT_TIMEOUT": str(TIMEOUT)})
        )
        archive = f"/api/orthanc/studies/{study['ID']}/archive/"
        ready = Served(orthanc, usual, strict, f"/api/orthanc/instances/{file}/file/", archive)
        for gateway in (usual, strict):
            # what the first requests of a process load
            ask(gateway, "POST", "/graphql/", QUERY)
            check_others(ready, gateway, f"warm-up {gateway.port}")
            check_download(ready, gateway)
        yield ready


def head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


JSON_BODY = head("POST", "/graphql/", "Content-Type: application/json", f"Content-Length: {len(QUERY)}")
UPLOAD_BODY = head("POST", REST_PATH, f"Content-Type: {CONTENT_TYPE}", "Content-Length: 100000")
UPLOAD = REST().body(slices(3), patientId="CUT")


def connect(
    gateway: LocalGateway, sent: bytes = b"", *, narrow: bool = False, address: str = "127.0.0.1"
) -> socket.socket:
    """A connection on which this was sent; a narrow one takes little before it is read."""
    client = socket.socket()
    client.bind((address, 0))
    if narrow:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", gateway.port))
    client.sendall(sent)
    return client


def seconds_of(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def ask(gateway: LocalGateway, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content[:500]
    return content


def check_others(served: Served, gateway: LocalGateway, patient_id: str) -> None:
    """A query and an upload go on as ever."""
    assert seconds_of(lambda: ask(gateway, "POST", "/graphql/", QUERY)) < PROMPTLY
    outcome = REST(over_http(gateway.port))(slices(2), patientId=patient_id)
    assert outcome.counts == (2, 0, 0)
    assert is_stored(served.orthanc, patient_id)


def check_download(served: Served, gateway: LocalGateway) -> None:
    assert len(ask(gateway, "GET", served.file)) > FILE


def close(clients: Sequence[socket.socket]) -> None:
    for client in clients:
        client.close()


# what a client may do, and then nothing more
SILENCES = {
    "nothing": b"",
    "half a head": b"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nX-A",
    "a head without its body": JSON_BODY,
    "half a body": JSON_BODY + QUERY[:20],
    "an upload without its body": UPLOAD_BODY,
    "half an upload": UPLOAD_BODY + UPLOAD[: len(UPLOAD) // 2],
}


class TestSilentClients:
    def test_cost_one_descriptor_each(self, served: Served) -> None:
        wait_until(lambda: served.holds(served.gateway).connections == 0)
        before = served.holds(served.gateway)
        stored = count_instances(served.orthanc)
        clients = [connect(served.gateway, sent) for sent in SILENCES.values() for _ in range(34)]
        wait_until(lambda: served.holds(served.gateway).descriptors - before.descriptors >= len(clients))
        meanwhile = served.holds(served.gateway)
        assert meanwhile.threads - before.threads <= 4
        assert meanwhile.connections == 0
        assert meanwhile.memory - before.memory < 30 * MEGABYTE
        check_others(served, served.gateway, "silent")
        check_download(served, served.gateway)
        close(clients)
        # what each of a request's threads keeps open stays
        wait_until(lambda: served.holds(served.gateway).descriptors - before.descriptors < 150)
        wait_until(lambda: served.holds(served.gateway).threads - before.threads < 40)
        wait_until(lambda: served.holds(served.gateway).connections == 0)
        assert count_instances(served.orthanc) == stored + 2
        assert not is_stored(served.orthanc, "CUT")


class TestUnfinishedRequests:
    def test_hold_no_download_slot(self, served: Served) -> None:
        sent = head("GET", served.file, "Content-Length: 2000000") + b"xx"
        clients = [connect(served.gateway, sent) for _ in range(2 * SLOTS)]
        assert seconds_of(lambda: check_download(served, served.gateway)) < PROMPTLY
        close(clients)


def answered(client: socket.socket) -> tuple[bytes, float]:
    """What comes until the connection ends, and when that is."""
    content = b""
    # reset where the gateway did not read everything
    with suppress(ConnectionResetError):
        while piece := client.recv(MEGABYTE):
            content += piece
    return content, time.monotonic()


def trickle(client: socket.socket, content: bytes, stop: threading.Event) -> None:
    """Send a byte now and then."""
    for position in range(len(content)):
        if stop.wait(0.5):
            return
        try:
            client.sendall(content[position : position + 1])
        except OSError:
            return


TRICKLES = {
    "a head": (b"", b"GET /livez HTTP/1.1\r\n" + b"X-A: 1\r\n" * 100),
    "a body": (JSON_BODY, QUERY),
    "an upload": (UPLOAD_BODY, UPLOAD),
}


class TestTimeout:
    def test_closes_slow_connections(self, served: Served) -> None:
        gateway, stop = served.strict, threading.Event()
        before = served.holds(gateway)
        with ThreadPoolExecutor(20) as pool:
            started = time.monotonic()
            clients = {name: connect(gateway, sent) for name, sent in SILENCES.items()}
            for name, (sent, trickled) in TRICKLES.items():
                clients[f"trickling {name}"] = connect(gateway, sent)
                pool.submit(trickle, clients[f"trickling {name}"], trickled, stop)
            unread = connect(gateway, head("GET", served.archive), narrow=True)
            reading = connect(gateway, head("GET", served.file))
            slowly = pool.submit(read_slowly, reading, 2 * TIMEOUT)
            ends = {name: pool.submit(answered, client) for name, client in clients.items()}
            for name, ending in ends.items():
                answer, at = ending.result()
                assert TIMEOUT <= at - started < 3 * TIMEOUT, name
                assert answer.startswith(b"HTTP/1.1 408 "), name
                assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "LIMIT_EXCEEDED", name
            stop.set()
            assert slowly.result() > FILE
            wait_until(lambda: served.holds(gateway).connections == 0, 3 * TIMEOUT)
            wait_until(lambda: served.holds(gateway).descriptors - before.descriptors < 40)
            close([*clients.values(), unread, reading])


def read_slowly(client: socket.socket, seconds: float) -> int:
    """Read an answer in some hundred pieces; return how much it was."""
    size, length = 0, FILE
    client.settimeout(30)
    while size < length and (piece := client.recv(MEGABYTE // 2)):
        size += len(piece)
        time.sleep(seconds * len(piece) / length)
    return size


class TestSlowReaders:
    def test_do_not_block_other_requests(self, served: Served) -> None:
        gateway = served.gateway
        before = served.holds(gateway)
        clients = [
            connect(gateway, head("GET", path), narrow=True, address=address)
            for _ in range(25)
            for path in (served.file, served.archive)
            for address in ("127.0.0.1", "127.0.0.2")
        ]
        wait_until(lambda: served.holds(gateway).connections >= SLOTS)
        # besides the downloads, the calls that look their files up
        wait_until(lambda: served.holds(gateway).connections <= SLOTS + 2)
        meanwhile = served.holds(gateway)
        assert meanwhile.connections >= SLOTS
        assert meanwhile.memory - before.memory < 100 * MEGABYTE
        # those that wait for a slot have one each, and those that read
        assert meanwhile.threads - before.threads < 2 * MAX_REQUESTS_PER_CLIENT + 4 * SLOTS
        check_others(served, gateway, "readers")
        close(clients)
        wait_until(lambda: served.holds(gateway).connections == 0)
        assert served.holds(gateway).memory - before.memory < 100 * MEGABYTE

    def test_of_one_caller_leave_half_of_the_slots_to_others(self, served: Served) -> None:
        gateway = served.gateway
        clients = [
            connect(gateway, head("GET", served.file), narrow=True, address="127.0.0.2") for _ in range(3 * SLOTS)
        ]
        wait_until(lambda: served.holds(gateway).connections >= SLOTS // 2)
        # long before the others lose their slots
        assert seconds_of(lambda: check_download(served, gateway)) < conf.ORTHANC_CLIENT_TIMEOUT / 4
        close(clients)
        wait_until(lambda: served.holds(gateway).connections == 0)

    def test_lose_their_slots_after_the_timeout(self, served: Served) -> None:
        gateway = served.strict
        clients = [
            connect(gateway, head("GET", served.file), narrow=True, address=f"127.0.0.{1 + number % 2}")
            for number in range(SLOTS)
        ]
        wait_until(lambda: served.holds(gateway).connections == SLOTS, TIMEOUT / 2)
        assert seconds_of(lambda: check_download(served, gateway)) < 3 * TIMEOUT
        close(clients)

    def test_may_pause_within_the_timeout(self, served: Served) -> None:
        with connect(served.gateway, head("GET", served.file), narrow=True) as client:
            time.sleep(4)
            assert read_slowly(client, 0) > FILE

    def test_release_everything_on_disconnect(self, served: Served) -> None:
        before = served.holds(served.gateway)
        for path in (served.file, served.archive):
            for _ in range(5):
                with connect(served.gateway, head("GET", path)) as client:
                    assert client.recv(100_000).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: served.holds(served.gateway).connections == 0)
        assert served.holds(served.gateway).threads - before.threads < SLOTS
