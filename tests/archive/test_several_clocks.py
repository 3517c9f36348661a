"""What holds if several Orthancs with one database have clocks that differ.

They serve it in turn: SQLite admits one at a time, and Debian's PostgreSQL plugin has no extended find.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.clock import OrthancClock
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, Installation, LocalOrthanc
from tests.corpus import instance, load
from tests.staleness.orthanc_clock import OrthancTime

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

NOON = 1_800_000_000
BEHIND_SECONDS = 5  # the second Orthanc
TOO_SHORT, LONG_ENOUGH = 2.0, 1.5 + BEHIND_SECONDS
INSTANCES = LevelPlan(level=Level.INSTANCE, needs=Needs(frozenset({"SliceLocation"})))
PLAN = LevelPlan(level=Level.SERIES, related={"instances": INSTANCES})


class Gateway:
    """A gateway that asks whichever Orthanc runs, for the time too. One cache for each minimum age."""

    def __init__(self) -> None:
        self.orthanc: LocalOrthanc | None = None
        clock = OrthancClock(self._read_clock, valid_seconds=0)
        self.caches = {age: RevisionCache(clock, max_bytes=10**8, min_age=age) for age in (TOO_SHORT, LONG_ENOUGH)}

    def shown(self) -> Mapping[float, str | None]:
        """The SliceLocation that each cache shows."""
        client = self._client()
        pages = {age: Hierarchy(client, cache=cache).page(PLAN) for age, cache in self.caches.items()}
        return {age: page.resources[0].related["instances"][0].tags["SliceLocation"] for age, page in pages.items()}

    @property
    def keeping(self) -> list[float]:
        """The minimum ages of the caches that hold something."""
        return [age for age, cache in self.caches.items() if cache.size]

    def _client(self) -> OrthancClient:
        assert self.orthanc is not None
        return OrthancClient(ConnectionOptions(self.orthanc.base_url))

    def _read_clock(self) -> bytes:
        return self._client()._now()


class Orthancs:
    """Two Orthancs with the same files, and their clocks, as seconds since noon of the first one's."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self._folder = folder
        self._gateway = gateway
        self._time = OrthancTime(folder, NOON)

    @contextmanager
    def running(self, seconds: int, *, behind: int = 0) -> Iterator[LocalOrthanc]:
        """Run the one whose clock is behind by so much."""
        self._time.set(NOON + seconds - behind)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._time.variables.items():
                patch.setenv(name, value)
            orthanc = LocalOrthanc(self._folder, configuration={**INDEXED_INSTANCE_TAGS, "OverwriteInstances": True})
            self._gateway.orthanc = orthanc
            with orthanc:
                yield orthanc

    def set(self, seconds: int) -> None:
        """Set the clock of the first one, while it runs."""
        self._time.set(NOON + seconds)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Installation.find().make_folder(None)
    yield folder
    shutil.rmtree(folder)


def test_the_minimum_age_must_be_above_the_difference_of_the_clocks(folder: Path) -> None:
    gateway = Gateway()
    orthancs = Orthancs(folder, gateway)
    with orthancs.running(0) as first:
        load(first, [instance(1, 1, 1, 1, SliceLocation="1")])
        orthancs.set(4)
        assert gateway.shown() == {TOO_SHORT: "1", LONG_ENOUGH: "1"}
        assert gateway.keeping == [TOO_SHORT]
    # its clock shows noon again: the LastUpdate stays the same
    with orthancs.running(5, behind=BEHIND_SECONDS) as second:
        load(second, [instance(1, 1, 1, 1, SliceLocation="2")])
    with orthancs.running(7):
        assert gateway.shown() == {TOO_SHORT: "1", LONG_ENOUGH: "2"}
        assert gateway.keeping == [TOO_SHORT, LONG_ENOUGH]
    # the change is stamped before the request in which the instance was kept, but later than its last change
    with orthancs.running(8, behind=BEHIND_SECONDS) as second:
        load(second, [instance(1, 1, 1, 1, SliceLocation="3")])
        assert gateway.shown() == {TOO_SHORT: "3", LONG_ENOUGH: "3"}
