"""Attacks on a gateway, and what they cost: a light caller its time, the gateway its memory.

Each is compared with the same light caller alone, right before it. Without the limits of ADR 0016, 55 finds made its
95th percentile 284 times (1.12.7) and 402 times (1.13.0) as long.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from benchmarks import contents
from benchmarks.servers import Archive, session
from benchmarks.soak.process import MEGABYTE, Sampler, held
from orthancproxy.sandbox import datasets
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc

SECONDS = 20.0  # of the light caller, alone and beside each attack
MAX_SLOWDOWN = 20.0  # of the light caller: the ratio of its medians
MAX_LATE_SLOWDOWN = 40.0  # the ratio of its 95th percentiles
MIN_QUERIES = 100  # for which a 95th percentile is not chance
MAX_MEMORY = 0.3  # of the bytes that an attack makes the gateway handle
SETTINGS = {
    # callers without credentials are told apart by their addresses
    "ORTHANC_TRUST_FORWARDED": "true",
    "ORTHANC_ANONYMOUS_ACTIONS": "view,download",
}

_ATTACKER, _LIGHT_CALLER = "10.0.0.1", "10.0.0.2"
_FIND = '{ instances(filter: {tags: [{keyword: "PatientComments", value: "*?*?z"}]}) { totalCount } }'
_QUERY = "{ patients(first: 1) { nodes { patientName } totalCount } }"
_BODY = b"x" * 2_400_000  # below the limit of 2.5 MB
_FORM_BYTES = 16_000_000_000
_PICTURE_SIDE = 5000  # pixels: 25 MB of noise
_CSRF_TOKEN = "a" * 32
_TIMEOUT = 120.0  # seconds
_POLL = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway that is attacked, and the Orthanc behind it."""

    gateway: LocalGateway
    orthanc: LocalOrthanc

    def connect(self, *, is_narrow: bool = False) -> socket.socket:
        """Return a connection; a narrow one takes little before it is read."""
        connection = socket.socket()
        if is_narrow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(_TIMEOUT)
        connection.connect(("127.0.0.1", self.gateway.port))
        return connection


@dataclass(frozen=True, slots=True)
class Attack:
    """What a caller does to the gateway as long as `begin` is entered, and the bytes that it makes it handle."""

    name: str
    begin: Callable[[Target], AbstractContextManager[None]]
    handled_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The durations of the light caller's queries, in seconds, and the memory that the attack took, in bytes."""

    attack: Attack
    alone: Sequence[float]
    beside: Sequence[float]
    memory: int

    @property
    def failures(self) -> Iterator[str]:
        """Yield a line for each exceeded limit."""
        if (ratio := statistics.median(self.beside) / statistics.median(self.alone)) > MAX_SLOWDOWN:
            yield f"{self.attack.name}: a light caller is {ratio:.0f} times as slow."
        late = percentile_95(self.beside) / percentile_95(self.alone)
        if late > MAX_LATE_SLOWDOWN and len(self.beside) >= MIN_QUERIES:
            yield f"{self.attack.name}: the 95th percentile of a light caller is {late:.0f} times as long."
        if self.attack.handled_bytes and self.memory > MAX_MEMORY * self.attack.handled_bytes:
            yield f"{self.attack.name}: they take {self.memory / MEGABYTE:.0f} MB of memory."

    def __str__(self) -> str:
        beside, alone = (
            f"p50 {1000 * statistics.median(one):.0f}, p95 {1000 * percentile_95(one):.0f} ms"
            for one in (self.beside, self.alone)
        )
        handled = f" of {self.attack.handled_bytes / MEGABYTE:,.0f}" if self.attack.handled_bytes else ""
        return f"{self.attack.name}: {beside}; alone {alone}; memory {self.memory / MEGABYTE:+.0f}{handled} MB"

    def as_json(self) -> dict[str, object]:
        """Return the outcome as JSON, with every query."""
        return {
            "attack": self.attack.name,
            "alone": list(self.alone),
            "beside": list(self.beside),
            "memory": self.memory,
            "bytes": self.attack.handled_bytes,
            "failures": list(self.failures),
        }


def load(orthanc: LocalOrthanc) -> None:
    """Store the 500 instances of one patient."""
    Archive(orthanc).post([datasets.encode(one) for one in contents.files(0)], threads=3)


def attack(orthanc: LocalOrthanc, folder: Path, attacks: Sequence[Attack], seconds: float = SECONDS) -> list[Outcome]:
    """Return the outcome of each attack on a new gateway before this Orthanc."""
    folder.mkdir(exist_ok=True)
    with serving(orthanc.base_url, folder, settings=SETTINGS) as gateway:
        return [_outcome(Target(gateway, orthanc), one, seconds) for one in attacks]


def _outcome(target: Target, attack: Attack, seconds: float) -> Outcome:
    # what the first requests load
    _ask(target, 1.0)
    alone = _ask(target, seconds)
    before = held(target.gateway.pid, target.orthanc.port)
    with (
        Sampler(lambda: held(target.gateway.pid, target.orthanc.port)) as sampler,
        attack.begin(target),
    ):
        beside = _ask(target, seconds)
    most = max((sample.memory for sample in sampler.samples), default=before.memory)
    return Outcome(attack, alone, beside, most - before.memory)


def _ask(target: Target, seconds: float) -> list[float]:
    """Repeat the light caller's query, at least 3 times; return the durations. Raises if one fails."""
    end = time.monotonic() + seconds
    durations: list[float] = []
    while time.monotonic() < end or len(durations) < 3:
        started = time.monotonic()
        with session() as one:
            answer = one.post(
                f"{target.gateway.address}/graphql/",
                json={"query": _QUERY},
                headers={"X-Forwarded-For": _LIGHT_CALLER},
                timeout=_TIMEOUT,
            ).json()
        if "errors" in answer:
            raise RuntimeError(f"The light caller's query failed: {answer['errors']}")
        durations.append(time.monotonic() - started)
        time.sleep(0.05)
    return durations


def percentile_95(durations: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(durations, n=20)[18]


@contextmanager
def _finds(target: Target) -> Iterator[None]:
    with _repeating(target, lambda _: _request("POST", "/graphql/", json.dumps({"query": _FIND}).encode()), 55):
        yield


@contextmanager
def _logins(target: Target) -> Iterator[None]:
    def login(number: int) -> bytes:
        fields = {"csrfmiddlewaretoken": _CSRF_TOKEN, "username": f"user{number}", "password": "wrong"}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={_CSRF_TOKEN}"}
        return _request("POST", "/login/", urlencode(fields).encode(), headers)

    with _repeating(target, login, 40):
        yield


@contextmanager
def _repeating(target: Target, request_of: Callable[[int], bytes], clients: int) -> Iterator[None]:
    """Repeat requests with a number of clients at once, each of which awaits the response to its last one."""
    stop = threading.Event()

    def repeat(client: int) -> None:
        number = client
        while not stop.is_set():
            with target.connect() as connection, suppress(ConnectionError):
                connection.sendall(request_of(number))
                connection.settimeout(_POLL)
                while not stop.is_set():
                    with suppress(TimeoutError):
                        if not connection.recv(65_536):
                            break
            number += clients

    threads = [threading.Thread(target=repeat, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def _unfinished_bodies(target: Target) -> Iterator[None]:
    request = _request("POST", "/graphql/", _BODY, length=len(_BODY) + 1)
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(target.connect()).sendall(request)
        yield


@contextmanager
def _forms(target: Target) -> Iterator[None]:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    form = _request("POST", "/graphql/", b"--b\r\n" + _BODY, headers, length=_FORM_BYTES)
    with _repeating(target, lambda _: form, 12):
        yield


@contextmanager
def _unread_pictures(target: Target) -> Iterator[None]:
    orthanc_id = _post_picture(target.orthanc)
    request = _request("GET", f"/api/orthanc/instances/{orthanc_id}/preview/")
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(target.connect(is_narrow=True)).sendall(request)
        yield


def _post_picture(orthanc: LocalOrthanc) -> str:
    dataset = next(contents.files(0))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, datasets.fixed_uid("noise", keyword))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID = "NOISE"
    pixels = np.random.default_rng(0).integers(0, 256, (_PICTURE_SIDE, _PICTURE_SIDE), np.uint8)
    datasets.set_pixels(dataset, pixels, bits_stored=8)
    Archive(orthanc).post([datasets.encode(dataset)], threads=1)
    with session() as one:
        find = {"Level": "Instance", "Query": {"PatientID": dataset.PatientID}}
        [orthanc_id] = one.post(f"{orthanc.base_url}/tools/find", json=find).json()
    return str(orthanc_id)


def _request(
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """Return a request of the attacker; `length` is the declared one, if that is not the body's."""
    given = {
        "Host": "localhost",
        "Connection": "close",
        "X-Forwarded-For": _ATTACKER,
        "Content-Type": "application/json",
        "Content-Length": str(len(body) if length is None else length),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode() + body


FINDS = Attack("55 finds that read every file", _finds)
OTHERS = (
    Attack("150 unfinished JSON bodies of 2.4 MB", _unfinished_bodies, 150 * len(_BODY)),
    Attack("12 forms of 16 GB without a login", _forms, 12 * _FORM_BYTES),
    Attack("40 unread previews of 25 MB", _unread_pictures, 40 * _PICTURE_SIDE**2),
    Attack("40 logins at once", _logins),
)
