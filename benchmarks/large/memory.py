"""The memory and the time that the index and the cache take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import queries
from benchmarks.large.servers import FORGETTING, LARGE, REMEMBERING, Column, wait_for_index
from benchmarks.measuring import Quantity, Row, at_most, duration, in_turn, ratio, tell, timed
from benchmarks.memory import resident_bytes
from benchmarks.options import Options
from benchmarks.reading import Reader

CACHE_BYTES = 64 * 1024**2
CACHED_STUDIES = 4_000  # of 50 instances: more than fit
STUDIES_PER_REQUEST = 10  # with more, what a request takes for itself hides what is kept
_MEGABYTE = 1_000_000
_STUDIES = f"""
query($after: String) {{
  studies(first: {STUDIES_PER_REQUEST}, after: $after) {{
    pageInfo {{ endCursor }}
    nodes {{ {queries.STUDY} }}
  }}
}}"""


def cache_rows(options: Options) -> Iterator[Row]:
    """Return the row on the memory of a full cache: what a process takes at most, more than one without cache."""
    name = f"memory, cache of {CACHE_BYTES / _MEGABYTE:.0f} MB full / the setting"
    _, column = options.large.columns
    sizes = {size: [] for size in (CACHE_BYTES, 0)}  # type: dict[int, list[int]]
    for number in range(options.memory_rounds):
        for size, measured in sizes.items():
            measured.append(_bytes_with_full_cache(column, {**REMEMBERING, "ORTHANC_CACHE_BYTES": str(size)}))
            tell(f"{name}, round {number + 1} of {options.memory_rounds}: {measured[-1] / _MEGABYTE:.0f} MB")
    with_cache, without = sizes.values()
    parts = [
        Quantity(label, "MB", tuple(size / _MEGABYTE for size in measured))
        for label, measured in (("with cache", with_cache), ("without", without))
    ]
    more = tuple((full - empty) / CACHE_BYTES for full, empty in zip(with_cache, without, strict=True))
    yield Row(name, Quantity("", "×", more), tuple(parts), at_most(1.2), column.name)


def index_rows(options: Options) -> Iterator[Row]:
    """Return the rows on building the index: its duration, and the memory above that of an idle process."""
    name = f"building the index of {LARGE.studies:,} studies"
    column, _ = options.large.columns
    with column.new_gateway(settings=FORGETTING) as gateway:
        with Reader(gateway.address) as reader:
            queries.data(reader.post("/graphql/", {"query": "{ __typename }"}))
        idle = resident_bytes(gateway.pid)
    peaks = []

    def build() -> float:
        with column.unbuilt_gateway() as gateway:
            seconds = wait_for_index(gateway)
            peaks.append(gateway.peak_memory())
            return seconds

    def fetch() -> float:
        with Reader(column.orthanc.address) as reader:
            return timed(lambda: _fetch(reader))

    building, fetching = in_turn(name, (("building", build), ("fetching", fetch)), options.rounds)
    parts = (duration("building", building), duration("fetching", fetching))
    yield Row(f"{name} / fetching them", ratio(building, fetching), parts, at_most(3), column.name)
    more = Quantity("", "MB", tuple((peak - idle) / _MEGABYTE for peak in peaks))
    yield Row(f"memory, {name}", more, (Quantity("idle", "MB", (idle / _MEGABYTE,)),), at_most(150), column.name)


def _bytes_with_full_cache(column: Column, settings: Mapping[str, str]) -> int:
    with column.new_gateway(settings=settings) as gateway, Reader(gateway.address) as reader:
        cursor, sizes = None, []
        for _ in range(CACHED_STUDIES // STUDIES_PER_REQUEST):
            answer = reader.post("/graphql/", {"query": _STUDIES, "variables": {"after": cursor}})
            cursor = queries.data(answer)["studies"]["pageInfo"]["endCursor"]
            sizes.append(resident_bytes(gateway.pid))
        # the cache is full for the second half, in which the garbage collector runs several times
        return max(sizes[len(sizes) // 2 :])


def _fetch(reader: Reader) -> list[Any]:
    """Fetch what the index has: tags, LastUpdate and modalities."""
    body = {"Query": {}, "Short": True, "ResponseContent": ["MainDicomTags", "Metadata", "Parent", "RequestedTags"]}
    modalities = {"RequestedTags": ["0008,0061"]}
    return [
        reader.post("/tools/find", {**body, "Level": "Patient"}),
        reader.post("/tools/find", {**body, "Level": "Study", **modalities}),
    ]
