"""User input as DICOM values."""

import unicodedata
from collections.abc import Callable

import pytest

from orthancproxy.dicom.validation import long_string, person_name
from orthancproxy.errors import InvalidRequest


def test_text_is_composed_and_stripped_before_its_characters_are_counted() -> None:
    composed = "é가" * 32
    decomposed = unicodedata.normalize("NFD", composed)
    assert len(decomposed) > len(composed) == 64
    assert long_string(f" {decomposed}\t", "text") == composed
    assert person_name(f" {decomposed}\t", "name") == composed


@pytest.mark.parametrize(("check", "prefix"), [(long_string, ""), (person_name, ""), (person_name, "a=")])
def test_text_and_each_group_of_a_name_have_at_most_64_characters(
    check: Callable[[str, str], str], prefix: str
) -> None:
    longest = prefix + "가" * 64
    assert check(longest, "value") == longest
    with pytest.raises(InvalidRequest, match="more than 64 characters"):
        check(f"{longest}나", "value")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Kim^^^^", "Kim"),
        ("Kim^Minsu=金^民洙==", "Kim^Minsu=金^民洙"),
        ("Kim^= ^ =", "Kim"),
        ("=金^民洙", "=金^民洙"),
        ("a^b^c^d^e=a^b^c^d^e=a^b^c^d^e", "a^b^c^d^e=a^b^c^d^e=a^b^c^d^e"),
    ],
)
def test_a_name_has_no_empty_parts_at_its_end(name: str, expected: str) -> None:
    assert person_name(name, "name") == expected


@pytest.mark.parametrize("name", ["a=b=c=d", "a^b^c^d^e^f", "a=a^b^c^d^e^f"])
def test_a_name_has_at_most_three_groups_of_five_components(name: str) -> None:
    with pytest.raises(InvalidRequest, match="too many parts"):
        person_name(name, "name")
