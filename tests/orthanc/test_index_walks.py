"""Detection of an Orthanc that walks through its index, by the time of its finds."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from msgspec.json import Decoder

from orthancproxy.errors import ArchiveTimeout
from orthancproxy.orthanc.endpoints import FIND, Endpoint
from orthancproxy.orthanc.index_walks import MIN_INSTANCES, walks_index


class TimedOrthanc:
    """Takes these times for finds and for other calls; it is also the clock."""

    def __init__(self, below: list[float], others: list[float]) -> None:
        self._below: Iterator[float] = iter(below)
        self._others: Iterator[float] = iter(others)
        self.now = 0.0

    def __call__(
        self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, query: str = "", decoder: Decoder[Any]
    ) -> Any:
        self.now += next(self._below if endpoint is FIND else self._others)
        return []

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("below", "others", "expected"),
    [
        ([0.240, 0.250, 0.240], [0.001, 0.001, 0.002], True),
        ([0.012, 0.011, 0.013], [0.0006, 0.0006, 0.0005], True),
        ([0.0005, 0.0029, 0.0025], [0.001, 0.0008, 0.0017], False),
        # a busy machine
        ([0.300, 0.020, 0.150], [0.040, 0.012, 0.100], False),
        ([0.900, 0.700, 0.800], [0.040, 0.012, 0.100], True),
    ],
)
def test_an_orthanc_walks_if_a_find_below_a_study_takes_longer_than_other_calls(
    below: list[float], others: list[float], expected: bool
) -> None:
    orthanc = TimedOrthanc(below, others)
    assert walks_index(orthanc, pytest.fail, MIN_INSTANCES, orthanc.clock) == expected


def test_a_small_archive_is_not_probed() -> None:
    orthanc = TimedOrthanc([], [])
    assert not walks_index(orthanc, pytest.fail, MIN_INSTANCES - 1, orthanc.clock)


def test_a_timeout_is_tolerated_and_counts_as_a_walk() -> None:
    def call(*_: Any, **__: Any) -> Any:
        raise ArchiveTimeout

    tolerated: list[None] = []
    assert walks_index(call, lambda: tolerated.append(None), MIN_INSTANCES)
    assert len(tolerated) == 1
