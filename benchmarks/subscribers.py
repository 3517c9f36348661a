"""A thousand subscribers of changes in one worker, each a user of its own: memory, CPU when idle, time of delivery."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests

from benchmarks import contents
from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, tell
from benchmarks.options import Options
from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc

SUBSCRIBERS = 1000
IDLE_SECONDS = 30.0
TIMEOUT_SECONDS = 60.0
SUBSCRIPTION = "subscription { archiveChanges { at cursor kind level orthancId study { description modalities } } }"
MAKE_USERS = """
from django.contrib.auth.models import Group, User
from orthancproxy.access.api_tokens import create_api_token
users = User.objects.bulk_create([User(username=f"subscriber{n}", password="!") for n in range(%d)])
Group.objects.get(name="Viewer").user_set.add(*users)
for user in users:
    print("token", create_api_token(user, 1)[1])
"""


def rows(options: Options) -> Iterator[Row]:
    """Return the rows on memory, CPU time when nothing changes, and the time until all have an event."""
    with LocalOrthanc() as orthanc, tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        settings = {"ORTHANC_MAX_STREAMS": str(2 * SUBSCRIBERS)}
        with serving(orthanc.base_url, Path(folder), settings=settings) as gateway:
            measured = asyncio.run(_measure(gateway, _tokens(Path(folder)), options.rounds))
    name = f"{SUBSCRIBERS:,} subscribers in one worker"
    megabytes, idle, alone, seconds = measured
    yield Row(f"{name}: memory", Quantity("", "MB", (megabytes,)), (), at_most(100))
    yield Row(
        f"{name}: CPU when nothing changes",
        Quantity("", "% of a core", (idle,)),
        (Quantity("without subscribers", "%", (alone,)),),
        at_most(3),
    )
    delivery = Quantity("", "ms", tuple(1000 * value for value in seconds))
    yield Row(f"{name}: from the log to the last of them", delivery, (), at_most(1000))


def _tokens(folder: Path) -> list[str]:
    """Return the API tokens of as many new users."""
    made = subprocess.run(  # noqa: S603
        [sys.executable, str(CHECKOUT / "manage.py"), "shell", "-v", "0", "-c", MAKE_USERS % SUBSCRIBERS],
        env={**os.environ, "DJANGO_DATA_DIR": str(folder / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.removeprefix("token ") for line in made.stdout.splitlines() if line.startswith("token ")]


@dataclass(frozen=True, slots=True)
class _Subscriber:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def told(self, orthanc_id: str) -> float:
        """Return how many seconds after a deletion was logged it was told."""
        while True:
            line = await self.reader.readline()
            if not line:
                raise BenchmarkError("The gateway has ended a stream.")
            if b'"DELETED"' in line and orthanc_id.encode() in line:
                change = json.loads(line.removeprefix(b"data: "))["data"]["archiveChanges"]
                return time.time() - datetime.fromisoformat(change["at"]).timestamp()


async def _measure(
    gateway: LocalGateway, tokens: Sequence[str], rounds: int
) -> tuple[float, float, float, Sequence[float]]:
    """Return the megabytes, the percentages of a core with and without subscribers, and the seconds."""
    subscribers = [await _subscribe(gateway, token) for token in tokens[:10]]
    await asyncio.sleep(3)
    alone = await _cpu(gateway)
    before = _resident_bytes(gateway)
    for token in tokens[10:]:
        subscribers.append(await _subscribe(gateway, token))  # noqa: PERF401
    # all are authenticated again once
    await asyncio.sleep(5)
    idle = await _cpu(gateway)
    tell(f"{len(subscribers)} subscribers: {idle:.2f} % of a core, {alone:.2f} % with ten")
    seconds = []
    for number in range(rounds):
        study = await asyncio.to_thread(_upload, gateway)
        await asyncio.sleep(3)
        told = [asyncio.ensure_future(one.told(study)) for one in subscribers]
        await asyncio.to_thread(_delete, gateway, study)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            seconds.append(max(await asyncio.gather(*told)))
        tell(f"round {number + 1} of {rounds}: {1000 * seconds[-1]:.0f} ms")
    megabytes = (_resident_bytes(gateway) - before) / 1e6
    for one in subscribers:
        one.writer.close()
    return megabytes, idle, alone, seconds


async def _subscribe(gateway: LocalGateway, token: str) -> _Subscriber:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=2**20)
    body = json.dumps({"query": SUBSCRIPTION})
    writer.write(
        f"POST /graphql/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    head = await reader.readuntil(b"retry: ")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise BenchmarkError(f"The gateway did not begin a stream: {head[:200]!r}")
    return _Subscriber(reader, writer)


async def _cpu(gateway: LocalGateway) -> float:
    """Return the CPU time of the gateway in the next seconds, in percent of a core."""
    before = _cpu_seconds(gateway)
    await asyncio.sleep(IDLE_SECONDS)
    return 100 * (_cpu_seconds(gateway) - before) / IDLE_SECONDS


def _cpu_seconds(gateway: LocalGateway) -> float:
    fields = Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(gateway: LocalGateway) -> int:
    return int(Path(f"/proc/{gateway.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _upload(gateway: LocalGateway) -> str:
    file = encode(next(contents.files(0)))
    answer = requests.post(
        f"{gateway.address}/api/orthanc/upload-patient/",
        {"patient_id": "Subscribed"},
        files={"files": file},
        timeout=TIMEOUT_SECONDS,
    )
    answer.raise_for_status()
    return str(answer.json()["studyId"])


def _delete(gateway: LocalGateway, study: str) -> None:
    answer = requests.delete(f"{gateway.address}/api/orthanc/studies/{study}/", timeout=TIMEOUT_SECONDS)
    answer.raise_for_status()
