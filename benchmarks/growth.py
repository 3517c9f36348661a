"""How the time and the memory of the whole-archive query grow with the archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import baselines, queries
from benchmarks.contents import Contents
from benchmarks.measuring import Quantity, Row, at_most, duration, in_turn, ratio, tell, timed
from benchmarks.memory import PeakMemory
from benchmarks.options import Options, reading

ARCHIVES = tuple(map(Contents, (2, 6, 20, 60)))
_SMALL, _LARGE = 3_000, 30_000  # instances; the time per instance should not grow between them
_MEGABYTE = 1_000_000


def name_of(archive: Contents) -> str:
    """Return the name of an archive's row."""
    return f"growth, {archive.instances:,} instances / fewest calls"


def rows(options: Options) -> Iterator[Row]:
    """Return a row for every size, and one on the time per instance in a small and a large archive.

    The servers of all sizes run at the same time, so that every round measures all sizes.
    """
    with ExitStack() as stack:
        sides = []
        for archive in ARCHIVES:
            orthanc, gateway = stack.enter_context(reading(archive, options))
            queries.check_archive(queries.whole_archive(gateway.address), archive)
            baselines.check_archive(orthanc.whole_archive(), archive)
            sides += [
                (
                    f"gateway, {archive.instances:,} instances",
                    lambda address=gateway.address: timed(lambda: queries.whole_archive(address)),
                ),
                (f"Orthanc, {archive.instances:,} instances", lambda orthanc=orthanc: timed(orthanc.whole_archive)),
            ]
        measured = in_turn("growth", sides, options.rounds)
    ours = dict(zip((archive.instances for archive in ARCHIVES), measured[::2], strict=True))
    theirs = dict(zip(ours, measured[1::2], strict=True))
    for archive in ARCHIVES:
        of_both = (ours[archive.instances], theirs[archive.instances])
        parts = (duration("gateway", of_both[0]), duration("Orthanc", of_both[1]))
        yield Row(name_of(archive), ratio(*of_both), parts)
    for name, times, goal in (("gateway", ours, at_most(1.2)), ("Orthanc", theirs, None)):
        large, small = (tuple(1e6 * value / size for value in times[size]) for size in (_LARGE, _SMALL))
        yield Row(
            f"growth, {name}'s time for an instance: of {_LARGE:,} / of {_SMALL:,}",
            ratio(large, small),
            (Quantity(f"of {_LARGE:,}", "µs", large), Quantity(f"of {_SMALL:,}", "µs", small)),
            goal,
        )


def memory_rows(options: Options) -> Iterator[Row]:
    """Return the row on the memory that the query over the largest archive adds to a warmed-up process."""
    archive = ARCHIVES[-1]
    name = f"memory, whole archive of {archive.instances:,} instances"
    measured = []
    for _ in range(options.memory_rounds):
        # a new gateway each time: memory kept from an earlier query would hide the peak
        with reading(archive, options) as (orthanc, gateway):
            queries.check_study(queries.study(gateway.address, orthanc.first("studies")))
            with PeakMemory(gateway.pid) as memory:
                answer = queries.whole_archive_as_bytes(gateway.address)
        measured.append((memory.peak - memory.before, memory.before, len(answer)))
        tell(f"{name}: {measured[-1][0] / _MEGABYTE:.0f} MB above {memory.before / _MEGABYTE:.0f} MB")
    above, idle, size = (tuple(value / _MEGABYTE for value in values) for values in zip(*measured, strict=True))
    parts = (Quantity("idle", "MB", idle), Quantity("answer", "MB", size))
    yield Row(name, Quantity("above idle", "MB", above), parts, at_most(200))
