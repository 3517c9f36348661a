"""One study of 4 series and 100 instances, and the list of a series' instances: the requests of a viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import baselines, queries
from benchmarks.contents import INSTANCES
from benchmarks.measuring import BenchmarkError, Quantity, Row, Side, at_most, duration, in_turn, ratio, repeatedly
from benchmarks.options import WHOLE, Options, reading
from benchmarks.reading import Reader

REPETITIONS = 30  # in each round; the median counts


def rows(options: Options) -> Iterator[Row]:
    """Return the rows on one study: the ratio to the fewest calls, and the difference."""
    with reading(WHOLE, options) as (orthanc, gateway):
        study = orthanc.first("studies")
        queries.check_study(queries.study(gateway.address, study))
        baselines.check_study(orthanc.study(study))
        sides = (
            ("gateway", _side(gateway.address, lambda reader: queries.study_over(reader, study))),
            ("Orthanc", _side(orthanc.address, lambda reader: orthanc.study_over(reader, study))),
        )
        name = "one study, 100 instances / fewest calls"
        ours, theirs = in_turn(name, sides, options.rounds)
        parts = (duration("gateway", ours), duration("Orthanc", theirs))
        yield Row(name, ratio(ours, theirs), parts, at_most(1.5))
        more = tuple(1000 * (one - other) for one, other in zip(ours, theirs, strict=True))
        yield Row("one study, 100 instances: longer than fewest calls", Quantity("more", "ms", more), (), at_most(5))


def legacy_rows(options: Options) -> Iterator[Row]:
    """Return the row on the REST list of a series' instances."""
    with reading(WHOLE, options) as (orthanc, gateway):
        series = orthanc.first("series")
        paths = {
            gateway.address: f"/api/orthanc/instances/?series_id={series}",
            orthanc.address: f"/series/{series}/instances",
        }
        for address, path in paths.items():
            with Reader(address) as reader:
                if len(reader.get(path)) != INSTANCES:
                    raise BenchmarkError(f"{path} did not list all instances.")
        name = f"legacy list of {INSTANCES} instances / Orthanc's list"
        ours, theirs = in_turn(
            name,
            (
                ("gateway", _side(gateway.address, lambda reader: reader.get(paths[gateway.address]))),
                ("Orthanc", _side(orthanc.address, lambda reader: reader.get(paths[orthanc.address]))),
            ),
            options.rounds,
        )
        parts = (duration("gateway", ours), duration("Orthanc", theirs))
        yield Row(name, ratio(ours, theirs), parts, at_most(1.5))


def _side(address: str, action: Callable[[Reader], object]) -> Side:
    """Repeat an action over one connection, after a first time that opens it."""

    def side() -> float:
        with Reader(address) as reader:
            action(reader)
            return repeatedly(REPETITIONS, lambda: action(reader))

    return side
