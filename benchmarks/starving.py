"""A light caller's small query, alone and while another caller sends finds that read every file."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, tell
from benchmarks.options import WHOLE, Options
from benchmarks.servers import session
from benchmarks.stored import holding
from orthancproxy.sandbox.gateway import LocalGateway, serving

REQUESTS = 55  # at once
SECONDS = 20.0  # of each round, for each side
_ATTACK = '{ instances(filter: {tags: [{keyword: "PatientComments", value: "*?*?z"}]}) { totalCount } }'
_LIGHT = "{ patients(first: 1) { nodes { patientName } totalCount } }"
_TIMEOUT = 120.0  # seconds


def rows(options: Options) -> Iterator[Row]:
    """Return the row on the 95th percentile of the light caller's query."""
    name = f"small query while another caller has {REQUESTS} finds that read {WHOLE.instances:,} files: 95th percentile"
    with (
        holding(WHOLE, options.version) as orthanc,
        tempfile.TemporaryDirectory(prefix="gateway-") as folder,
        # callers without credentials are told apart by their addresses
        serving(orthanc.base_url, Path(folder), settings={"ORTHANC_TRUST_FORWARDED": "true"}) as gateway,
    ):
        alone, attacked = [], []
        for number in range(options.rounds):
            alone.append(_percentile_95(gateway))
            with ThreadPoolExecutor(REQUESTS) as pool:
                stop = threading.Event()
                attack = [pool.submit(_attack, gateway, stop) for _ in range(REQUESTS)]
                try:
                    attacked.append(_percentile_95(gateway))
                finally:
                    stop.set()
                answered = sum(future.result() for future in attack)
            tell(
                f"{name}, round {number + 1} of {options.rounds}: {attacked[-1]:.0f} ms, alone {alone[-1]:.0f} ms; "
                f"{answered} finds were answered"
            )
        yield Row(name, Quantity("", "ms", tuple(attacked)), (Quantity("alone", "ms", tuple(alone)),), at_most(1000))


def _percentile_95(gateway: LocalGateway) -> float:
    """Return the 95th percentile of the light caller's queries, in ms."""
    end = time.monotonic() + SECONDS
    durations = []
    while (start := time.monotonic()) < end:
        if not _ask(gateway, "10.0.0.2", _LIGHT):
            raise BenchmarkError("The light caller's query failed.")
        durations.append(1000 * (time.monotonic() - start))
        time.sleep(0.05)
    return statistics.quantiles(durations, n=20)[18]


def _attack(gateway: LocalGateway, stop: threading.Event) -> int:
    """Repeat the find; return how many were answered."""
    answered = 0
    while not stop.is_set():
        answered += _ask(gateway, "10.0.0.1", _ATTACK)
    return answered


def _ask(gateway: LocalGateway, address: str, query: str) -> bool:
    """Whether a query is answered without errors."""
    with session() as one:
        answer = one.post(
            f"{gateway.address}/graphql/",
            json={"query": query},
            headers={"X-Forwarded-For": address},
            timeout=_TIMEOUT,
        ).json()
    return "errors" not in answer
