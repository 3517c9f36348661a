"""Limits of Orthanc's find are told from an archive that changes while it is asked, which a real one does by chance."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from orthancproxy.orthanc.endpoints import FIND, Endpoint
from orthancproxy.orthanc.find_limits import FindLimits


class ChangingArchive:
    """Answers with so many resources at each find, and says that it has so many at each look at its statistics."""

    def __init__(self, found: list[int], stored: list[int]) -> None:
        self._found: Iterator[int] = iter(found)
        self._stored: Iterator[int] = iter(stored)

    def __call__(self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None) -> Any:
        if endpoint is FIND:
            return [None] * next(self._found)
        stored = next(self._stored)
        return {"CountSeries": stored, "CountInstances": stored}


@pytest.mark.parametrize(
    ("found", "stored"),
    [
        ([0, 5], [5, 9]),  # others store
        ([9, 5], [12, 5]),  # and delete
        ([3, 4, 5], [4, 5, 6]),
    ],
)
def test_a_find_that_others_come_before_is_not_cut_off(found: list[int], stored: list[int]) -> None:
    limits = FindLimits(ChangingArchive(found * 2, stored * 2))
    assert not limits.found


def test_a_find_that_ends_in_the_same_place_each_time_is_cut_off() -> None:
    limits = FindLimits(ChangingArchive([4] * 6, [5, 6, 7] * 2))
    assert limits.found
    assert limits.may_cut("Instance", 4)
    assert not limits.may_cut("Instance", 3)
