"""One study, requested by 8 concurrent clients: processes that send a request as soon as the last is answered."""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks import baselines, queries
from benchmarks.baselines import Orthanc
from benchmarks.measuring import Quantity, Row, ratio, tell
from benchmarks.options import WHOLE, Options, reading
from benchmarks.reading import Reader

CLIENTS = 8
SECONDS = 4.0  # in each round, for each side
_HEAD_START = 1.0  # seconds, to open the connections


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a round: requests per second, and their durations in ms."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a client calls: the gateway, or Orthanc if there is no gateway."""

    study: str
    orthanc: Orthanc
    gateway: str | None = None

    @property
    def name(self) -> str:
        """The name of the server."""
        return "Orthanc" if self.gateway is None else "gateway"

    def repeat(self, start: float) -> list[tuple[float, float]]:
        """Return the start and end of each request (monotonic seconds), for `SECONDS` from the start."""
        with Reader(self.gateway or self.orthanc.address) as reader:
            answer = self._ask(reader)
            self._check(answer)
            time.sleep(max(0.0, start - time.monotonic()))
            # a new process may miss the start; that round is not counted
            end = time.monotonic() + SECONDS
            times = []
            while (begin := time.monotonic()) < end:
                answer = self._ask(reader)
                times.append((begin, time.monotonic()))
            self._check(answer)
            return times

    def _ask(self, reader: Reader) -> object:
        if self.gateway is None:
            return self.orthanc.study_over(reader, self.study)
        return queries.study_over(reader, self.study)

    def _check(self, answer: object) -> None:
        if self.gateway is None:
            baselines.check_study(answer)  # type: ignore[arg-type]
        else:
            queries.check_study(answer)


def rows(options: Options) -> Iterator[Row]:
    """Return the row on requests per second."""
    name = f"one study, {CLIENTS} clients at once: requests a second / fewest calls"
    with (
        reading(WHOLE, options.version) as (orthanc, gateway),
        ProcessPoolExecutor(CLIENTS, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        study = orthanc.first("studies")
        targets = [Target(study, orthanc, gateway.address), Target(study, orthanc)]
        loads: dict[str, list[Load]] = {target.name: [] for target in targets}
        # round -1 starts the processes and warms up the servers
        for number in range(-1, options.rounds):
            for target in targets[:: 1 if number % 2 == 0 else -1]:
                load = _measure(pool, target)
                if number >= 0:
                    loads[target.name].append(load)
                    tell(f"{name}, round {number + 1} of {options.rounds}: {target.name} {load.rate:.0f} a second")
        parts = [part for side, measured in loads.items() for part in _parts(side, measured)]
        rates = [[load.rate for load in measured] for measured in loads.values()]
        yield Row(name, ratio(*rates), tuple(parts))


def _measure(pool: ProcessPoolExecutor, target: Target) -> Load:
    start = time.monotonic() + _HEAD_START
    futures = [pool.submit(target.repeat, start) for _ in range(CLIENTS)]
    times = list(itertools.chain.from_iterable(future.result() for future in futures))
    seconds = max(end for _, end in times) - min(begin for begin, _ in times)
    durations = [1000 * (end - begin) for begin, end in times]
    return Load(len(times) / seconds, statistics.median(durations), statistics.quantiles(durations, n=100)[98])


def _parts(side: str, loads: list[Load]) -> list[Quantity]:
    return [
        Quantity(side, "/s", tuple(load.rate for load in loads)),
        Quantity("p50", "ms", tuple(load.p50 for load in loads)),
        Quantity("p99", "ms", tuple(load.p99 for load in loads)),
    ]
