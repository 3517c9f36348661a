"""Studies of a large archive: opened again, for the first time, by many clients, all at once, and as a REST list."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from benchmarks import baselines, queries
from benchmarks.clients import CLIENTS, Target, compare_rates
from benchmarks.large.archive import Group, SyntheticStudy
from benchmarks.large.rows import compare_in, side
from benchmarks.large.servers import HUNDREDS, LARGE, SMALL, THOUSANDS, USUAL, Column
from benchmarks.measuring import BenchmarkError, Quantity, Row, Side, at_least, at_most, duration, in_turn, ratio, timed
from benchmarks.options import Options
from benchmarks.reading import Reader

COLD_STUDIES = 5  # in each round, on each side
CLIENT_SECONDS = 1.5
WORKERS = 2


def warm_rows(options: Options) -> Iterator[Row]:
    """Return the rows on a study that was opened before: the ratio to Orthanc's three calls, and the difference."""
    study = next(LARGE.studies_of(USUAL))
    name = "one study, 50 instances, 15 fields, warm"
    for column in options.large.columns:
        ours, theirs = in_turn(f"{name}, {column.name}", _opening(column, study), options.rounds)
        parts = (duration("gateway", ours), duration("Orthanc", theirs))
        goal = at_most(1.3 if column.is_tuned else 0.03)
        yield Row(f"{name} / its three calls", ratio(ours, theirs), parts, goal, column.name)
        if column.is_tuned:
            more = tuple(1000 * (one - other) for one, other in zip(ours, theirs, strict=True))
            yield Row(f"{name}: longer than its three calls", Quantity("", "ms", more), (), at_most(4), column.name)


def big_rows(options: Options) -> Iterator[Row]:
    """Return the rows on a study of 2,000 instances that was opened before."""
    study = next(LARGE.studies_of(THOUSANDS))
    name = f"a study of {study.series * study.instances:,} instances, warm / its three calls"
    for column in options.large.columns:
        (_, ours), (_, theirs) = _opening(column, study)
        yield compare_in(name, column, (ours, theirs), options.rounds, at_most(0.4) if column.is_tuned else None)


def cold_rows(options: Options) -> Iterator[Row]:
    """Return the rows on studies that are opened for the first time. Orthanc has them in no cache of its own either."""
    name = "any study of 50 instances, cold / its three calls"
    for column in options.large.columns:
        # each side opens half of them
        unopened = islice(LARGE.studies_of(USUAL), 1000, None, 7)
        sides = (
            _cold_side(column.gateway.address, queries.study_over, unopened),
            _cold_side(column.orthanc.address, column.orthanc.study_over, unopened),
        )
        # the first requests of a process
        for side_of in sides:
            side_of()
        yield compare_in(name, column, sides, options.rounds, at_most(1.5 if column.is_tuned else 1.1))


def clients_rows(options: Options) -> Iterator[Row]:
    """Return the rows on clients that open the same studies at once, before a gateway of two workers."""
    name = f"{CLIENTS} clients on warm studies of 100 instances: requests a second / the same clients asking Orthanc"
    ids = [study.orthanc_id for study in LARGE.studies_of(HUNDREDS)]
    for column in options.large.columns:
        with column.new_gateway(workers=WORKERS) as gateway:
            sides = [
                [Target(study, column.orthanc, address, CLIENT_SECONDS) for study in ids]
                for address in (gateway.address, None)
            ]
            goal = at_least(1.5 if column.is_tuned else 10)
            yield compare_rates(name, sides, options.rounds, goal, column.name)


def whole_rows(options: Options) -> Iterator[Row]:
    """Return the row on the whole small archive, as one nested query that was sent before."""
    column = options.large.small
    name = f"whole archive of {SMALL.instances:,} instances, warm / fewest calls"

    def ours(reader: Reader) -> Any:
        return queries.whole_archive_over(reader)

    def theirs(_: Reader) -> Any:
        return column.orthanc.whole_archive()

    with Reader(column.gateway.address) as reader:
        patients = queries.data(ours(reader))["patients"]["nodes"]
        found = [study for patient in patients for study in patient["studies"]]
        for group in SMALL.groups:
            of_group = [study for study in found if len(study["series"]) == group.series]
            queries.check_studies(of_group, group.series, group.instances)
            if len(of_group) != group.patients * group.studies:
                raise BenchmarkError("The gateway does not answer with the whole archive.")
    sides = (side(column.gateway.address, ours), side(column.orthanc.address, theirs))
    yield compare_in(name, column, sides, options.rounds, at_most(0.25))


def legacy_rows(options: Options) -> Iterator[Row]:
    """Return the rows on the REST list of a series, in the large archive and in the small one."""
    cases: Sequence[tuple[Column, Group, str]] = (
        *((column, HUNDREDS, f"{LARGE.instances:,}") for column in options.large.columns),
        (options.large.small, SMALL.groups[-1], f"{SMALL.instances:,}"),
    )
    for column, group, size in cases:
        archive = LARGE if group is HUNDREDS else SMALL
        series = next(archive.series_of(group))
        paths = (f"/api/orthanc/instances/?series_id={series}", f"/series/{series}/instances")
        addresses = (column.gateway.address, column.orthanc.address)
        for address, path in zip(addresses, paths, strict=True):
            with Reader(address) as reader:
                if len(reader.get(path)) != group.instances:
                    raise BenchmarkError(f"{path} did not list all instances.")
        ours, theirs = map(_rest_side, addresses, paths)
        name = f"legacy instances/, {group.instances} of {size}, warm / Orthanc's list"
        goal = at_most(1.2) if column.is_tuned else None
        yield compare_in(name, column, (ours, theirs), options.rounds, goal)


def _cold_side(address: str, action: Callable[[Reader, str], Any], unopened: Iterator[SyntheticStudy]) -> Side:
    def opened() -> float:
        studies = [one.orthanc_id for one in islice(unopened, COLD_STUDIES)]
        with Reader(address) as reader:
            return statistics.median([timed(partial(action, reader, study)) for study in studies])

    return opened


def _rest_side(address: str, path: str) -> Side:
    return side(address, lambda reader: reader.get(path))


def _opening(column: Column, study: SyntheticStudy) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """Return the two ways to open a study, after one checked response of each."""
    shape = (study.series, study.instances)

    def ours(reader: Reader) -> Any:
        return queries.study_over(reader, study.orthanc_id)

    def theirs(reader: Reader) -> Any:
        return column.orthanc.study_over(reader, study.orthanc_id)

    with Reader(column.gateway.address) as gateway, Reader(column.orthanc.address) as orthanc:
        queries.check_study(ours(gateway), *shape)
        baselines.check_study(theirs(orthanc), *shape)
    return ("gateway", side(column.gateway.address, ours)), ("Orthanc", side(column.orthanc.address, theirs))
