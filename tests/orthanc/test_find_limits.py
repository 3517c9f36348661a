"""Detection of find limits in an archive that changes during the detection, which a real one does by chance."""

from collections.abc import Iterator, Mapping
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

    def __call__(self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, decoder: Decoder[Any]) -> Any:
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
