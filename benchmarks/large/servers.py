"""Two Orthancs with the large archive, as Orthanc creates its index and tuned, and the gateways in front of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import baselines
from benchmarks.large.archive import Group, SyntheticArchive
from benchmarks.large.stored import orthanc_with
from benchmarks.measuring import BenchmarkError
from benchmarks.reading import Reader
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc

USUAL = Group(10_000, 2, 5, 10)  # studies of 50 instances
HUNDREDS = Group(8, 1, 4, 25)  # studies of 100 instances
THOUSANDS = Group(1, 1, 4, 500)  # a study of 2,000 instances
LARGE = SyntheticArchive((USUAL, HUNDREDS, THOUSANDS))
SMALL = SyntheticArchive((Group(98, 2, 5, 10), Group(2, 1, 4, 25)))  # 10,000 instances
REMEMBERING: Mapping[str, str] = {"ORTHANC_INDEX": "true"}
FORGETTING: Mapping[str, str] = {"ORTHANC_INDEX": "false", "ORTHANC_CACHE_BYTES": "0"}
_INDEXING_TIMEOUT_SECONDS = 300.0
_INDEX_STATE = "{ server { index { state } } }"


class Column:
    """A column of the table: an Orthanc, `as found` or `tuned`, and gateways in front of it, started on first use."""

    def __init__(self, name: str, orthanc: LocalOrthanc, stack: ExitStack) -> None:
        self.name = name
        self._local_orthanc = orthanc
        self._stack = stack

    @property
    def is_tuned(self) -> bool:
        """Whether Orthanc's index has statistics."""
        return self.name == "tuned"

    @cached_property
    def orthanc(self) -> baselines.Orthanc:
        """The calls to Orthanc itself."""
        return baselines.orthanc_at(self._local_orthanc.base_url)

    @cached_property
    def gateway(self) -> LocalGateway:
        """A gateway whose index is built."""
        return self._stack.enter_context(self.new_gateway())

    @cached_property
    def forgetting_gateway(self) -> LocalGateway:
        """A gateway without index and cache."""
        return self._stack.enter_context(self.new_gateway(settings=FORGETTING))

    @contextmanager
    def unbuilt_gateway(self) -> Iterator[LocalGateway]:
        """Yield another gateway, which has just started, with a new database."""
        with (
            tempfile.TemporaryDirectory(prefix="gateway-") as folder,
            serving(self._local_orthanc.base_url, Path(folder), settings=REMEMBERING) as gateway,
        ):
            yield gateway

    @contextmanager
    def new_gateway(
        self, folder: Path | None = None, workers: int = 1, settings: Mapping[str, str] = REMEMBERING
    ) -> Iterator[LocalGateway]:
        """Yield another gateway, with the database in `folder`, or with a new one, when its index is built."""
        with ExitStack() as stack:
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
            gateway = stack.enter_context(
                serving(self._local_orthanc.base_url, folder, workers=workers, settings=settings)
            )
            if settings is not FORGETTING:
                wait_for_index(gateway)
            yield gateway


class LargeServers:
    """The columns, for the duration of a `with` block. Nothing is started unless it is used."""

    def __init__(self, archives: Path) -> None:
        self._archives = archives
        self._stack = ExitStack()

    @cached_property
    def columns(self) -> tuple[Column, Column]:
        """The Orthanc as found, and the tuned one."""
        found, tuned = (self.column(LARGE, tuned=tuned) for tuned in (False, True))
        return found, tuned

    @cached_property
    def small(self) -> Column:
        """A tuned Orthanc with the small archive."""
        return self.column(SMALL, tuned=True)

    def column(self, archive: SyntheticArchive, *, tuned: bool) -> Column:
        """Return a new column for an archive."""
        orthanc = self._stack.enter_context(orthanc_with(archive, self._archives, tuned=tuned))
        column = Column("tuned" if tuned else "as found", orthanc, self._stack)
        if not column.orthanc.is_extended:
            raise BenchmarkError("The gateway has no index and no cache before Orthanc 1.12.5.")
        return column

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()


def wait_for_index(gateway: LocalGateway) -> float:
    """Wait until the index of a gateway is built, and return the seconds that this took."""
    start = time.perf_counter()
    with Reader(gateway.address) as reader:
        while (state := _index_state(reader)) != "READY":
            if time.perf_counter() - start > _INDEXING_TIMEOUT_SECONDS:
                raise BenchmarkError(f"The gateway's index is {state}:\n{gateway.end_of_log()}")
            time.sleep(0.2)
    return time.perf_counter() - start


def _index_state(reader: Reader) -> str:
    answer = reader.post("/graphql/", {"query": _INDEX_STATE})
    # a gateway that is not acquainted with a slow Orthanc yet may exceed its time limit
    return str(answer["data"]["server"]["index"]["state"]) if answer.get("data") else "unknown"
