"""Detection of find limits in an archive that changes during the detection, which a real one does by chance."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.json import Decoder

from orthancproxy.orthanc.endpoints import FIND, Endpoint
from orthancproxy.orthanc.find_limits import FindLimits
from orthancproxy.orthanc.responses import Statistics


class ChangingArchive:
    """Returns these numbers of resources, one for each find, and these statistics."""

    def __init__(self, found: list[int], stored: list[int]) -> None:
        self._found: Iterator[int] = iter(found)
        self._stored: Iterator[int] = iter(stored)

    def __call__(
        self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, query: str = "", decoder: Decoder[Any]
    ) -> Any:
        if endpoint is FIND:
            return [""] * next(self._found)
        stored = next(self._stored)
        return Statistics(0, 0, stored, stored, 0)


@pytest.mark.parametrize(
    ("found", "stored"),
    [
        ([0, 5], [5, 9]),  # stored in between
        ([9, 5], [12, 5]),  # stored and deleted
        ([3, 4, 5], [4, 5, 6]),
        ([3, 2, 1], [4, 4, 4]),  # deleted meanwhile, and the statistics lag behind
    ],
)
def test_a_find_during_changes_is_not_truncated(found: list[int], stored: list[int]) -> None:
    limits = FindLimits(ChangingArchive(found * 2, stored * 2))
    assert not limits.found


def test_a_find_that_ends_at_the_same_length_each_time_is_truncated() -> None:
    limits = FindLimits(ChangingArchive([4] * 6, [5, 6, 7] * 2))
    assert limits.found
    assert limits.may_truncate("Instance", 4)
    assert not limits.may_truncate("Instance", 3)


class GrowingArchive:
    """Returns all of its resources, after a while; counts the finds."""

    def __init__(self) -> None:
        self.stored = 5
        self.finds = 0
        self._may_find = threading.Event()
        self._may_find.set()
        self._lock = threading.Lock()

    def __call__(
        self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, query: str = "", decoder: Decoder[Any]
    ) -> Any:
        if endpoint is not FIND:
            return Statistics(0, 0, self.stored, self.stored, 0)
        with self._lock:
            self.finds += 1
        self._may_find.wait(0.2)
        return [""] * self.stored

    def grow(self) -> None:
        """Store more, and be slow from now on."""
        self.stored += 1
        self.finds = 0
        self._may_find.clear()


def test_one_of_many_finds_at_once_probes() -> None:
    archive = GrowingArchive()
    limits = FindLimits(archive)
    archive.grow()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(limits.refresh, ["Instance"] * 20))
        assert archive.finds == 1
        archive.grow()
        assert not any(pool.map(limits.may_truncate, ["Instance"] * 20, [archive.stored] * 20))
    assert archive.finds == 1
