"""The options of the benchmarks, and the two servers that most of them need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import baselines, stored
from benchmarks.baselines import Orthanc
from benchmarks.contents import Contents
from benchmarks.large.servers import LargeServers
from benchmarks.servers import gateway_before
from orthancproxy.sandbox.gateway import LocalGateway

WHOLE = Contents(patients=20)


@dataclass(frozen=True, slots=True)
class Options:
    """The number of rounds, the version of Orthanc, and the folder of the archives that are kept between runs."""

    version: str
    archives: Path
    large: LargeServers
    rounds: int = 5
    memory_rounds: int = 1
    upload_threads: int = 4


@contextmanager
def reading(archive: Contents, options: Options, plugins: Sequence[str] = ()) -> Iterator[tuple[Orthanc, LocalGateway]]:
    """Yield an Orthanc with the archive, and a new gateway in front of it."""
    with stored.holding(archive, options.archives, plugins) as orthanc, gateway_before(orthanc) as gateway:
        yield baselines.orthanc_at(orthanc.base_url), gateway
