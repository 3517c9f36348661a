"""Date-times (VR DT) with offsets from UTC are compared as instants (PS3.5 section 6.2)."""

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import criteria_of
from orthancproxy.archive.plan import Filter


def is_match(wanted: str, value: str) -> bool:
    [criterion] = criteria_of(Level.INSTANCE, Filter(tags=(("AcquisitionDateTime", wanted),)))
    return criterion.matches(value)


@pytest.mark.parametrize(
    ("wanted", "inside", "outside"),
    [
        ("20200101-20200102", "20200102235959.5", "20200103"),
        ("2020-", "2020", "2019"),
        ("-202002", "20200229", "20200301"),
        ("20200101120000.5-20200101120000.6", "20200101120000.55", "20200101120000.7"),
        # as instants
        ("20200101120000+0900-", "20200101030000+0000", "20200101025959+0000"),
        ("-20200101120000-0500", "20200101165959+0000", "20200101170001+0000"),
        ("20200101-0500-20200102-0500", "20200103045959+0000", "20200103050000+0000"),
        ("20200101030000+0000", "20200101120000+0900", "20200101030000+0900"),
        ("19991231235959-0100-20000101005959+0000", "20000101005959+0000", "20000101010000+0000"),
        # where one has no offset, as written
        ("20200101120000+0900-", "20200101120000", "20200101115959"),
        ("20200101120000-", "20200101120000+0900", "20200101110000-0500"),
        # a hyphen and four digits at the end are an offset
        ("20200101-0500", "20200101-0500", "20200102-0500"),
        ("20161231235960", "20161231235960", "20161231235959"),
    ],
)
def test_ranges_and_single_values(wanted: str, inside: str, outside: str) -> None:
    assert is_match(wanted, inside)
    assert not is_match(wanted, outside)


@pytest.mark.parametrize("value", ["", "x", "20201301", "00000101", "2020010", "20200101120000+2500", "99991231-0100"])
def test_an_invalid_value_is_in_no_range(value: str) -> None:
    assert not is_match("2000-9998", value)
