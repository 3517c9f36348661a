"""Ranges are resolved against the length of a file (RFC 9110, section 14.1.2)."""

import pytest

from orthancproxy.archive.byte_ranges import ByteSpan, RequestedRange
from orthancproxy.errors import RangeNotSatisfiable


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 0, (0, 0)),
        (2, 5, (2, 5)),
        (2, None, (2, 9)),
        (9, None, (9, 9)),
        (2, 10**99, (2, 9)),
        (None, 1, (9, 9)),
        (None, 10, (0, 9)),
        (None, 10**99, (0, 9)),
    ],
)
def test_range_has_what_the_file_has_of_it(first: int | None, last: int | None, expected: tuple[int, int]) -> None:
    span = RequestedRange(first, last).within(10)
    assert span == ByteSpan(*expected, 10)
    assert span.length == expected[1] - expected[0] + 1


@pytest.mark.parametrize(("first", "last", "total"), [(10, None, 10), (10, 20, 10), (None, 0, 10), (0, None, 0)])
def test_range_without_a_byte_cannot_be_satisfied(first: int | None, last: int | None, total: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as raised:
        RequestedRange(first, last).within(total)
    assert raised.value.total == total
