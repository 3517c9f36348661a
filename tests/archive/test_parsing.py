"""DICOM values are parsed into Python values; invalid values are None."""

from datetime import UTC, date, datetime, time

import pytest

from orthancproxy.archive import parsing
from orthancproxy.archive.parsing import NameGroup


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("42", 42),
        (" -7 ", -7),
        ("+7", 7),
        ("007", 7),
        ("2147483647", 2**31 - 1),
        ("2147483648", None),
        ("1.0", None),
        ("1e3", None),
        ("١", None),
        ("1\\2", None),
        ("", None),
        (None, None),
    ],
)
def test_integer(value: str | None, expected: int | None) -> None:
    assert parsing.integer(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        (" 1e-3 ", 0.001),
        ("-1.5E+2", -150.0),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("1_0", None),
        ("1,5", None),
        (None, None),
    ],
)
def test_decimal(value: str | None, expected: float | None) -> None:
    assert parsing.decimal(value) == expected


def test_numbers_have_at_most_64_characters() -> None:
    assert parsing.integer("7".rjust(64)) == parsing.decimal("7".rjust(64)) == 7
    assert parsing.integer("7".rjust(65)) is None
    assert parsing.decimal("7".rjust(65)) is None


def test_long_texts_are_not_cached() -> None:
    remembered = (parsing._integer, parsing._decimal, parsing._decimals)
    for function in remembered:
        function.cache_clear()
    for length in (65, 100_000):
        parsing.integer("x" * length)
        parsing.decimal("x" * length)
        parsing.decimals("x" * 2 * length)
    # one number of many in a list may be long too
    assert parsing.decimals("\\".join(["1"] * 1000)) == (1.0,) * 1000
    assert parsing.decimals("\\".join(["1", "x" * 100_000])) is None
    assert [function.cache_info().currsize for function in remembered] == [0, 1, 0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.5\\0.25", (0.5, 0.25)), ("1", (1.0,)), ("0.5\\", None), ("0.5\\x", None), ("", None), (None, None)],
)
def test_one_invalid_decimal_invalidates_the_list(value: str | None, expected: tuple[float, ...] | None) -> None:
    assert parsing.decimals(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20260111", date(2026, 1, 11)),
        ("20260111 ", date(2026, 1, 11)),
        ("20260111\0", date(2026, 1, 11)),
        ("20260231", None),
        ("2026.01.11", date(2026, 1, 11)),
        ("2026.0111", None),
        (" 20260111", None),
        ("09990101", date(999, 1, 1)),
        ("202601", None),
        ("00000101", None),
        (None, None),
    ],
)
def test_date(value: str | None, expected: date | None) -> None:
    assert parsing.calendar_date(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10", time(10)),
        ("1011", time(10, 11)),
        ("101112", time(10, 11, 12)),
        ("101112.5", time(10, 11, 12, 500_000)),
        ("101112 ", time(10, 11, 12)),
        ("101112\0", time(10, 11, 12)),
        ("101112.123456", time(10, 11, 12, 123_456)),
        ("235960", time(23, 59, 59, 999_999)),
        ("10:11:12.5", time(10, 11, 12, 500_000)),
        ("10:1112", None),
        ("24", None),
        ("10:11", time(10, 11)),
        (None, None),
    ],
)
def test_time(value: str | None, expected: time | None) -> None:
    assert parsing.time_of_day(value) == expected


def test_timestamp_of_orthanc_is_utc() -> None:
    assert parsing.timestamp("20260111T101112") == datetime(2026, 1, 11, 10, 11, 12, tzinfo=UTC)
    assert parsing.timestamp("yesterday") is None


@pytest.mark.parametrize(
    ("value", "formatted", "family", "given", "ideographic", "phonetic"),
    [
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong", "Hong", "Gildong", "洪^吉洞", "홍^길동"),
        ("홍^길동", "홍 길동", "홍", "길동", None, None),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou", "Yamada", "Tarou", "山田^太郎", "やまだ^たろう"),
        ("Adams^John Quincy^^Rev.^B.A.", "Rev. Adams, John Quincy B.A.", "Adams", "John Quincy", None, None),
        ("Doe", "Doe", "Doe", None, None, None),
        ("^Jane", "Jane", None, "Jane", None, None),
        ("=山田^太郎", "山田 太郎", None, None, "山田^太郎", None),
        ("^^^^", "", None, None, None, None),
    ],
)  # fmt: skip
def test_person_name(
    value: str, formatted: str, family: str | None, given: str | None, ideographic: str | None, phonetic: str | None
) -> None:
    name = parsing.person_name(value)
    assert name is not None
    assert (name.formatted, name.family, name.given) == (formatted, family, given)
    assert (name.ideographic, name.phonetic) == (ideographic, phonetic)


def test_each_component_group_of_a_person_name_is_parsed() -> None:
    name = parsing.person_name("Hong^Gildong=洪^吉洞=홍^길동^^Dr")
    assert name is not None
    assert name.alphabetic == NameGroup("Hong, Gildong", "Hong", "Gildong", None, None, None)
    assert name.ideographic_group == NameGroup("洪 吉洞", "洪", "吉洞", None, None, None)
    assert name.phonetic_group == NameGroup("Dr 홍 길동", "홍", "길동", None, "Dr", None)


def test_an_empty_component_group_is_none() -> None:
    name = parsing.person_name("=山田^太郎=^^")
    assert name is not None
    assert (name.alphabetic, name.phonetic_group) == (None, None)


@pytest.mark.parametrize("value", ["", "  ", None])
def test_empty_person_names_are_none(value: str | None) -> None:
    assert parsing.person_name(value) is None


def test_text_loses_only_its_padding() -> None:
    assert parsing.text(" T1 w \0") == "T1 w"
    assert parsing.text("  ") is None
    assert parsing.texts("CT\\ MR\\") == ["CT", "MR"]
