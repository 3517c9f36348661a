"""How the time of a page and of a study grows with the archive: Orthanc's, as found and tuned, and the gateway's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import queries
from benchmarks.large.archive import Group, SyntheticArchive
from benchmarks.large.lists import orthancs_page, studies
from benchmarks.large.rows import side
from benchmarks.large.servers import LARGE, SMALL, Column
from benchmarks.measuring import Row, duration, in_turn, ratio
from benchmarks.options import Options
from benchmarks.reading import Reader

ARCHIVES = (SMALL, SyntheticArchive((Group(1_000, 2, 5, 10),)), LARGE)
PAGE, STUDY = "first page of 50 studies", "one study of 50 instances"
FOUND, TUNED, GATEWAY = "Orthanc as found", "Orthanc tuned", "gateway, Orthanc as found"


@dataclass(frozen=True, slots=True)
class _Size:
    archive: SyntheticArchive
    found: Column
    tuned: Column


def name_of(what: str, archive: SyntheticArchive) -> str:
    """Return the name of the row on one size."""
    return f"growth, {what}, {archive.instances:,} instances: gateway / Orthanc as found"


def rows(options: Options) -> Iterator[Row]:
    """Return a row for every size, on pages and on studies. Every round measures all sizes."""
    sizes = [_Size(archive, *_columns(options, archive)) for archive in ARCHIVES]
    for what in (PAGE, STUDY):
        sides = [one for size in sizes for one in _sides(what, size)]
        measured = in_turn(f"growth, {what}", sides, options.rounds)
        for number, size in enumerate(sizes):
            gateway, found, tuned = measured[3 * number : 3 * number + 3]
            parts = (duration(GATEWAY, gateway), duration(FOUND, found), duration(TUNED, tuned))
            yield Row(name_of(what, size.archive), ratio(gateway, found), parts)


def _columns(options: Options, archive: SyntheticArchive) -> tuple[Column, Column]:
    if archive is LARGE:
        return options.large.columns
    tuned = options.large.small if archive is SMALL else options.large.column(archive, tuned=True)
    return options.large.column(archive, tuned=False), tuned


def _sides(what: str, size: _Size) -> list[tuple[str, Any]]:
    study = next(size.archive.studies_of(size.archive.groups[0])).orthanc_id

    def ours(reader: Reader) -> object:
        return studies(reader) if what is PAGE else queries.study_over(reader, study)

    def theirs(column: Column) -> Callable[[Reader], object]:
        return lambda reader: orthancs_page(reader) if what is PAGE else column.orthanc.study_over(reader, study)

    label = f"{size.archive.instances:,} instances"
    return [
        (f"{GATEWAY}, {label}", side(size.found.gateway.address, ours)),
        (f"{FOUND}, {label}", side(size.found.orthanc.address, theirs(size.found))),
        (f"{TUNED}, {label}", side(size.tuned.orthanc.address, theirs(size.tuned))),
    ]
