"""One study, requested by 8 concurrent clients: processes that send a request as soon as the last is answered."""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks import baselines, queries
from benchmarks.baselines import Orthanc
from benchmarks.measuring import Goal, Quantity, Row, ratio, tell
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
    seconds: float = SECONDS

    @property
    def name(self) -> str:
        """The name of the server."""
        return "Orthanc" if self.gateway is None else "gateway"

    def repeat(self, start: float) -> list[tuple[float, float]]:
        """Return the start and end of each request (monotonic seconds), for some seconds from the start."""
        with Reader(self.gateway or self.orthanc.address) as reader:
            answer = self._ask(reader)
            self._check(answer)
            time.sleep(max(0.0, start - time.monotonic()))
            # a new process may miss the start; that round is not counted
            end = time.monotonic() + self.seconds
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
    with reading(WHOLE, options) as (orthanc, gateway):
        study = orthanc.first("studies")
        targets = [Target(study, orthanc, gateway.address), Target(study, orthanc)]
        yield compare_rates(name, [[target] * CLIENTS for target in targets], options.rounds)


def compare_rates(
    name: str, sides: Sequence[Sequence[Target]], rounds: int, goal: Goal | None = None, column: str = ""
) -> Row:
    """Return the ratio of the requests per second of two sides, each with the target of every client."""
    loads: dict[str, list[Load]] = {side[0].name: [] for side in sides}
    with ProcessPoolExecutor(CLIENTS, mp_context=multiprocessing.get_context("spawn")) as pool:
        # round -1 starts the processes and warms up the servers
        for number in range(-1, rounds):
            for side in sides[:: 1 if number % 2 == 0 else -1]:
                load = _measure(pool, side)
                if number >= 0:
                    loads[side[0].name].append(load)
                    tell(f"{name}, round {number + 1} of {rounds}: {side[0].name} {load.rate:.0f} a second")
    parts = [part for label, measured in loads.items() for part in _parts(label, measured)]
    rates = [[load.rate for load in measured] for measured in loads.values()]
    return Row(name, ratio(*rates), tuple(parts), goal, column)


def _measure(pool: ProcessPoolExecutor, targets: Sequence[Target]) -> Load:
    start = time.monotonic() + _HEAD_START
    futures = [pool.submit(target.repeat, start) for target in targets]
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
